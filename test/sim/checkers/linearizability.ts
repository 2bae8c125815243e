import { HistoryError, assertTimes } from "./history.ts";
import type { Operation } from "./history.ts";
import { explainViolation } from "./linearizability-report.ts";
import type { Violation } from "./linearizability-report.ts";
import { PartitionSearch } from "./linearizability-search.ts";
import type { PlacedOperation } from "./linearizability-search.ts";
import type { Model } from "./models.ts";

export interface LinearizabilityOptions {
  /**
   * Attempts to place an operation, over all partitions, before giving up. A million takes less than a second and some
   * ten megabytes. The explanation of a violation may take as much again.
   */
  readonly maxSteps?: number;
}

export type LinearizabilityResult<State, Input, Output> =
  | {
      readonly verdict: "ok";
      readonly steps: number;
      /** For each partition a sequential order that explains the history. */
      readonly orders: ReadonlyMap<string, readonly PlacedOperation<State, Input, Output>[]>;
    }
  | ({ readonly verdict: "violation"; readonly steps: number } & Violation<State, Input, Output>)
  | {
      readonly verdict: "unknown";
      readonly steps: number;
      /** Keys of the partitions without a verdict. */
      readonly undecided: readonly string[];
      readonly explanation: string;
    };

const DEFAULT_MAX_STEPS = 20_000_000;
/** The first share of a partition. Nearly every partition is done within it. */
const FIRST_SHARE = 20_000;

/**
 * Whether there is one order of all operations, each somewhere between its call and its return, that the model
 * allows. Failed operations have no effect; unknown ones may have theirs at any time after the call, or never.
 *
 * The verdict is exact. `unknown` says only that the budget ended first: partitions work in turns, each turn with
 * twice the share, so that a hard one does not keep the verdict of the others back.
 *
 * Throws a HistoryError for a history that cannot have happened.
 */
export function checkLinearizability<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  { maxSteps = DEFAULT_MAX_STEPS }: LinearizabilityOptions = {},
): LinearizabilityResult<State, Input, Output> {
  if (!(maxSteps > 0)) throw new HistoryError(`a budget of ${maxSteps} steps allows no verdict`);
  const partitions = [...partition(model, history)].map(([key, operations]) => ({
    key,
    operations,
    search: new PartitionSearch(model, operations),
  }));
  let open = partitions;
  let steps = 0;
  for (let share = FIRST_SHARE; open.length > 0 && steps < maxSteps; share *= 2) {
    const undecided: typeof open = [];
    for (const part of open) {
      const before = part.search.steps;
      const status = part.search.run(Math.min(share, Math.max(0, maxSteps - steps)));
      steps += part.search.steps - before;
      if (status === "violation") {
        const violation = explainViolation(model, part.key, part.operations, maxSteps);
        return { verdict: "violation", steps, ...violation };
      }
      if (status === "open") undecided.push(part);
    }
    open = undecided;
  }
  if (open.length > 0) {
    const undecided = open.map(({ key }) => key);
    const explanation = `no verdict within ${maxSteps} steps for ${undecided.length} of ${partitions.length} keys: ${undecided.slice(0, 5).join(", ")}`;
    return { verdict: "unknown", steps, undecided, explanation };
  }
  return {
    verdict: "ok",
    steps,
    orders: new Map(partitions.map(({ key, search }) => [key, search.order])),
  };
}

function partition<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): Map<string, Operation<Input, Output>[]> {
  const partitions = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    assertTimes(operation);
    if (operation.status === "failed") continue;
    const key = model.partitionKey(operation.input);
    const operations = partitions.get(key);
    if (operations === undefined) partitions.set(key, [operation]);
    else operations.push(operation);
  }
  return partitions;
}
