import { isSingleKey, keyFromBytes, keyRange } from "./key.ts";
import type { BinaryKey } from "./key.ts";
import { toKeyValue } from "./keyspace.ts";
import type { Keyspace } from "./keyspace.ts";
import type { Version } from "./key-history.ts";
import type { RangeRequest, RangeResponse, Revision, SortTarget } from "./types.ts";
import { compareSpans } from "./value-arena.ts";

/** A key found, before it is copied out. */
interface Found {
  readonly key: BinaryKey;
  readonly version: Version;
}

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
 */
export function executeRange(keyspace: Keyspace, request: RangeRequest): RangeResponse {
  const revision = (request.revision ?? 0) > 0 ? request.revision! : keyspace.readRevision;
  const limit = Math.max(request.limit ?? 0, 0);
  const keep = request.countOnly ? 0 : limit === 0 || !keepsScanOrder(request) ? Infinity : limit + 1;
  const { found, count } = collect(keyspace, request, revision, keep);
  if (request.countOnly) return { kvs: [], more: false, count };

  const chosen = hasFilters(request) ? found.filter(({ version }) => passes(version, request)) : found;
  sort(chosen, request);
  const more = limit > 0 && chosen.length > limit;
  if (more) chosen.length = limit;
  const withValues = request.keysOnly !== true;
  return { kvs: chosen.map(({ key, version }) => toKeyValue(key, version, withValues)), more, count };
}

function collect(
  keyspace: Keyspace,
  request: RangeRequest,
  revision: Revision,
  keep: number,
): { found: Found[]; count: number } {
  const found: Found[] = [];
  let count = 0;
  if (isSingleKey(request.rangeEnd)) {
    const key = keyFromBytes(request.key);
    const version = keyspace.get(key, revision);
    if (version !== null) {
      count = 1;
      if (keep > 0) found.push({ key, version });
    }
    return { found, count };
  }
  keyspace.scan(keyRange(request.key, request.rangeEnd!), revision, (key, version) => {
    if (found.length < keep) found.push({ key, version });
    count++;
    return true;
  });
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

function passes(version: Version, request: RangeRequest): boolean {
  return (
    within(version.modRevision, request.minModRevision, request.maxModRevision) &&
    within(version.createRevision, request.minCreateRevision, request.maxCreateRevision)
  );
}

/** 0 and absent are no bound; anything else is one, negative numbers too. */
function within(revision: Revision, min: Revision | undefined, max: Revision | undefined): boolean {
  return (!min || revision >= min) && (!max || revision <= max);
}

/** Sorts in place; among equals, by key. */
function sort(found: Found[], request: RangeRequest): void {
  const target = request.sortTarget ?? "key";
  const order = request.sortOrder ?? "none";
  if (target === "key") {
    if (order === "descend") found.reverse();
    return;
  }
  const ascending = COMPARATORS[target];
  found.sort(
    order === "descend"
      ? (a, b) => ascending(b.version, a.version)
      : (a, b) => ascending(a.version, b.version),
  );
}

const COMPARATORS: Readonly<Record<Exclude<SortTarget, "key">, (a: Version, b: Version) => number>> = {
  version: (a, b) => a.version - b.version,
  create: (a, b) => a.createRevision - b.createRevision,
  mod: (a, b) => a.modRevision - b.modRevision,
  value: compareSpans,
};
