import type { CompletedOperation, Operation } from "./history.ts";
import { PartitionSearch } from "./linearizability-search.ts";
import type { PlacedOperation } from "./linearizability-search.ts";
import type { Model } from "./models.ts";

export interface Violation<State, Input, Output> {
  readonly key: string;
  /**
   * The first return that cannot be explained. Null when the budget ended before it was found: then one of
   * `unplaced` is it.
   */
  readonly culprit: CompletedOperation<Input, Output> | null;
  /** A sequential order of what had returned before, with the open operations that it needs. */
  readonly order: readonly PlacedOperation<State, Input, Output>[];
  /** Completed operations, by their return, that have no place in that order nor in any other. */
  readonly unplaced: readonly CompletedOperation<Input, Output>[];
  readonly explanation: string;
}

/** How much of an order the text shows. */
const SHOWN = 10;

/**
 * Makes a violation short enough to read: the history is cut at the first return that breaks it. A cut keeps
 * the verdict of what is left, since whatever had not returned by then becomes an unknown operation.
 */
export function explainViolation<State, Input, Output>(
  model: Model<State, Input, Output>,
  key: string,
  history: readonly Operation<Input, Output>[],
  maxSteps: number,
): Violation<State, Input, Output> {
  const completed = history
    .filter((operation) => operation.status === "ok")
    .toSorted((a, b) => a.returnAt - b.returnAt);
  let order: readonly PlacedOperation<State, Input, Output>[] = [];
  let stepsLeft = maxSteps;
  // The first `fine` returns can be explained, the first `broken` cannot.
  let fine = 0;
  let broken = completed.length;
  while (broken - fine > 1 && stepsLeft > 0) {
    const middle = (fine + broken) >> 1;
    const search = new PartitionSearch(model, cutAfter(history, completed, middle));
    const status = search.run(stepsLeft);
    stepsLeft -= search.steps;
    if (status === "violation") broken = middle;
    if (status !== "ok") continue;
    fine = middle;
    order = search.order;
  }
  const culprit = broken - fine === 1 ? completed[fine]! : null;
  const violation = { key, culprit, order, unplaced: completed.slice(fine, broken) };
  return { ...violation, explanation: describe(model, violation) };
}

/** The history as it was known when the n-th operation had just returned. */
function cutAfter<Input, Output>(
  history: readonly Operation<Input, Output>[],
  completed: readonly CompletedOperation<Input, Output>[],
  n: number,
): Operation<Input, Output>[] {
  const returned = new Set<Operation<Input, Output>>(completed.slice(0, n));
  const cutAt = completed[n - 1]!.returnAt;
  return history
    .filter(({ callAt }) => callAt <= cutAt)
    .map((operation) =>
      operation.status === "ok" && !returned.has(operation)
        ? { client: operation.client, callAt: operation.callAt, input: operation.input, status: "unknown" }
        : operation,
    );
}

function describe<State, Input, Output>(
  model: Model<State, Input, Output>,
  { key, order, unplaced }: Omit<Violation<State, Input, Output>, "explanation">,
): string {
  const line = (operation: Operation<Input, Output>): string => {
    const output = operation.status === "ok" ? operation.output : undefined;
    const until = operation.status === "ok" ? `${operation.returnAt}]` : "…";
    const what = model.describeOperation(operation.input, output);
    return `  client ${operation.client} [${operation.callAt}, ${until} ${what}`;
  };
  const shown = order.slice(-SHOWN);
  const before = order.at(-SHOWN - 1)?.state ?? model.init;
  return [
    `key ${key}: not linearizable. What returned first can be ordered, for instance so${order.length > SHOWN ? ` (the last ${SHOWN} of ${order.length})` : ""}:`,
    `  ${model.describeState(before)}`,
    ...shown.map(({ operation, state }) => `${line(operation)}  ⇒ ${model.describeState(state)}`),
    `but no order has a place for ${unplaced.length === 1 ? "this one too" : `all of the next ${unplaced.length}`}:`,
    ...unplaced.slice(0, SHOWN).map(line),
  ].join("\n");
}
