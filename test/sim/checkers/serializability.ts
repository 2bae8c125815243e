import { findCycles } from "./cycles.ts";
import type { CycleName, Order } from "./cycles.ts";
import { DependencyGraph } from "./dependency-graph.ts";
import type { Edge } from "./dependency-graph.ts";
import { findInOrder, findInReads, findInternal, findLost } from "./list-anomalies.ts";
import type { ListAnomalyName } from "./list-anomalies.ts";
import { indexLists } from "./list-append.ts";
import type { List, ListHistory, ListWrite, Transaction } from "./list-append.ts";

export interface Anomaly {
  readonly name: ListAnomalyName | CycleName;
  /** Positions in the history. */
  readonly transactions: readonly number[];
  /** The cycle, for those that are one. */
  readonly cycle: readonly Edge[] | null;
  readonly description: string;
}

export type SerializabilityResult =
  | { readonly verdict: "ok" }
  | {
      readonly verdict: "violation";
      readonly anomalies: readonly Anomaly[];
      readonly explanation: string;
    }
  | { readonly verdict: "unknown"; readonly explanation: string };

export interface SerializabilityOptions {
  /**
   * What transactions must follow: their data alone, also the order of each client, or also real time.
   * Default `strict`, which is what the engine promises.
   */
  readonly order?: Order;
}

/** How many anomalies the text shows. */
const SHOWN = 5;

/**
 * Whether transactions that append to and read lists can have run one after the other, in the manner of Elle: the
 * lists that were read tell the order of their appends, that order tells which transaction must precede which,
 * and a cycle is a violation.
 *
 * A violation is always one. `ok` is as strong as the reads: the order of appends that nobody read stays open,
 * so let the last transactions read every list. With such reads the verdict is exact. `unknown`: appends were
 * acknowledged and nothing at all was read.
 *
 * Throws a HistoryError for a history that cannot have happened, or one that appends a value twice to a list.
 */
export function checkSerializability(
  transactions: readonly Transaction[],
  { order = "strict" }: SerializabilityOptions = {},
): SerializabilityResult {
  const history = indexLists(transactions);
  const ordered = new Map(history.lists.map((list) => [list, findInOrder(list)]));
  const inReads = history.lists.flatMap((list) => findInReads(list, transactions));
  const plain = [
    ...findInternal(transactions),
    ...inReads,
    ...[...ordered.values()].flat(),
    ...(order === "strict" ? findLost(history, transactions) : []),
  ];
  const graph = new DependencyGraph();
  for (const list of history.lists) {
    const isTold = ordered.get(list)!.length === 0 && new Set(list.longest).size === list.longest.length;
    if (isTold) addDataEdges(graph, list, history);
  }
  addSessionEdges(graph, transactions, history.committed);
  addTimeEdges(graph, transactions, history.committed);
  const anomalies: Anomaly[] = [
    ...plain.map((anomaly) => ({ ...anomaly, cycle: null })),
    ...findCycles(graph, transactions.length, order).map(({ name, edges }) => ({
      name,
      transactions: edges.map(({ from }) => from),
      cycle: edges,
      description: edges
        .map(({ from, to, type, because }) => `\n  T${from} before T${to} (${type}): ${because}`)
        .join(""),
    })),
  ];
  if (anomalies.length > 0) return { verdict: "violation", anomalies, explanation: explain(anomalies) };
  const isBlind =
    history.lists.every(({ reads }) => reads.length === 0) &&
    history.lists.some(({ writes }) =>
      [...writes.values()].some(({ transaction }) => transactions[transaction]!.status === "ok"),
    );
  if (isBlind) return { verdict: "unknown", explanation: "nothing was read, so nothing was checked" };
  return { verdict: "ok" };
}

/** Edges that one list tells, once its reads agree. */
function addDataEdges(
  graph: DependencyGraph,
  { key, writes, reads, longest }: List,
  { committed }: ListHistory,
): void {
  const counts = (write: ListWrite | undefined): write is ListWrite =>
    write !== undefined && committed.has(write.transaction);
  const versions = longest.map((value) => writes.get(value)).filter(counts);
  const observed = new Set(longest);
  // Nobody saw them, so they came after all that was seen, in an order that stays open.
  const unseen = [...writes.values()].filter((write) => counts(write) && !observed.has(write.value));
  const following = (position: number): ListWrite[] =>
    position < versions.length ? [versions[position]!] : unseen;

  for (const [position, { value, transaction: from }] of versions.entries()) {
    for (const next of following(position + 1)) {
      const because = `it appended ${value} to ${key}, the other then ${next.value}`;
      graph.add({ from, to: next.transaction, type: "ww", because });
    }
  }
  const positions = new Map(versions.map(({ value }, position) => [value, position]));
  for (const { transaction: reader, values } of reads) {
    const last = values.findLast((value) => positions.has(value));
    const position = last === undefined ? -1 : positions.get(last)!;
    if (last !== undefined) {
      const because = `the other read ${key} up to ${last}, which it appended`;
      graph.add({ from: versions[position]!.transaction, to: reader, type: "wr", because });
    }
    for (const { value, transaction: to } of following(position + 1)) {
      const because = `it read ${key} ${last === undefined ? "empty" : `up to ${last}`}, without ${value}, which the other appended`;
      graph.add({ from: reader, to, type: "rw", because });
    }
  }
}

function addSessionEdges(
  graph: DependencyGraph,
  transactions: readonly Transaction[],
  committed: ReadonlySet<number>,
): void {
  const last = new Map<Transaction["client"], number>();
  for (const index of [...committed].toSorted((a, b) => transactions[a]!.callAt - transactions[b]!.callAt)) {
    const { client, status } = transactions[index]!;
    const from = last.get(client);
    if (from !== undefined) {
      graph.add({ from, to: index, type: "session", because: `client ${client} ran them in this order` });
    }
    // One without a reply may take effect after what its client does next.
    if (status === "ok") last.set(client, index);
  }
}

/** A node for every return, in the order of time, behind those of the transactions. */
function addTimeEdges(
  graph: DependencyGraph,
  transactions: readonly Transaction[],
  committed: ReadonlySet<number>,
): void {
  const returns = transactions
    .flatMap((transaction, index) =>
      transaction.status === "ok" ? [{ index, returnAt: transaction.returnAt }] : [],
    )
    .toSorted((a, b) => a.returnAt - b.returnAt);
  const moment = (position: number): number => transactions.length + position;
  for (const [position, { index, returnAt }] of returns.entries()) {
    const because = `it returned at ${returnAt}`;
    graph.add({ from: index, to: moment(position), type: "clock", because });
    graph.add({ from: moment(position), to: moment(position + 1), type: "clock", because: "" });
  }
  const calls = [...committed]
    .map((index) => ({ index, callAt: transactions[index]!.callAt }))
    .toSorted((a, b) => a.callAt - b.callAt);
  let returned = 0;
  for (const { index, callAt } of calls) {
    while (returned < returns.length && returns[returned]!.returnAt < callAt) returned++;
    if (returned === 0) continue;
    const because = `the other was called at ${callAt}`;
    graph.add({ from: moment(returned - 1), to: index, type: "time", because });
  }
}

function explain(anomalies: readonly Anomaly[]): string {
  const lines = anomalies.slice(0, SHOWN).map(({ name, description }) => `${name}: ${description}`);
  if (anomalies.length > SHOWN) lines.push(`and ${anomalies.length - SHOWN} more`);
  return lines.join("\n");
}
