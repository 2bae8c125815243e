import type { AuthCommand } from "./auth/types.ts";
import type { KvCommand, PutRequest, RequestOp } from "./types.ts";

/*
 * What things count in the size of the store, which its quota bounds: bytes of keys and values as they are, and for
 * what keeps them a flat sum that is about right. The same on every member, so that their sizes can be compared.
 */

/** A version of a key besides its key and value: header, padding, its places in the tree and in the change log. */
export const VERSION_BYTES = 64;
/** A version with a lease besides: its place among the keys of the lease. */
export const ATTACHMENT_BYTES = 64;
/** A lease, and what a leader keeps for it. */
export const LEASE_BYTES = 256;
/** A user, a role or a permission besides its text and keys. */
export const AUTH_ENTRY_BYTES = 128;

/**
 * By how much a command can let the store grow; 0: it cannot, and is done even when space has run out. Deletions count
 * as none, though they are remembered until compaction: they are the way out. As in etcd, a transaction counts with
 * the larger of its branches, whichever will be taken (server/storage/quota.go).
 */
export function growthOf(command: KvCommand): number {
  return growthWith(command, NOTHING_KEPT);
}

/**
 * By how much of that a command copies what is there: values that its puts keep, which it does not bring along.
 *
 * @param valueLength of a key, as far as it is known; 0 where there is none.
 */
export function copiedBy(command: KvCommand, valueLength: ValueLength): number {
  return growthWith(command, valueLength) - growthOf(command);
}

type ValueLength = (key: Uint8Array) => number;

const NOTHING_KEPT: ValueLength = () => 0;

function growthWith(command: KvCommand, kept: ValueLength): number {
  switch (command.type) {
    case "put":
    case "txn":
      return growthOfOp(command, kept);
    case "leaseGrant":
      return LEASE_BYTES;
    case "auth":
      return growthOfAuth(command.request);
    case "once":
    case "as":
      return growthWith(command.request.command, kept);
    default:
      return 0;
  }
}

function growthOfOp(op: RequestOp, kept: ValueLength): number {
  switch (op.type) {
    case "put":
      return growthOfPut(op.request) + (op.request.ignoreValue === true ? kept(op.request.key) : 0);
    case "txn":
      return Math.max(sumOf(op.request.success, kept), sumOf(op.request.failure, kept));
    default:
      return 0;
  }
}

function sumOf(ops: readonly RequestOp[], kept: ValueLength): number {
  return ops.reduce((sum, op) => sum + growthOfOp(op, kept), 0);
}

function growthOfPut({ key, value, lease = 0n, ttlMs = 0 }: PutRequest): number {
  const attached = lease !== 0n || ttlMs > 0 ? ATTACHMENT_BYTES : 0;
  return VERSION_BYTES + attached + (ttlMs > 0 ? LEASE_BYTES : 0) + key.length + (value?.length ?? 0);
}

/** Unlike in etcd, which counts none of it. A password in the place of another does not count: it may be urgent. */
function growthOfAuth(change: AuthCommand): number {
  switch (change.op) {
    case "userAdd":
      return AUTH_ENTRY_BYTES + change.name.length + (change.passwordHash?.length ?? 0);
    case "userGrantRole":
      return change.role.length;
    case "roleAdd":
      return AUTH_ENTRY_BYTES + change.role.length;
    case "roleGrantPermission":
      return AUTH_ENTRY_BYTES + change.permission.key.length + change.permission.rangeEnd.length;
    default:
      return 0;
  }
}
