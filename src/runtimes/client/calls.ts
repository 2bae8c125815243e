import { EngineError } from "../../core/errors/index.ts";
import type {
  CompactRequest,
  DeleteRangeRequest,
  LeaseRevokeRequest,
  PutRequest,
} from "../../core/kv/index.ts";
import type { MemberAddRequest } from "../../core/node/index.ts";
import { portableBase64 } from "../http/base64.ts";
import { decodeJsonBody } from "../http/codec/json-body.ts";
import { type JsonDecoder, JsonDecoders } from "../http/codec/json-decode.ts";
import { type JsonEncoder, JsonEncoders } from "../http/codec/json-encode.ts";
import { type Message, type MessageInfo, text } from "../http/codec/schema.ts";
import * as cluster from "../http/etcd/cluster-messages.ts";
import * as kv from "../http/etcd/kv-messages.ts";
import * as lease from "../http/etcd/lease-messages.ts";
import { type CheckedTxn, checkedRange, checkedTxn } from "./checked-replies.ts";
import { errorOfStream } from "./reply-error.ts";
import { type WatchReply, watchReply, type WatchRequest, watchRequest } from "../http/etcd/watch-messages.ts";

/** One of the API's methods, from the side that calls it. */
export interface Call<Req, Res> {
  readonly path: string;
  readonly encode: JsonEncoder<Req>;
  /** Reads a reply to this request. @throws EngineError `badReply`. */
  readonly decode: (body: string, request: Req) => Res;
  /** Done twice, it does no more than once: a read, or the renewal of a lease. */
  readonly repeatable: boolean;
}

/** What every reply has. */
export interface Reply {
  readonly header: kv.HeaderMessage;
}

/** The methods, compiled for one client. */
export class Calls {
  readonly #encoders = new JsonEncoders(portableBase64);
  readonly #decoders = new JsonDecoders(portableBase64);

  readonly range: Call<kv.RangeMessage, kv.RangeReply> = checked(
    this.#read("/kv/range", withPolicy(kv.rangeRequest), kv.rangeReply),
    checkedRange,
  );
  readonly put: Call<PutRequest, kv.PutReply> = this.#write("/kv/put", kv.putRequest, kv.putReply);
  readonly deleteRange: Call<DeleteRangeRequest, kv.DeleteRangeReply> = this.#write(
    "/kv/deleterange",
    kv.deleteRangeRequest,
    kv.deleteRangeReply,
  );
  readonly txn: Call<kv.TxnMessage, CheckedTxn & Reply> = checked(
    this.#write("/kv/txn", withPolicy(kv.txnRequest), kv.txnReply),
    (request, reply) => ({ header: reply.header, ...checkedTxn(request, reply) }),
  );
  readonly compact: Call<CompactRequest, kv.HeaderReply> = this.#write(
    "/kv/compaction",
    kv.compactRequest,
    kv.headerReply,
  );
  readonly leaseGrant: Call<lease.LeaseGrantMessage, lease.LeaseReply> = this.#write(
    "/lease/grant",
    lease.leaseGrantRequest,
    lease.leaseReply,
  );
  readonly leaseRevoke: Call<LeaseRevokeRequest, kv.HeaderReply> = this.#write(
    "/lease/revoke",
    lease.leaseIdRequest,
    kv.headerReply,
  );
  readonly leaseTimeToLive: Call<lease.LeaseTimeToLiveMessage, lease.LeaseTimeToLiveReply> = this.#read(
    "/lease/timetolive",
    lease.leaseTimeToLiveRequest,
    lease.leaseTimeToLiveReply,
  );
  readonly leases: Call<object, lease.LeasesReply> = this.#read(
    "/lease/leases",
    cluster.emptyRequest,
    lease.leasesReply,
  );
  readonly memberList: Call<cluster.MemberListMessage, cluster.MembersReply> = this.#read(
    "/cluster/member/list",
    cluster.memberListRequest,
    cluster.membersReply,
  );
  readonly memberAdd: Call<MemberAddRequest, cluster.MemberAddReply> = this.#write(
    "/cluster/member/add",
    cluster.memberAddRequest,
    cluster.memberAddReply,
  );
  readonly memberRemove: Call<cluster.MemberIdMessage, cluster.MembersReply> = this.#write(
    "/cluster/member/remove",
    cluster.memberIdRequest,
    cluster.membersReply,
  );
  readonly memberUpdate: Call<cluster.MemberUpdateMessage, cluster.MembersReply> = this.#write(
    "/cluster/member/update",
    cluster.memberUpdateRequest,
    cluster.membersReply,
  );
  readonly memberPromote: Call<cluster.MemberIdMessage, cluster.MembersReply> = this.#write(
    "/cluster/member/promote",
    cluster.memberIdRequest,
    cluster.membersReply,
  );
  readonly status: Call<object, cluster.StatusReply> = this.#read(
    "/maintenance/status",
    cluster.emptyRequest,
    cluster.statusReply,
  );
  readonly moveLeader: Call<cluster.MoveLeaderMessage, kv.HeaderReply> = this.#write(
    "/maintenance/transfer-leadership",
    cluster.moveLeaderRequest,
    kv.headerReply,
  );
  /** A stream's route, but one request has one reply. */
  readonly leaseKeepAlive: Call<lease.LeaseIdMessage, lease.LeaseReply> = {
    path: "/lease/keepalive",
    encode: this.#encoders.of(lease.leaseIdRequest),
    decode: onlyResult(this.#decoders.of(lease.leaseReply)),
    repeatable: true,
  };

  readonly encodeWatch: JsonEncoder<WatchRequest> = this.#encoders.of(watchRequest);
  readonly decodeWatch: JsonDecoder<WatchReply> = this.#decoders.of(watchReply);

  #read<Req, Res>(path: string, request: Message<Req>, response: Message<Res>): Call<Req, Res> {
    return this.#call(path, request, response, true);
  }

  #write<Req, Res>(path: string, request: Message<Req>, response: Message<Res>): Call<Req, Res> {
    return this.#call(path, request, response, false);
  }

  #call<Req, Res>(
    path: string,
    request: Message<Req>,
    response: Message<Res>,
    repeatable: boolean,
  ): Call<Req, Res> {
    const decode = this.#decoders.of(response);
    const read = (body: string): Res => decodeReply(body, decode);
    return { path, encode: this.#encoders.of(request), decode: read, repeatable };
  }
}

/** A method whose replies are compared with the request. */
function checked<Req, Res, Sound>(
  { path, encode, decode, repeatable }: Call<Req, Res>,
  check: (request: Req, reply: Res) => Sound,
): Call<Req, Sound> {
  return { path, encode, repeatable, decode: (body, request) => check(request, decode(body, request)) };
}

/** Reads a reply, of which anything may be wrong. */
function decodeReply<T>(body: string, decode: JsonDecoder<T>): T {
  // The server takes an empty body for an empty message; no reply is empty.
  if (body === "") throw new EngineError("badReply", { detail: "it is empty" });
  try {
    return decodeJsonBody(body, decode, "reply");
  } catch (error) {
    throw asBadReply(error);
  }
}

function asBadReply(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  return new EngineError("badReply", { detail: error.detail ?? error.message });
}

/** The one message of a stream that has one. */
function onlyResult<T>(decode: JsonDecoder<T>): (body: string) => T {
  return (body) => readMessage(body.trimEnd(), decode);
}

/**
 * A line of a stream: `{"result": ...}` or `{"error": ...}`.
 *
 * @throws EngineError the stream's own, or `badReply`.
 */
export function readMessage<T>(line: string, decode: JsonDecoder<T>): T {
  let ended: EngineError | null = null;
  const message = decodeReply(line, (json) => {
    const { result, error } = (json ?? {}) as { readonly result?: unknown; readonly error?: unknown };
    if (error !== undefined) ended = errorOfStream(error);
    return ended === null ? decode(result ?? null) : null;
  });
  if (ended !== null) throw ended as EngineError;
  return message as T;
}

/**
 * In the schema a policy is an enum, whose first value JSON leaves out; here it must always be said, since the server
 * may have another default.
 */
function withPolicy<T>(message: Message<T>): Message<T> {
  const info: MessageInfo = message;
  if (info.shape !== "record") return message;
  return { ...info, fields: new Map([...info.fields, ["consistency", text(null)]]) };
}
