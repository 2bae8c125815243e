import type { List, ListHistory, ListRead, ListValue, Transaction } from "./list-append.ts";

/**
 * What a list's reads show without any graph.
 *
 * - `internal`: a transaction does not see what it did or saw before;
 * - `garbage-read`: a value that nobody appended;
 * - `G1a`: a value of a transaction that failed;
 * - `G1b`: a list between two appends of one transaction;
 * - `duplicate-append`: a value twice;
 * - `incompatible-order`: two reads of which neither is a prefix of the other, or appends of one transaction in
 *   another order than its own;
 * - `lost-append`: an acknowledged append that nobody ever saw, though a read began after it.
 */
export type ListAnomalyName =
  | "internal"
  | "garbage-read"
  | "G1a"
  | "G1b"
  | "duplicate-append"
  | "incompatible-order"
  | "lost-append";

export interface ListAnomaly {
  readonly name: ListAnomalyName;
  readonly transactions: readonly number[];
  readonly description: string;
}

export function showList(values: readonly ListValue[]): string {
  const shown = values.slice(-8).join(" ");
  return values.length > 8 ? `[… ${shown}]` : `[${shown}]`;
}

/** Transactions that contradict themselves. */
export function findInternal(transactions: readonly Transaction[]): ListAnomaly[] {
  return transactions.flatMap((transaction, index) =>
    transaction.status === "ok" ? internalAnomalies(transaction, index) : [],
  );
}

function internalAnomalies({ operations }: Transaction, index: number): ListAnomaly[] {
  const anomalies: ListAnomaly[] = [];
  const lists = new Map<string, { seen: readonly ListValue[] | null; appended: ListValue[] }>();
  for (const [at, operation] of operations.entries()) {
    const { key } = operation;
    const list = lists.get(key) ?? { seen: null, appended: [] };
    lists.set(key, list);
    if (operation.type === "append") {
      list.appended.push(operation.value);
      continue;
    }
    const { values } = operation;
    if (values === null) continue;
    const later = operations
      .slice(at + 1)
      .flatMap((other) => (other.type === "append" && other.key === key ? [other.value] : []));
    const start = values.length - list.appended.length;
    const isExpected =
      list.appended.every((value, offset) => values[start + offset] === value) &&
      (list.seen === null || isSame(values.slice(0, Math.max(0, start)), list.seen)) &&
      !later.some((value) => values.includes(value));
    if (!isExpected) {
      const before = `${list.seen === null ? "" : `read ${showList(list.seen)} and `}appended ${showList(list.appended)}`;
      const description = `T${index} had ${before}, and then read ${key} as ${showList(values)}`;
      anomalies.push({ name: "internal", transactions: [index], description });
    }
    lists.set(key, { seen: values, appended: [] });
  }
  return anomalies;
}

/** What is wrong with the reads of one list. */
export function findInReads(list: List, transactions: readonly Transaction[]): ListAnomaly[] {
  const anomalies = new Map<string, ListAnomaly>();
  const report = (name: ListAnomalyName, involved: number[], value: ListValue, description: string): void => {
    // One wrong value shows in every read from then on; the first says it all.
    const identity = `${name} ${value}`;
    if (!anomalies.has(identity)) anomalies.set(identity, { name, transactions: involved, description });
  };
  for (const { transaction, values } of list.reads) {
    const what = `T${transaction} read ${list.key} as ${showList(values)}`;
    const seen = new Set<ListValue>();
    for (const value of values) {
      if (seen.has(value))
        report("duplicate-append", [transaction], value, `${what}: ${value} is there twice`);
      seen.add(value);
      const writer = list.writes.get(value)?.transaction;
      if (writer === undefined) {
        report("garbage-read", [transaction], value, `${what}: nobody appended ${value}`);
      } else if (transactions[writer]!.status === "failed") {
        report("G1a", [transaction, writer], value, `${what}: ${value} is of T${writer}, which failed`);
      }
    }
    const last = values.length === 0 ? undefined : list.writes.get(values.at(-1)!);
    if (last !== undefined && !last.isLast && last.transaction !== transaction) {
      const description = `${what}: T${last.transaction} appended more after ${last.value}`;
      report("G1b", [transaction, last.transaction], last.value, description);
    }
  }
  return [...anomalies.values()];
}

/** Why the reads do not tell in what order a list grew; empty when they do. */
export function findInOrder({ key, reads, longest, writes }: List): ListAnomaly[] {
  const anomalies: ListAnomaly[] = [];
  const longestBy = reads.find(({ values }) => values === longest)?.transaction;
  const odd = reads.find(({ values }) => !isSame(values, longest.slice(0, values.length)));
  if (odd !== undefined && longestBy !== undefined) {
    const description = `T${odd.transaction} read ${key} as ${showList(odd.values)}, T${longestBy} as ${showList(longest)}`;
    anomalies.push({ name: "incompatible-order", transactions: [odd.transaction, longestBy], description });
  }
  // The writes of a list are in program order within each transaction.
  const position = new Map([...writes.keys()].map((value, index) => [value, index]));
  const highest = new Map<number, ListValue>();
  for (const value of longest) {
    const writer = writes.get(value)?.transaction;
    if (writer === undefined) continue;
    const before = highest.get(writer);
    if (before !== undefined && position.get(value)! < position.get(before)!) {
      const description = `T${writer} appended ${value} to ${key} before ${before}, but ${showList(longest)} was read`;
      anomalies.push({ name: "incompatible-order", transactions: [writer], description });
      break;
    }
    highest.set(writer, value);
  }
  return anomalies;
}

/** Acknowledged appends that left no trace. Needs the order of real time: a stale read is not yet a loss. */
export function findLost(history: ListHistory, transactions: readonly Transaction[]): ListAnomaly[] {
  return history.lists.flatMap(({ key, writes, reads, longest }) => {
    const observed = new Set(longest);
    const calledAt = ({ transaction }: ListRead): number => transactions[transaction]!.callAt;
    const lastRead = reads.toSorted((a, b) => calledAt(a) - calledAt(b)).at(-1);
    if (lastRead === undefined) return [];
    return [...writes.values()].flatMap(({ value, transaction }): ListAnomaly[] => {
      const writer = transactions[transaction]!;
      if (observed.has(value) || writer.status !== "ok" || writer.returnAt >= calledAt(lastRead)) return [];
      const description = `T${transaction} appended ${value} to ${key} and returned at ${writer.returnAt}; T${lastRead.transaction}, called at ${calledAt(lastRead)}, read ${showList(lastRead.values)}, and nobody ever saw it`;
      return [{ name: "lost-append", transactions: [transaction, lastRead.transaction], description }];
    });
  });
}

function isSame(a: readonly ListValue[], b: readonly ListValue[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
