import type { Member, MemberAddRequest } from "../../../core/node/index.ts";
import {
  bigUint64,
  bool,
  bytes,
  int64,
  list,
  type Message,
  message,
  nested,
  text,
  texts,
  uint32,
  uint64,
} from "../codec/schema.ts";
import { header, type HeaderMessage } from "./kv-messages.ts";

/*
 * etcdserverpb's Cluster and Maintenance messages. Their field names are not in snake_case, in JSON neither.
 */

export interface MemberIdMessage {
  readonly id: bigint;
}

export interface MemberUpdateMessage {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
}

export interface MemberListMessage {
  readonly linearizable?: boolean;
}

export interface MembersReply {
  readonly header: HeaderMessage;
  readonly members: readonly Member[];
}

export interface MemberAddReply extends MembersReply {
  readonly member: Member | null;
}

export interface StatusReply {
  readonly header: HeaderMessage;
  readonly version: string;
  readonly dbSize: number;
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly raftAppliedIndex: number;
  readonly errors: readonly string[];
  readonly dbSizeInUse: number;
  readonly isLearner: boolean;
}

export interface MoveLeaderMessage {
  readonly targetId: bigint;
}

export interface HashKvMessage {
  readonly revision: number;
}

export interface HashReply {
  readonly header: HeaderMessage;
  readonly hash: number;
}

export interface HashKvReply extends HashReply {
  readonly compactRevision: number;
  readonly hashRevision: number;
}

export interface DefragmentReply {
  readonly header: HeaderMessage;
  /** Ours: why there was nothing to do. */
  readonly note: string;
}

export interface SnapshotReply {
  readonly header: HeaderMessage;
  readonly remainingBytes: number;
  readonly blob: Uint8Array;
  readonly version: string;
}

/** A message without fields that we look at. */
export const emptyRequest: Message<object> = message<object>("Empty", () => ({}), {});

export const member: Message<Member> = message<Member>(
  "Member",
  () => ({ id: 0n, name: "", peerUrls: [], clientUrls: [], isLearner: false }),
  {
    id: bigUint64(1, "ID"),
    name: text(2),
    peerUrls: texts(3, "peerURLs"),
    clientUrls: texts(4, "clientURLs"),
    isLearner: bool(5, "isLearner"),
  },
);

export const memberAddRequest: Message<MemberAddRequest> = message<MemberAddRequest>(
  "MemberAddRequest",
  () => ({ peerUrls: [], isLearner: false }),
  {
    peerUrls: texts(1, "peerURLs"),
    isLearner: bool(2, "isLearner"),
  },
);

export const memberAddReply: Message<MemberAddReply> = message<MemberAddReply>(
  "MemberAddResponse",
  () => ({ header: {}, member: null, members: [] }),
  { header: nested(1, () => header), member: nested(2, () => member), members: list(3, () => member) },
);

/** MemberRemoveRequest and MemberPromoteRequest. */
export const memberIdRequest: Message<MemberIdMessage> = message<MemberIdMessage>(
  "MemberIdRequest",
  () => ({ id: 0n }),
  {
    id: bigUint64(1, "ID"),
  },
);

export const memberUpdateRequest: Message<MemberUpdateMessage> = message<MemberUpdateMessage>(
  "MemberUpdateRequest",
  () => ({ id: 0n, peerUrls: [] }),
  { id: bigUint64(1, "ID"), peerUrls: texts(2, "peerURLs") },
);

export const memberListRequest: Message<MemberListMessage> = message<MemberListMessage>(
  "MemberListRequest",
  () => ({}),
  {
    linearizable: bool(1),
  },
);

/** The response of MemberRemove, MemberUpdate, MemberList and MemberPromote. */
export const membersReply: Message<MembersReply> = message<MembersReply>(
  "MembersResponse",
  () => ({ header: {}, members: [] }),
  { header: nested(1, () => header), members: list(2, () => member) },
);

export const statusReply: Message<StatusReply> = message<StatusReply>(
  "StatusResponse",
  () => ({
    header: {},
    version: "",
    dbSize: 0,
    leader: 0n,
    raftIndex: 0,
    raftTerm: 0,
    raftAppliedIndex: 0,
    errors: [],
    dbSizeInUse: 0,
    isLearner: false,
  }),
  {
    header: nested(1, () => header),
    version: text(2),
    dbSize: int64(3, "dbSize"),
    leader: bigUint64(4),
    raftIndex: uint64(5, "raftIndex"),
    raftTerm: uint64(6, "raftTerm"),
    raftAppliedIndex: uint64(7, "raftAppliedIndex"),
    errors: texts(8),
    dbSizeInUse: int64(9, "dbSizeInUse"),
    isLearner: bool(10, "isLearner"),
  },
);

export const moveLeaderRequest: Message<MoveLeaderMessage> = message<MoveLeaderMessage>(
  "MoveLeaderRequest",
  () => ({ targetId: 0n }),
  {
    targetId: bigUint64(1, "targetID"),
  },
);

export const hashKvRequest: Message<HashKvMessage> = message<HashKvMessage>(
  "HashKVRequest",
  () => ({ revision: 0 }),
  { revision: int64(1) },
);

export const hashReply: Message<HashReply> = message<HashReply>(
  "HashResponse",
  () => ({ header: {}, hash: 0 }),
  { header: nested(1, () => header), hash: uint32(2) },
);

export const hashKvReply: Message<HashKvReply> = message<HashKvReply>(
  "HashKVResponse",
  () => ({ header: {}, hash: 0, compactRevision: 0, hashRevision: 0 }),
  {
    header: nested(1, () => header),
    hash: uint32(2),
    compactRevision: int64(3),
    hashRevision: int64(4),
  },
);

export const defragmentReply: Message<DefragmentReply> = message<DefragmentReply>(
  "DefragmentResponse",
  () => ({ header: {}, note: "" }),
  { header: nested(1, () => header), note: text(null) },
);

export const snapshotReply: Message<SnapshotReply> = message<SnapshotReply>(
  "SnapshotResponse",
  () => ({ header: {}, remainingBytes: 0, blob: new Uint8Array(0), version: "" }),
  {
    header: nested(1, () => header),
    remainingBytes: uint64(2),
    blob: bytes(3),
    version: text(4),
  },
);
