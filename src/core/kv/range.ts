import { compareBytes } from "../bytes/index.ts";
import { isSingleKey, keyRange } from "./key.ts";
import type { KeyRange } from "./key.ts";
import type { Keyspace } from "./keyspace.ts";
import type { ReadBudget } from "./read-budget.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";
import type { KeyValue, RangeRequest, RangeResponse, Revision, SortTarget } from "./types.ts";

/** Why a read at `revision` (0 or less: the latest) cannot be served by a store at `current`; null when it can. */
export function checkReadRevision(
  revision: Revision,
  current: Revision,
  compactRevision: Revision,
): "futureRevision" | "compacted" | null {
  if (revision > current) return "futureRevision";
  return revision > 0 && revision < compactRevision ? "compacted" : null;
}

/**
 * etcd's Range, on a revision that was checked before. Filters and sorting come after the scan and the limit after
 * them, except that keys in their natural order are never read beyond the limit (etcd: server/etcdserver/txn/range.go).
 *
 * @throws what the budget refuses with, before the answer is built.
 */
export function executeRange(keyspace: Keyspace, request: RangeRequest, budget: ReadBudget): RangeResponse {
  const revision = (request.revision ?? 0) > 0 ? request.revision! : keyspace.readRevision;
  const limit = Math.max(request.limit ?? 0, 0);
  const keep = request.countOnly ? 0 : limit === 0 || !keepsScanOrder(request) ? Infinity : limit + 1;
  const { found, count } = collect(keyspace, request, revision, keep, budget);
  if (request.countOnly) return { kvs: [], more: false, count };

  const { heap } = keyspace;
  const chosen = hasFilters(request) ? found.filter((handle) => passes(heap, handle, request)) : found;
  sort(heap, chosen, request);
  const most = Math.min(limit > 0 ? limit : Infinity, fitting(heap, chosen, request));
  const more = chosen.length > most;
  if (more) chosen.length = most;
  const withValues = request.keysOnly !== true;
  for (const handle of chosen) budget.answer(heap, handle, withValues);
  return { kvs: chosen.map((handle) => heap.toKeyValue(handle, withValues)), more, count };
}

/** How many of them `maxBytes` allows. */
function fitting(heap: RecordHeap, chosen: readonly RecordHandle[], request: RangeRequest): number {
  const { maxBytes, keysOnly } = request;
  if (maxBytes === undefined) return Infinity;
  let bytes = 0;
  const end = chosen.findIndex((handle) => {
    bytes += heap.keyLength(handle) + (keysOnly === true ? 0 : heap.valueLength(handle));
    return bytes > maxBytes;
  });
  return end === -1 ? Infinity : Math.max(1, end);
}

/** How much of a range is read at a time. */
export interface PageLimits {
  readonly maxKeys: number;
  /** Of keys and values. */
  readonly maxBytes: number;
}

export interface RangePage {
  readonly kvs: readonly KeyValue[];
  /** Where the next page begins; null at the end. */
  readonly next: Uint8Array | null;
}

/** A part of a range, on a revision that was checked before. */
export function readPage(
  keyspace: Keyspace,
  range: KeyRange,
  revision: Revision,
  { maxKeys, maxBytes }: PageLimits,
): RangePage {
  const { heap } = keyspace;
  const kvs: KeyValue[] = [];
  let bytes = 0;
  let next: Uint8Array | null = null;
  keyspace.scan(range, revision, (handle) => {
    bytes += heap.keyLength(handle) + heap.valueLength(handle);
    if (kvs.length > 0 && (kvs.length === maxKeys || bytes > maxBytes)) {
      next = heap.keyCopy(handle);
      return false;
    }
    kvs.push(heap.toKeyValue(handle));
    return true;
  });
  return { kvs, next };
}

function collect(
  keyspace: Keyspace,
  request: RangeRequest,
  revision: Revision,
  keep: number,
  budget: ReadBudget,
): { found: RecordHandle[]; count: number } {
  const found: RecordHandle[] = [];
  if (isSingleKey(request.rangeEnd)) {
    const handle = keyspace.get(request.key, revision);
    if (handle === NO_RECORD) return { found, count: 0 };
    if (keep > 0) found.push(handle);
    return { found, count: 1 };
  }
  const range = keyRange(request.key, request.rangeEnd!);
  if (keep > 0) {
    keyspace.scan(range, revision, (handle) => {
      budget.look(1);
      found.push(handle);
      return found.length < keep;
    });
  }
  // With fewer there are no more.
  const isWhole = found.length < keep || (request.withoutCount === true && keep > 0);
  if (isWhole) return { found, count: found.length };
  const count = keyspace.count(range, revision);
  budget.look(Math.min(count, keyspace.changesSince(revision)));
  return { found, count };
}

/** Whether the first keys of the scan are those that a limit keeps. */
function keepsScanOrder(request: RangeRequest): boolean {
  if (hasFilters(request)) return false;
  const order = request.sortOrder ?? "none";
  // With a sort target and no order, etcd sorts what the limit has left, not everything.
  return order === "none" || (order === "ascend" && (request.sortTarget ?? "key") === "key");
}

function hasFilters(request: RangeRequest): boolean {
  return (
    (request.minModRevision ?? 0) !== 0 ||
    (request.maxModRevision ?? 0) !== 0 ||
    (request.minCreateRevision ?? 0) !== 0 ||
    (request.maxCreateRevision ?? 0) !== 0
  );
}

function passes(heap: RecordHeap, handle: RecordHandle, request: RangeRequest): boolean {
  return (
    within(heap.modRevision(handle), request.minModRevision, request.maxModRevision) &&
    within(heap.createRevision(handle), request.minCreateRevision, request.maxCreateRevision)
  );
}

/** 0 and absent are no bound; anything else is one, negative numbers too. */
function within(revision: Revision, min: Revision | undefined, max: Revision | undefined): boolean {
  return (!min || revision >= min) && (!max || revision <= max);
}

/** Sorts in place; among equals, by key. */
function sort(heap: RecordHeap, found: RecordHandle[], request: RangeRequest): void {
  const target = request.sortTarget ?? "key";
  const order = request.sortOrder ?? "none";
  if (target === "key") {
    if (order === "descend") found.reverse();
    return;
  }
  const ascending = COMPARATORS[target];
  found.sort(order === "descend" ? (a, b) => ascending(heap, b, a) : (a, b) => ascending(heap, a, b));
}

type Comparator = (heap: RecordHeap, a: RecordHandle, b: RecordHandle) => number;

const COMPARATORS: Readonly<Record<Exclude<SortTarget, "key">, Comparator>> = {
  version: (heap, a, b) => heap.version(a) - heap.version(b),
  create: (heap, a, b) => heap.createRevision(a) - heap.createRevision(b),
  mod: (heap, a, b) => heap.modRevision(a) - heap.modRevision(b),
  value: (heap, a, b) => compareBytes(heap.valueView(a), heap.valueView(b)),
};
