import { bigInt64, bool, bytesList, int64, list, type Message, message, nested } from "../codec/schema.ts";
import { header, type HeaderMessage } from "./kv-messages.ts";

/*
 * etcdserverpb's Lease messages. Times to live are in whole seconds; `ttl_ms` is ours, and in replies only where
 * seconds do not say it all.
 */

export interface LeaseGrantMessage {
  readonly ttl: number;
  readonly id: bigint;
  /** Instead, in milliseconds; below etcd's minimum too. */
  readonly ttlMs: number;
}

export interface LeaseIdMessage {
  readonly id: bigint;
}

export interface LeaseTimeToLiveMessage {
  readonly id: bigint;
  readonly keys: boolean;
}

/** Of a grant and of a renewal. */
export interface LeaseReply {
  readonly header: HeaderMessage;
  readonly id: bigint;
  readonly ttl: number;
  readonly ttlMs: number;
}

/** A time to live in seconds, rounded up: below one second is not 0, which would say that the lease is gone. */
export function leaseReplyOf(reply: {
  readonly header: HeaderMessage;
  readonly id: bigint;
  readonly ttlMs: number;
}): LeaseReply {
  const { header: head, id, ttlMs } = reply;
  return { header: head, id, ttl: Math.ceil(ttlMs / 1000), ttlMs: msBesideSeconds(ttlMs, ttlMs) };
}

export function leaseTimeToLiveReplyOf(reply: {
  readonly header: HeaderMessage;
  readonly id: bigint;
  readonly remainingMs: number;
  readonly ttlMs: number;
  readonly keys: readonly Uint8Array[];
}): LeaseTimeToLiveReply {
  const { header: head, id, remainingMs, ttlMs, keys } = reply;
  return {
    header: head,
    id,
    // Rounded down, as etcd does; -1 for a lease that is not there stays what it is.
    ttl: Math.floor(remainingMs / (remainingMs < 0 ? 1 : 1000)),
    ttlMs: msBesideSeconds(ttlMs, remainingMs),
    grantedTtl: Math.ceil(ttlMs / 1000),
    keys,
  };
}

/** `ms` for a lease that was granted milliseconds, 0 (and so nothing in the reply) for one of whole seconds. */
function msBesideSeconds(grantedMs: number, ms: number): number {
  return grantedMs % 1000 === 0 ? 0 : ms;
}

export interface LeaseTimeToLiveReply extends LeaseReply {
  readonly grantedTtl: number;
  readonly keys: readonly Uint8Array[];
}

export interface LeasesReply {
  readonly header: HeaderMessage;
  readonly leases: readonly LeaseIdMessage[];
}

const NO_HEADER: HeaderMessage = {};

export const leaseGrantRequest: Message<LeaseGrantMessage> = message<LeaseGrantMessage>(
  "LeaseGrantRequest",
  () => ({ ttl: 0, id: 0n, ttlMs: 0 }),
  { ttl: int64(1, "TTL"), id: bigInt64(2, "ID"), ttlMs: int64(null) },
);

export const leaseIdRequest: Message<LeaseIdMessage> = message<LeaseIdMessage>(
  "LeaseRequest",
  () => ({ id: 0n }),
  { id: bigInt64(1, "ID") },
);

export const leaseTimeToLiveRequest: Message<LeaseTimeToLiveMessage> = message<LeaseTimeToLiveMessage>(
  "LeaseTimeToLiveRequest",
  () => ({ id: 0n, keys: false }),
  { id: bigInt64(1, "ID"), keys: bool(2) },
);

export const leaseReply: Message<LeaseReply> = message<LeaseReply>(
  "LeaseResponse",
  () => ({ header: NO_HEADER, id: 0n, ttl: 0, ttlMs: 0 }),
  { header: nested(1, () => header), id: bigInt64(2, "ID"), ttl: int64(3, "TTL"), ttlMs: int64(null) },
);

export const leaseTimeToLiveReply: Message<LeaseTimeToLiveReply> = message<LeaseTimeToLiveReply>(
  "LeaseTimeToLiveResponse",
  () => ({ header: NO_HEADER, id: 0n, ttl: 0, ttlMs: 0, grantedTtl: 0, keys: [] }),
  {
    header: nested(1, () => header),
    id: bigInt64(2, "ID"),
    ttl: int64(3, "TTL"),
    ttlMs: int64(null),
    grantedTtl: int64(4, "grantedTTL"),
    keys: bytesList(5),
  },
);

const leaseStatus: Message<LeaseIdMessage> = message<LeaseIdMessage>("LeaseStatus", () => ({ id: 0n }), {
  id: bigInt64(1, "ID"),
});

export const leasesReply: Message<LeasesReply> = message<LeasesReply>(
  "LeaseLeasesResponse",
  () => ({ header: NO_HEADER, leases: [] }),
  { header: nested(1, () => header), leases: list(2, () => leaseStatus) },
);
