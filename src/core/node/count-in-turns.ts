import { EngineError } from "../errors/index.ts";
import { isSingleKey, keyRange, type KvStore, type RangeRequest, type RangeResponse } from "../kv/index.ts";
import type { Clock } from "./ports.ts";

/** So many changes or keys are counted at once: a few milliseconds. */
const COUNTED_PER_TURN = 10_000;

/**
 * The count of a range as of an earlier revision, where that may be much work (at the present one it never is): a few
 * thousand keys at a time, while the node goes on working. Null where there is nothing to do ahead.
 *
 * @throws EngineError `compacted`, also when that happens meanwhile; `canceled`.
 */
export async function countInTurns(
  store: KvStore,
  clock: Clock,
  { key, rangeEnd, revision = 0, withoutCount }: RangeRequest,
  signal?: AbortSignal,
): Promise<number | null> {
  if (revision <= 0 || withoutCount === true || isSingleKey(rangeEnd)) return null;
  if (revision > store.revision || store.changesSince(revision) <= COUNTED_PER_TURN) return null;
  const { from, to } = keyRange(key, rangeEnd!);
  let count = 0;
  for (let next: Uint8Array | null = from; next !== null;) {
    const part = store.countPart({ from: next, to }, revision, COUNTED_PER_TURN);
    count += part.count;
    next = part.next;
    if (next !== null) await new Promise<void>((resolve) => void clock.setTimer(0, resolve));
    if (signal?.aborted === true) throw new EngineError("canceled");
  }
  return count;
}

/** The range, with a count that is known already if it is not null. @throws EngineError as `KvStore.range`. */
export function readCounted(
  store: KvStore,
  request: RangeRequest,
  count: number | null,
  maxBytes: number,
): RangeResponse {
  if (count === null) return store.range(request, maxBytes);
  if (request.countOnly === true) return { kvs: [], more: false, count };
  return { ...store.range({ ...request, withoutCount: true }, maxBytes), count };
}
