import { HistoryError, assertTimes } from "./history.ts";
import type { Call } from "./history.ts";

export type ListValue = string | number;

/** `values` is null when the client did not learn them. */
export type ListOperation =
  | { readonly type: "append"; readonly key: string; readonly value: ListValue }
  | { readonly type: "read"; readonly key: string; readonly values: readonly ListValue[] | null };

/** Appends to and reads of lists, all empty at first. No value is appended to the same list twice. */
export type Transaction = Call & { readonly operations: readonly ListOperation[] } & (
    | { readonly status: "ok"; readonly returnAt: number }
    | { readonly status: "failed" }
    | { readonly status: "unknown" }
  );

/** One append. */
export interface ListWrite {
  readonly value: ListValue;
  readonly transaction: number;
  /** Whether the transaction appends no more to this list. */
  readonly isLast: boolean;
}

/** One read, by a committed transaction, of a list's whole content. */
export interface ListRead {
  readonly transaction: number;
  readonly values: readonly ListValue[];
}

/** All that happened to one list. */
export interface List {
  readonly key: string;
  readonly writes: ReadonlyMap<ListValue, ListWrite>;
  readonly reads: readonly ListRead[];
  /** The longest that was read. Lists only grow, so that every read must be a prefix of it. */
  readonly longest: readonly ListValue[];
}

export interface ListHistory {
  readonly lists: readonly List[];
  /** Transactions that took effect: the acknowledged ones, and unknown ones of which anything was read. */
  readonly committed: ReadonlySet<number>;
}

interface MutableList extends List {
  readonly writes: Map<ListValue, ListWrite>;
  readonly reads: ListRead[];
  longest: readonly ListValue[];
}

/** Sorts a history by lists. Throws a HistoryError for one that no recorder can have made. */
export function indexLists(transactions: readonly Transaction[]): ListHistory {
  const lists = new Map<string, MutableList>();
  for (const [index, transaction] of transactions.entries()) {
    assertTimes(transaction);
    for (const [at, operation] of transaction.operations.entries()) {
      const { key } = operation;
      const list: MutableList = lists.get(key) ?? { key, writes: new Map(), reads: [], longest: [] };
      lists.set(key, list);
      if (operation.type === "append") {
        const { value } = operation;
        const earlier = list.writes.get(value);
        if (earlier !== undefined) {
          throw new HistoryError(
            `T${earlier.transaction} and T${index} both append ${value} to ${key}: give every append its own value`,
          );
        }
        const isLast = !transaction.operations
          .slice(at + 1)
          .some((later) => later.type === "append" && later.key === key);
        list.writes.set(value, { value, transaction: index, isLast });
      } else if (transaction.status === "ok" && operation.values !== null) {
        list.reads.push({ transaction: index, values: operation.values });
        if (operation.values.length > list.longest.length) list.longest = operation.values;
      }
    }
  }
  const committed = new Set<number>();
  for (const [index, { status }] of transactions.entries()) if (status === "ok") committed.add(index);
  for (const { writes, reads } of lists.values()) {
    for (const value of new Set(reads.flatMap(({ values }) => values))) {
      const writer = writes.get(value)?.transaction;
      if (writer !== undefined && transactions[writer]!.status === "unknown") committed.add(writer);
    }
  }
  return { lists: [...lists.values()], committed };
}
