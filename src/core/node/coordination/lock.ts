import { EngineError } from "../../errors/index.ts";
import type { Revision } from "../../kv/index.ts";
import type { WithHeader } from "../engine.ts";
import { leave, type Place, type QueueEngine, takePlace, waitForTurn, withLease } from "./queue.ts";

/** etcd's v3lockpb.LockRequest. */
export interface LockRequest {
  readonly name: Uint8Array;
  /**
   * The lock goes when this lease does, so whoever holds it must keep the lease alive. 0n or absent: one of 60 s is
   * granted.
   */
  readonly lease?: bigint;
  /** Ours: do not wait; `lockHeld` when somebody else has it. */
  readonly tryLock?: boolean;
}

/** etcd's v3lockpb.LockResponse. */
export interface LockResponse extends WithHeader {
  /** Exists as long as the lock is held; what `unlock` takes. */
  readonly key: Uint8Array;
  readonly lease: bigint;
  /**
   * Ours: the fencing token. It grows from holder to holder. A lock alone protects nothing: a holder may be paused,
   * lose its lease, and go on writing when it wakes. So whatever the lock protects must be told the token, and
   * refuse a smaller one than it has seen. In this store that is a comparison in the same transaction: of `key`'s
   * create revision with the token, which fails once the lock has gone.
   */
  readonly fencingToken: Revision;
}

/** etcd's v3lockpb.UnlockRequest. */
export interface UnlockRequest {
  readonly key: Uint8Array;
  /** Ours: unlock only what was locked with this token, not what the same lease has locked since. 0: whatever. */
  readonly fencingToken?: Revision;
}

/**
 * Takes the lock `name`, or waits until it can: in the order of those who ask. Asked again with the same lease it
 * gives the same lock again. Who gives up waiting (`signal`) leaves the line.
 *
 * @throws EngineError `leaseNotFound`; `sessionExpired` when the lease went while waiting; `lockHeld`; `canceled`.
 */
export async function lock(
  engine: QueueEngine,
  { name, lease = 0n, tryLock = false }: LockRequest,
  signal?: AbortSignal,
): Promise<LockResponse> {
  return await withLease(engine, lease, async (id) => {
    const place = await takePlace(engine, name, id, NOTHING, tryLock);
    if (place === null) throw new EngineError("lockHeld", { retryAfterMs: 1000 });
    await reachHead(engine, name, place, signal);
    return { key: place.key, lease: id, fencingToken: place.revision, header: engine.header() };
  });
}

/** Waits for its turn; whoever does not get it leaves the line. */
export async function reachHead(
  engine: QueueEngine,
  name: Uint8Array,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    if (signal?.aborted === true) throw new EngineError("canceled");
    if (!place.isFirst) await waitForTurn(engine, name, place, signal);
  } catch (error) {
    // A place that was there before belongs to another call with the same lease.
    if (place.isNew) await leave(engine, place).catch(() => {});
    throw error;
  }
}

/** Gives a lock back. Not held (any more): nothing happens. */
export async function unlock(
  engine: QueueEngine,
  { key, fencingToken = 0 }: UnlockRequest,
): Promise<WithHeader> {
  if (fencingToken !== 0) return { header: (await leave(engine, { key, revision: fencingToken })).header };
  const { header } = await engine.txn({
    compare: [],
    success: [{ type: "deleteRange", request: { key } }],
    failure: [],
  });
  return { header };
}

const NOTHING: Uint8Array = new Uint8Array(0);
