import type { Operation } from "./history.ts";

/**
 * An object that is told in what order things happen, and whether each may have. Kept apart from the models, so
 * that the two can disagree.
 */
export interface Reference<State, Input, Output> {
  readonly init: State;
  /** The states possible after an operation that had effect; `output` undefined when it is not known. */
  apply(state: State, input: Input, output: Output | undefined): State[];
}

/** Tries every order of every choice of the unknown operations. For a handful of operations on one object. */
export function isLinearizableByForce<State, Input, Output>(
  reference: Reference<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): boolean {
  const extend = (state: State, left: readonly Operation<Input, Output>[]): boolean => {
    const mustCome = left.filter((operation) => operation.status === "ok");
    if (mustCome.length === 0) return true;
    const earliestReturn = Math.min(...mustCome.map(({ returnAt }) => returnAt));
    return left.some((operation) => {
      if (operation.callAt > earliestReturn) return false;
      const output = operation.status === "ok" ? operation.output : undefined;
      const others = left.filter((other) => other !== operation);
      return reference.apply(state, operation.input, output).some((after) => extend(after, others));
    });
  };
  return extend(
    reference.init,
    history.filter(({ status }) => status !== "failed"),
  );
}
