/**
 * Why one transaction must come before another.
 *
 * - `ww`: it wrote the version that the other's write replaced;
 * - `wr`: the other read what it wrote;
 * - `rw`: it read a version that the other's write replaced (an anti-dependency);
 * - `session`: the same client ran it first;
 * - `time`: it returned before the other was called;
 * - `clock`: not between transactions, but to a moment at which one had returned, or between moments. With them
 *   the order of time needs a handful of edges for each transaction, not one for each pair.
 */
export type EdgeType = "ww" | "wr" | "rw" | "session" | "time" | "clock";

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly type: EdgeType;
  readonly because: string;
}

/** Looking for the very shortest cycle from everywhere would be quadratic in the size of a big knot. */
const MAX_CYCLE_STARTS = 100;

/** A directed graph over the nodes 0, 1, … whose edges have types; questions name the types that count. */
export class DependencyGraph {
  readonly #edges: Edge[][] = [];
  /** What is there already, since many reads tell the same. */
  readonly #known: Set<string> = new Set();

  add(edge: Edge): void {
    const { from, to, type } = edge;
    if (from === to) return;
    const identity = `${type} ${from} ${to}`;
    if (this.#known.has(identity)) return;
    this.#known.add(identity);
    while (this.#edges.length <= Math.max(from, to)) this.#edges.push([]);
    this.#edges[from]!.push(edge);
  }

  edgesFrom(node: number, types: ReadonlySet<EdgeType>): Edge[] {
    return (this.#edges[node] ?? []).filter(({ type }) => types.has(type));
  }

  /**
   * Sets of nodes that all reach each other, of two nodes or more; among the given nodes when there are any
   * given. Tarjan's algorithm, without recursion since paths may be thousands of nodes long.
   */
  knots(types: ReadonlySet<EdgeType>, among?: ReadonlySet<number>): Set<number>[] {
    const found: Set<number>[] = [];
    const order = new Map<number, number>();
    const low = new Map<number, number>();
    const open: number[] = [];
    const isOpen = new Set<number>();
    const visit = (node: number): { node: number; edges: Edge[] } => {
      order.set(node, order.size);
      low.set(node, order.get(node)!);
      open.push(node);
      isOpen.add(node);
      return { node, edges: this.edgesFrom(node, types) };
    };
    for (const root of among ?? this.#edges.keys()) {
      if (order.has(root)) continue;
      const stack = [visit(root)];
      while (stack.length > 0) {
        const { node, edges } = stack.at(-1)!;
        const to = edges.pop()?.to;
        if (to === undefined) {
          stack.pop();
          const parent = stack.at(-1)?.node;
          if (parent !== undefined) low.set(parent, Math.min(low.get(parent)!, low.get(node)!));
          if (low.get(node) !== order.get(node)) continue;
          const knot = new Set(open.splice(open.lastIndexOf(node)));
          for (const member of knot) isOpen.delete(member);
          if (knot.size > 1) found.push(knot);
        } else if (among !== undefined && !among.has(to)) {
          continue;
        } else if (!order.has(to)) {
          stack.push(visit(to));
        } else if (isOpen.has(to)) {
          low.set(node, Math.min(low.get(node)!, order.get(to)!));
        }
      }
    }
    return found;
  }

  /** The path with the fewest edges, not counting those of the clock; null when there is none. */
  shortestPath(
    from: number,
    to: number,
    types: ReadonlySet<EdgeType>,
    among: ReadonlySet<number>,
  ): Edge[] | null {
    const cameBy = new Map<number, Edge>();
    const done = new Set<number>();
    let near: number[] = [from];
    while (near.length > 0) {
      const far: number[] = [];
      while (near.length > 0) {
        const node = near.pop()!;
        if (done.has(node)) continue;
        done.add(node);
        for (const edge of this.edgesFrom(node, types)) {
          if (edge.to === to) return [...pathTo(node, from, cameBy), edge];
          if (done.has(edge.to) || !among.has(edge.to)) continue;
          if (edge.type === "clock") near.push(edge.to);
          else far.push(edge.to);
          if (edge.type === "clock" || !cameBy.has(edge.to)) cameBy.set(edge.to, edge);
        }
      }
      near = far;
    }
    return null;
  }

  /** A cycle through the given nodes, of a knot, that is as short as a limited effort finds. */
  shortestCycle(knot: ReadonlySet<number>, types: ReadonlySet<EdgeType>, starts: readonly number[]): Edge[] {
    let best: Edge[] | null = null;
    for (const start of starts.slice(0, MAX_CYCLE_STARTS)) {
      const cycle = this.shortestPath(start, start, types, knot);
      if (cycle !== null && (best === null || lengthOf(cycle) < lengthOf(best))) best = cycle;
    }
    if (best === null) throw new Error("a knot has a cycle through each of its nodes");
    return best;
  }
}

function pathTo(node: number, from: number, cameBy: ReadonlyMap<number, Edge>): Edge[] {
  const path: Edge[] = [];
  for (let at = node; at !== from;) {
    const edge = cameBy.get(at)!;
    path.push(edge);
    at = edge.from;
  }
  return path.toReversed();
}

function lengthOf(path: readonly Edge[]): number {
  return path.filter(({ type }) => type !== "clock").length;
}
