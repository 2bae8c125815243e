import type { DependencyGraph, Edge, EdgeType } from "./dependency-graph.ts";

/**
 * Adya's phenomena: a cycle of write dependencies alone (G0), with read dependencies too (G1c), with exactly one
 * anti-dependency (G-single), with more (G2). A suffix says that the cycle needs the order of each client's
 * transactions (`-session`) or of real time (`-realtime`) to close.
 */
export type CycleName = `${"G0" | "G1c" | "G-single" | "G2"}${"" | "-session" | "-realtime"}`;

export interface Cycle {
  readonly name: CycleName;
  /** Each edge begins where the one before it ends, and the first where the last ends. */
  readonly edges: readonly Edge[];
}

/** What a transaction must follow besides the data that it touches. */
export type Order = "serializable" | "session" | "strict";

const LEVELS = [
  { suffix: "", orders: ["serializable", "session", "strict"], types: [] },
  { suffix: "-session", orders: ["session", "strict"], types: ["session"] },
  { suffix: "-realtime", orders: ["strict"], types: ["session", "time", "clock"] },
] as const satisfies { suffix: string; orders: Order[]; types: EdgeType[] }[];

/** For each knot of the graph the worst phenomenon, and a worse one that closes only by sessions or time. */
export function findCycles(graph: DependencyGraph, transactions: number, order: Order): Cycle[] {
  const levels = LEVELS.filter(({ orders }) => orders.some((each) => each === order));
  const knots = graph.knots(new Set<EdgeType>(["ww", "wr", "rw", ...levels.at(-1)!.types]));
  return knots.flatMap((knot) => {
    const found: Cycle[] = [];
    let worst = Infinity;
    for (const { suffix, types } of levels) {
      const cycle = worstCycle(graph, knot, transactions, types);
      if (cycle === null || cycle.rank >= worst) continue;
      worst = cycle.rank;
      found.push({ name: `${cycle.name}${suffix}`, edges: withoutClock(cycle.edges) });
    }
    return found;
  });
}

interface RankedCycle {
  readonly rank: number;
  readonly name: "G0" | "G1c" | "G-single" | "G2";
  readonly edges: Edge[];
}

function worstCycle(
  graph: DependencyGraph,
  knot: ReadonlySet<number>,
  transactions: number,
  orderTypes: readonly EdgeType[],
): RankedCycle | null {
  const anyCycle = (types: ReadonlySet<EdgeType>): Edge[] | null => {
    const inner = graph.knots(types, knot)[0];
    if (inner === undefined) return null;
    return graph.shortestCycle(
      inner,
      types,
      [...inner].filter((node) => node < transactions),
    );
  };
  const writes = new Set<EdgeType>(["ww", ...orderTypes]);
  const reads = new Set<EdgeType>(["ww", "wr", ...orderTypes]);
  const all = new Set<EdgeType>(["ww", "wr", "rw", ...orderTypes]);
  const g0 = anyCycle(writes);
  if (g0 !== null) return { rank: 0, name: "G0", edges: g0 };
  const g1c = anyCycle(reads);
  if (g1c !== null) return { rank: 1, name: "G1c", edges: g1c };
  const single = cycleWithOne("rw", graph, knot, reads);
  if (single !== null) return { rank: 2, name: "G-single", edges: single };
  const g2 = anyCycle(all);
  return g2 === null ? null : { rank: 3, name: "G2", edges: g2 };
}

/** A cycle of one edge of a type and otherwise edges of others. */
function cycleWithOne(
  type: EdgeType,
  graph: DependencyGraph,
  knot: ReadonlySet<number>,
  others: ReadonlySet<EdgeType>,
): Edge[] | null {
  for (const node of knot) {
    for (const edge of graph.edgesFrom(node, new Set([type]))) {
      if (!knot.has(edge.to)) continue;
      const back = graph.shortestPath(edge.to, node, others, knot);
      if (back !== null) return [edge, ...back];
    }
  }
  return null;
}

/** Makes one `time` edge of each way over the clock. */
function withoutClock(edges: readonly Edge[]): Edge[] {
  const plain: Edge[] = [];
  let left: Edge | null = null;
  for (const edge of edges) {
    if (edge.type === "clock") left ??= edge;
    else if (left === null) plain.push(edge);
    else {
      plain.push({ ...edge, from: left.from, because: `${left.because}, ${edge.because}` });
      left = null;
    }
  }
  return plain;
}
