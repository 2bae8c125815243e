import { compareBytes } from "../bytes/index.ts";
import { assertNever } from "../errors/index.ts";
import { isSingleKey, keyFromBytes, keyRange } from "./key.ts";
import type { Keyspace } from "./keyspace.ts";
import type { Version } from "./key-history.ts";
import type { Compare, CompareResult } from "./types.ts";
import { valueView } from "./value-arena.ts";

/**
 * Whether a transaction's condition holds in the present state. With a range it must hold for every key in it. A
 * range without keys, or a missing key, counts as one key whose numbers are all 0 and which has no value, so that
 * every condition on its value is false (etcd: applyCompare).
 */
export function holds(keyspace: Keyspace, compare: Compare): boolean {
  const revision = keyspace.readRevision;
  if (isSingleKey(compare.rangeEnd)) {
    return holdsFor(compare, keyspace.get(keyFromBytes(compare.key), revision));
  }
  let seen = false;
  let all = true;
  keyspace.scan(keyRange(compare.key, compare.rangeEnd!), revision, (_key, version) => {
    seen = true;
    all = holdsFor(compare, version);
    return all;
  });
  return seen ? all : holdsFor(compare, null);
}

function holdsFor(compare: Compare, version: Version | null): boolean {
  switch (compare.target) {
    case "value":
      return version !== null && satisfies(compareBytes(valueView(version), compare.value), compare.result);
    case "version":
      return satisfies((version?.version ?? 0) - compare.version, compare.result);
    case "create":
      return satisfies((version?.createRevision ?? 0) - compare.createRevision, compare.result);
    case "mod":
      return satisfies((version?.modRevision ?? 0) - compare.modRevision, compare.result);
    case "lease":
      return satisfies(orderOf(version?.lease ?? 0n, compare.lease), compare.result);
    default:
      return assertNever(compare, "compare target");
  }
}

function orderOf(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @param order negative, zero or positive, as the key's side is less than, equal to or greater than the given one. */
function satisfies(order: number, result: CompareResult): boolean {
  switch (result) {
    case "equal":
      return order === 0;
    case "notEqual":
      return order !== 0;
    case "greater":
      return order > 0;
    case "less":
      return order < 0;
    default:
      return assertNever(result, "compare result");
  }
}
