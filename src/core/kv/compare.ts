import { compareBytes } from "../bytes/index.ts";
import { assertNever } from "../errors/index.ts";
import { isSingleKey, keyRange } from "./key.ts";
import type { Keyspace } from "./keyspace.ts";
import type { ReadBudget } from "./read-budget.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";
import type { Compare, CompareResult } from "./types.ts";

/**
 * Whether a transaction's condition holds in the present state. With a range it must hold for every key in it. A
 * range without keys, or a missing key, counts as one key whose numbers are all 0 and which has no value, so that
 * every condition on its value is false (etcd: applyCompare).
 *
 * @throws what the budget refuses with.
 */
export function holds(keyspace: Keyspace, compare: Compare, budget: ReadBudget): boolean {
  const revision = keyspace.readRevision;
  if (isSingleKey(compare.rangeEnd)) {
    return holdsFor(compare, keyspace.heap, keyspace.get(compare.key, revision));
  }
  let seen = false;
  let all = true;
  keyspace.scan(keyRange(compare.key, compare.rangeEnd!), revision, (handle) => {
    seen = true;
    const compared = compare.target === "value" ? compare.value.length : 0;
    budget.lookInto(Math.min(compared, keyspace.heap.valueLength(handle)));
    all = holdsFor(compare, keyspace.heap, handle);
    return all;
  });
  return seen ? all : holdsFor(compare, keyspace.heap, NO_RECORD);
}

function holdsFor(compare: Compare, heap: RecordHeap, handle: RecordHandle): boolean {
  const missing = handle === NO_RECORD;
  switch (compare.target) {
    case "value":
      return !missing && satisfies(compareBytes(heap.valueView(handle), compare.value), compare.result);
    case "version":
      return satisfies((missing ? 0 : heap.version(handle)) - compare.version, compare.result);
    case "create":
      return satisfies((missing ? 0 : heap.createRevision(handle)) - compare.createRevision, compare.result);
    case "mod":
      return satisfies((missing ? 0 : heap.modRevision(handle)) - compare.modRevision, compare.result);
    case "lease":
      return satisfies(orderOf(missing ? 0n : heap.lease(handle), compare.lease), compare.result);
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
