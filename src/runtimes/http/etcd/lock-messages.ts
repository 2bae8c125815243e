import type { KeyValue } from "../../../core/kv/index.ts";
import { bigInt64, bool, bytes, int64, type Message, message, nested } from "../codec/schema.ts";
import { header, type HeaderMessage, keyValue } from "./kv-messages.ts";

/*
 * v3lockpb and v3electionpb (etcd: server/etcdserver/api/v3lock/v3lockpb, v3election/v3electionpb). What has no
 * number is ours.
 */

export interface LockMessage {
  readonly name: Uint8Array;
  readonly lease: bigint;
  readonly tryLock: boolean;
}

export interface LockReply {
  readonly header: HeaderMessage;
  readonly key: Uint8Array;
  readonly lease: bigint;
  readonly fencingToken: number;
}

export interface UnlockMessage {
  readonly key: Uint8Array;
  readonly fencingToken: number;
}

export interface CampaignMessage {
  readonly name: Uint8Array;
  readonly lease: bigint;
  readonly value: Uint8Array;
}

export interface LeaderKeyMessage {
  readonly name: Uint8Array;
  readonly key: Uint8Array;
  readonly rev: number;
  readonly lease: bigint;
}

export interface CampaignReply {
  readonly header: HeaderMessage;
  readonly leader: LeaderKeyMessage | null;
}

export interface LeaderMessage {
  readonly name: Uint8Array;
}

export interface LeaderReply {
  readonly header: HeaderMessage;
  readonly kv: KeyValue | null;
}

export interface ProclaimMessage {
  readonly leader: LeaderKeyMessage | null;
  readonly value: Uint8Array;
}

export interface ResignMessage {
  readonly leader: LeaderKeyMessage | null;
}

const NO_BYTES = new Uint8Array(0);
const NO_HEADER: HeaderMessage = {};

export const lockRequest: Message<LockMessage> = message<LockMessage>(
  "LockRequest",
  () => ({ name: NO_BYTES, lease: 0n, tryLock: false }),
  { name: bytes(1), lease: bigInt64(2), tryLock: bool(null) },
);

export const lockReply: Message<LockReply> = message<LockReply>(
  "LockResponse",
  () => ({ header: NO_HEADER, key: NO_BYTES, lease: 0n, fencingToken: 0 }),
  { header: nested(1, () => header), key: bytes(2), lease: bigInt64(null), fencingToken: int64(null) },
);

export const unlockRequest: Message<UnlockMessage> = message<UnlockMessage>(
  "UnlockRequest",
  () => ({ key: NO_BYTES, fencingToken: 0 }),
  { key: bytes(1), fencingToken: int64(null) },
);

export const campaignRequest: Message<CampaignMessage> = message<CampaignMessage>(
  "CampaignRequest",
  () => ({ name: NO_BYTES, lease: 0n, value: NO_BYTES }),
  { name: bytes(1), lease: bigInt64(2), value: bytes(3) },
);

const leaderKey: Message<LeaderKeyMessage> = message<LeaderKeyMessage>(
  "LeaderKey",
  () => ({ name: NO_BYTES, key: NO_BYTES, rev: 0, lease: 0n }),
  { name: bytes(1), key: bytes(2), rev: int64(3), lease: bigInt64(4) },
);

export const campaignReply: Message<CampaignReply> = message<CampaignReply>(
  "CampaignResponse",
  () => ({ header: NO_HEADER, leader: null }),
  { header: nested(1, () => header), leader: nested(2, () => leaderKey) },
);

export const leaderRequest: Message<LeaderMessage> = message<LeaderMessage>(
  "LeaderRequest",
  () => ({ name: NO_BYTES }),
  { name: bytes(1) },
);

export const leaderReply: Message<LeaderReply> = message<LeaderReply>(
  "LeaderResponse",
  () => ({ header: NO_HEADER, kv: null }),
  { header: nested(1, () => header), kv: nested(2, () => keyValue) },
);

export const proclaimRequest: Message<ProclaimMessage> = message<ProclaimMessage>(
  "ProclaimRequest",
  () => ({ leader: null, value: NO_BYTES }),
  { leader: nested(1, () => leaderKey), value: bytes(2) },
);

export const resignRequest: Message<ResignMessage> = message<ResignMessage>(
  "ResignRequest",
  () => ({ leader: null }),
  { leader: nested(1, () => leaderKey) },
);
