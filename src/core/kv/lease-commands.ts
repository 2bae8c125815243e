import type { Keyspace } from "./keyspace.ts";
import { Refused } from "./txn.ts";
import type { LeaseExpireCommand, LeaseGrantCommand, LeaseRevokeRequest } from "./types.ts";

/** @throws Refused `leaseExists`, `tooManyLeases`. */
export function executeLeaseGrant({ leases }: Keyspace, { id, ttlMs }: LeaseGrantCommand): void {
  if (leases.has(id)) throw new Refused("leaseExists");
  if (leases.isFull) throw new Refused("tooManyLeases");
  leases.grant(id, ttlMs, false);
}

/** Ends a lease and, in one revision, every key attached to it. @throws Refused `leaseNotFound`. */
export function executeLeaseRevoke(keyspace: Keyspace, { id }: LeaseRevokeRequest): void {
  const { leases } = keyspace;
  if (!leases.has(id)) throw new Refused("leaseNotFound");
  for (const key of leaseKeys(keyspace, id)) keyspace.delete(key);
  leases.remove(id);
}

/**
 * Ends those of the leases that are still there, each in a revision of its own. Nothing happens unless the command
 * comes in an entry of the term in which it was decided: that term's leader alone knows of the renewals.
 *
 * @param term of the log entry.
 * @returns those that it ended.
 */
export function executeLeaseExpire(keyspace: Keyspace, command: LeaseExpireCommand, term: number): bigint[] {
  if (command.term !== term) return [];
  const expired: bigint[] = [];
  for (const { id, serial } of command.leases) {
    if (keyspace.leases.get(id)?.serial !== serial) continue;
    executeLeaseRevoke(keyspace, { id });
    keyspace.commit();
    expired.push(id);
  }
  return expired;
}

/** The keys attached to a lease, ascending. */
export function leaseKeys({ heap, leases }: Keyspace, id: bigint): Uint8Array[] {
  const handles = [...leases.keysOf(id)];
  handles.sort((a, b) => heap.compareKey(a, heap.keyView(b)));
  return handles.map((handle) => heap.keyCopy(handle));
}
