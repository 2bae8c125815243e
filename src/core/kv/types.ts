import type { AuthCommand, AuthErrorCode, Caller } from "./auth/types.ts";

/*
 * etcd v3's key-value requests and responses (etcdserverpb, mvccpb), in TypeScript's naming. Keys and values are
 * bytes. Revisions are safe integers; ids are bigint. In requests, an absent field means etcd's zero value.
 */

/** The store's logical clock: one step for each transaction that changes anything. An empty store is at 1. */
export type Revision = number;

/** A key's value and history counters, as of some revision. */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Revision of the put that created the key, after which it was not deleted. */
  readonly createRevision: Revision;
  /** Revision of the last change. */
  readonly modRevision: Revision;
  /** Number of puts since creation; 1 for the first. */
  readonly version: number;
  /** Lease the key is attached to; 0n for none. */
  readonly lease: bigint;
}

/**
 * How a range is ordered. `none`: by key, ascending; with another target, as `ascend`, but of what `limit` has left.
 */
export type SortOrder = "none" | "ascend" | "descend";
/** By what a range is ordered. */
export type SortTarget = "key" | "version" | "create" | "mod" | "value";

/** etcd's RangeRequest: one key, or a range of keys. The four bounds of revisions are inclusive; 0 or absent: none. */
export interface RangeRequest {
  readonly key: Uint8Array;
  /** Exclusive end. Absent or empty: just `key`. A single zero byte: everything from `key` on. */
  readonly rangeEnd?: Uint8Array;
  /** Most keys to return; 0 or absent: no limit. */
  readonly limit?: number;
  /** Read as of this revision; 0 or absent: the latest. */
  readonly revision?: Revision;
  readonly sortOrder?: SortOrder;
  readonly sortTarget?: SortTarget;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
  readonly minModRevision?: Revision;
  readonly maxModRevision?: Revision;
  readonly minCreateRevision?: Revision;
  readonly maxCreateRevision?: Revision;
  /** Ours: stop where `limit` does instead of counting on, so that a page costs what it holds. */
  readonly withoutCount?: boolean;
  /** Ours: stop, with `more`, before keys and values have more bytes than this; one key is always returned. */
  readonly maxBytes?: number;
}

/** etcd's RangeResponse. */
export interface RangeResponse {
  readonly kvs: readonly KeyValue[];
  /** Keys were left out because of `limit`, or `maxBytes`. */
  readonly more: boolean;
  /** Keys in the range, whatever the limit and filters; `withoutCount`, those that were looked at. */
  readonly count: number;
}

/** etcd's PutRequest. `lease` 0n or absent: none. With `prevKv` the answer has what was there before. */
export interface PutRequest {
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
  readonly lease?: bigint;
  readonly prevKv?: boolean;
  /** Keep the present value; it is an error to give one, or to name a missing key. */
  readonly ignoreValue?: boolean;
  /** Keep the present lease; likewise. */
  readonly ignoreLease?: boolean;
  /**
   * Ours: the key goes after so many milliseconds, unless it is put anew. It gets a lease of its own, which goes with
   * it. 0 or absent: it stays.
   */
  readonly ttlMs?: number;
}

/** etcd's PutResponse. `prevKv` is null where it was not asked for, or nothing was there. */
export interface PutResponse {
  readonly prevKv: KeyValue | null;
}

/** etcd's DeleteRangeRequest. `rangeEnd` as in a range request; with `prevKv` the answer has what was deleted. */
export interface DeleteRangeRequest {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
  readonly prevKv?: boolean;
}

/** etcd's DeleteRangeResponse: how many keys are gone, and, where asked for, what they were. */
export interface DeleteRangeResponse {
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

/** How what is there must stand to what the comparison names. */
export type CompareResult = "equal" | "greater" | "less" | "notEqual";

/** One condition of a transaction. With `rangeEnd` it must hold for every key in the range. */
export type Compare = {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
  readonly result: CompareResult;
} & (
  | { readonly target: "version"; readonly version: number }
  | { readonly target: "create"; readonly createRevision: Revision }
  | { readonly target: "mod"; readonly modRevision: Revision }
  | { readonly target: "value"; readonly value: Uint8Array }
  | { readonly target: "lease"; readonly lease: bigint }
);

/** One operation of a transaction. */
export type RequestOp =
  | { readonly type: "range"; readonly request: RangeRequest }
  | { readonly type: "put"; readonly request: PutRequest }
  | { readonly type: "deleteRange"; readonly request: DeleteRangeRequest }
  | { readonly type: "txn"; readonly request: TxnRequest };

/** etcd's TxnRequest: when every comparison holds, `success` is done, else `failure`; all of it in one revision. */
export interface TxnRequest {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure: readonly RequestOp[];
}

/** What one operation of a transaction gave. */
export type ResponseOp =
  | { readonly type: "range"; readonly response: RangeResponse }
  | { readonly type: "put"; readonly response: PutResponse }
  | { readonly type: "deleteRange"; readonly response: DeleteRangeResponse }
  | { readonly type: "txn"; readonly response: TxnResponse };

/** etcd's TxnResponse: whether the comparisons held, and what each operation of the branch that was done gave. */
export interface TxnResponse {
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
  /** The store's revision after this transaction (etcd puts it into each inner header). */
  readonly revision: Revision;
}

export interface CompactRequest {
  readonly revision: Revision;
}

export interface LeaseGrantCommand {
  readonly id: bigint;
  readonly ttlMs: number;
}

export interface LeaseRevokeRequest {
  readonly id: bigint;
}

/** A leader's decision that leases have ended. It counts only as an entry of the very term that it names. */
export interface LeaseExpireCommand {
  readonly term: number;
  readonly leases: readonly ExpiredLease[];
}

/** A lease by its id, and by its serial so that a later one of the same id is not meant. */
export interface ExpiredLease {
  readonly id: bigint;
  readonly serial: number;
}

/** One change of one key, as watchers are told of it (mvccpb.Event). */
export interface WatchEvent {
  readonly type: "put" | "delete";
  /** After the change; of a deleted key only `key` and `modRevision`. */
  readonly kv: KeyValue;
  /** Before the revision of the change; null for a key that was not there, or when it was not asked for. */
  readonly prevKv: KeyValue | null;
}

/** A write that can be given a name. */
export type NamedWrite =
  | { readonly type: "put"; readonly request: PutRequest }
  | { readonly type: "deleteRange"; readonly request: DeleteRangeRequest }
  | { readonly type: "txn"; readonly request: TxnRequest };

/** Ours: a write that is done once, however often it is asked for under its name. */
export interface OnceCommand {
  /** Its name: 1 to 64 printable ASCII characters. */
  readonly key: string;
  /** Tells it from another write under the same name: 16 hexadecimal digits. */
  readonly fingerprint: string;
  /** First of all, writes up to this serial are forgotten: whoever asks has known them for the whole time. */
  readonly forgetTo: number;
  readonly command: NamedWrite;
}

/** A command on somebody's behalf. Without it nobody is said to have asked for it. */
export interface CommandOf {
  readonly caller: Exclude<Caller, { readonly type: "anonymous" }>;
  readonly command: Exclude<KvCommand, { readonly type: "as" }>;
}

/**
 * What a member has warned of.
 *
 * - `noSpace`: a store has outgrown its quota. What lets it grow is refused on all members; deletions, compaction and
 *   the end of leases go on.
 * - `corrupt`: what a member holds cannot be trusted. Every change is refused, but for the end of leases by time.
 */
export type AlarmType = "noSpace" | "corrupt";

export interface Alarm {
  readonly type: AlarmType;
  /** Of the member that it is about. */
  readonly memberId: bigint;
}

export interface AlarmCommand {
  readonly action: "activate" | "deactivate";
  readonly alarm: Alarm;
}

/** What goes through the log. */
export type KvCommand =
  | NamedWrite
  | { readonly type: "as"; readonly request: CommandOf }
  | { readonly type: "once"; readonly request: OnceCommand }
  | { readonly type: "auth"; readonly request: AuthCommand }
  | { readonly type: "compact"; readonly request: CompactRequest }
  | { readonly type: "leaseGrant"; readonly request: LeaseGrantCommand }
  | { readonly type: "leaseRevoke"; readonly request: LeaseRevokeRequest }
  | { readonly type: "leaseExpire"; readonly request: LeaseExpireCommand }
  | { readonly type: "alarm"; readonly request: AlarmCommand };

/** Why a command had no effect. The names are those of the engine's error table. */
export type KvErrorCode =
  | "keyNotFound"
  | "leaseNotFound"
  | "leaseExists"
  | "tooManyLeases"
  | "tooManyAlarms"
  | "noSpace"
  | "corrupt"
  | "compacted"
  | "futureRevision"
  | "rangeTooLarge"
  | "idempotencyKeyReused"
  | "resultNotKept"
  | "malformed"
  | AuthErrorCode;

/** What the same write gave when it was done, which may be long ago. */
interface Replayable {
  readonly replayed?: true;
}

/** What a write that can be named gives. */
export type NamedResult =
  | ({ readonly type: "put"; readonly response: PutResponse; readonly revision: Revision } & Replayable)
  | ({
      readonly type: "deleteRange";
      readonly response: DeleteRangeResponse;
      readonly revision: Revision;
    } & Replayable)
  | ({ readonly type: "txn"; readonly response: TxnResponse; readonly revision: Revision } & Replayable)
  | { readonly type: "error"; readonly code: KvErrorCode; readonly revision: Revision };

/** What applying a command gives: the same on every replica. */
export type KvResult =
  | NamedResult
  | { readonly type: "auth"; readonly revision: Revision }
  | { readonly type: "compact"; readonly revision: Revision }
  | { readonly type: "leaseGrant"; readonly revision: Revision }
  | { readonly type: "leaseRevoke"; readonly revision: Revision }
  /** `expired`: the leases that it ended. */
  | { readonly type: "leaseExpire"; readonly expired: readonly bigint[]; readonly revision: Revision }
  /** `alarms`: those that it raised, found raised, or disarmed. */
  | { readonly type: "alarm"; readonly alarms: readonly Alarm[]; readonly revision: Revision };
