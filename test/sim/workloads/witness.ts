import type { CompletedOperation, Operation } from "../checkers/history.ts";
import { type KvInput, kvModel, type KvOutput, type KvState } from "../checkers/kv-model.ts";

/** An operation and the revision of the store that its answer, or the log, puts it at. */
export interface PlacedByRevision {
  readonly operation: Operation<KvInput, KvOutput>;
  /** Null for what never took effect. */
  readonly revision: number | null;
}

/**
 * Whether the revisions in the answers are an order of everything that explains it all: then there is one, and no
 * search is needed. If they are not, something is wrong in any case: revisions are promised to follow real time.
 *
 * @returns null, or the first operation that does not fit, and why.
 */
export function findMisplaced(history: readonly PlacedByRevision[]): string | null {
  const model = kvModel();
  const states = new Map<string, KvState>();
  let latestCall = Number.NEGATIVE_INFINITY;
  for (const { operation, revision } of inOrder(history)) {
    const { input, output, callAt, returnAt } = operation;
    const name = `${model.describeOperation(input, output)} of ${input.key} at revision ${revision}`;
    if (returnAt < latestCall)
      return `${name} had returned at ${returnAt}, and what precedes it came at ${latestCall}`;
    latestCall = Math.max(latestCall, callAt);
    const state = states.get(input.key) ?? model.init;
    const [next] = model.step(state, input, output);
    if (next === undefined) return `${name} does not fit to ${model.describeState(state)}`;
    states.set(input.key, next);
  }
  return null;
}

interface Placed {
  readonly operation: CompletedOperation<KvInput, KvOutput>;
  readonly revision: number;
}

/** By revision; at one revision first the change that made it, then those who saw it, as they came. */
function inOrder(history: readonly PlacedByRevision[]): Placed[] {
  const placed: Placed[] = [];
  for (const { operation, revision } of history) {
    if (operation.status === "ok" && revision !== null) placed.push({ operation, revision });
  }
  const rank = ({ operation: { output } }: Placed): number =>
    output.type === "get" || (output.type === "cas" && !output.swapped) ? 1 : 0;
  return placed.sort(
    (a, b) => a.revision - b.revision || rank(a) - rank(b) || a.operation.callAt - b.operation.callAt,
  );
}
