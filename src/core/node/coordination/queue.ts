import { EngineError } from "../../errors/index.ts";
import type { KeyValue, RangeRequest, ResponseOp, Revision } from "../../kv/index.ts";
import type { Engine } from "../engine.ts";
import type { WatchResponse, WatchStream, WatchStreamOptions } from "../watch/messages.ts";

/** What locks and elections need of an engine, near or far. */
export interface QueueEngine extends Pick<Engine, "header" | "range" | "txn" | "leaseGrant" | "leaseRevoke"> {
  /** As {@link Engine.watch}; all watches are created before the first response is asked for. */
  watch(
    options?: WatchStreamOptions,
  ): Pick<WatchStream, "create" | "next" | "close"> & AsyncIterable<WatchResponse>;
}

/** A key that waits in line, or has come to its head. */
export interface Place {
  readonly key: Uint8Array;
  /** The key's create revision: it orders the line, and no later place in it has the same. */
  readonly revision: Revision;
  readonly lease: bigint;
  /** Whether this very call put the key there. */
  readonly isNew: boolean;
  readonly isFirst: boolean;
  /** What the key holds. */
  readonly value: Uint8Array;
}

/** How long the lease of a caller who brings none lives, in seconds: etcd's default session. */
const SESSION_TTL_SECONDS = 60;

const ENCODER = new TextEncoder();
const SLASH = 0x2f;

/** All keys in line for `name`, as etcd has it: those that begin with the name and a slash. */
export function lineOf(name: Uint8Array): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const key = new Uint8Array(name.length + 1);
  key.set(name);
  key[name.length] = SLASH;
  const rangeEnd = key.slice();
  rangeEnd[name.length] = SLASH + 1;
  return { key, rangeEnd };
}

/** The place of a lease in the line: the name, a slash, and the lease in hexadecimal (Go's `%x`). */
export function placeKey(name: Uint8Array, lease: bigint): Uint8Array {
  const suffix = ENCODER.encode(`/${lease.toString(16)}`);
  const key = new Uint8Array(name.length + suffix.length);
  key.set(name);
  key.set(suffix, name.length);
  return key;
}

/** Whoever is first in line. */
export function firstInLine(name: Uint8Array): RangeRequest {
  return { ...lineOf(name), sortTarget: "create", sortOrder: "ascend", limit: 1 };
}

/** Runs `work` with the caller's lease, or one granted for it, which does not outlive a failure. */
export async function withLease<T>(
  engine: QueueEngine,
  given: bigint,
  work: (lease: bigint) => Promise<T>,
): Promise<T> {
  if (given !== 0n) return await work(given);
  const { id } = await engine.leaseGrant({ ttlSeconds: SESSION_TTL_SECONDS });
  try {
    return await work(id);
  } catch (error) {
    await engine.leaseRevoke({ id }).catch(() => {});
    throw error;
  }
}

/**
 * Takes a place in line for `name`: the lease's own, if it has one there already.
 *
 * @param onlyFirst take it only at the head of the line.
 * @returns null when `onlyFirst` cannot be.
 */
export async function takePlace(
  engine: QueueEngine,
  name: Uint8Array,
  lease: bigint,
  value: Uint8Array,
  onlyFirst: boolean,
): Promise<Place | null> {
  const key = placeKey(name, lease);
  const absent = { target: "create", result: "equal", createRevision: 0 } as const;
  const first = { type: "range", request: firstInLine(name) } as const;
  const { succeeded, responses, revision } = await engine.txn({
    compare: [onlyFirst ? { ...lineOf(name), ...absent } : { key, ...absent }],
    success: [{ type: "put", request: { key, value, lease } }, first],
    failure: [{ type: "range", request: { key } }, first],
  });
  const head = kvOf(responses[1]);
  if (succeeded) {
    return { key, revision, lease, isNew: true, isFirst: head?.createRevision === revision, value };
  }
  const own = kvOf(responses[0]);
  if (own === null) return null;
  const isFirst = head?.createRevision === own.createRevision;
  if (onlyFirst && !isFirst) return null;
  return { key, revision: own.createRevision, lease, isNew: false, isFirst, value: own.value };
}

/**
 * Waits until everybody before this place has gone.
 *
 * @throws EngineError `sessionExpired` when the place itself has gone, with its lease or otherwise.
 */
export async function waitForTurn(
  engine: QueueEngine,
  name: Uint8Array,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ahead: RangeRequest = {
    ...lineOf(name),
    maxCreateRevision: place.revision - 1,
    sortTarget: "create",
    sortOrder: "descend",
    limit: 1,
  };
  const own: RangeRequest = { key: place.key, keysOnly: true };
  for (;;) {
    const { responses, revision } = await engine.txn({
      compare: [],
      success: [
        { type: "range", request: ahead },
        { type: "range", request: own },
      ],
      failure: [],
    });
    // Last of all, so that nobody is let in whose lease went while they waited (etcd issue 11456).
    if (kvOf(responses[1])?.createRevision !== place.revision) throw new EngineError("sessionExpired");
    const before = kvOf(responses[0]);
    if (before === null) return;
    await untilOneIsGone(engine, [before.key, place.key], revision + 1, signal);
  }
}

/** Waits until one of the keys has been deleted, at this revision or later. */
async function untilOneIsGone(
  engine: QueueEngine,
  keys: readonly Uint8Array[],
  startRevision: Revision,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stream = engine.watch(signal === undefined ? {} : { signal });
  try {
    for (const key of keys) stream.create({ key, startRevision, filters: ["noPut"] });
    for await (const { events, canceled, cancelReason, compactRevision } of stream) {
      // Compacted: look at the line again.
      if (events.length > 0 || compactRevision > 0) return;
      if (canceled) throw new EngineError("tooManyRequests", { detail: cancelReason, retryAfterMs: 1000 });
    }
  } finally {
    stream.close();
  }
}

/** Gives a place up. Only this very one: not one that the same lease has taken since. */
export async function leave(
  engine: QueueEngine,
  { key, revision }: Pick<Place, "key" | "revision">,
): Promise<{ readonly left: boolean; readonly header: Awaited<ReturnType<Engine["txn"]>>["header"] }> {
  const { succeeded, header } = await engine.txn({
    compare: [{ key, target: "create", result: "equal", createRevision: revision }],
    success: [{ type: "deleteRange", request: { key } }],
    failure: [],
  });
  return { left: succeeded, header };
}

export function kvOf(response: ResponseOp | undefined): KeyValue | null {
  return response?.type === "range" ? (response.response.kvs[0] ?? null) : null;
}
