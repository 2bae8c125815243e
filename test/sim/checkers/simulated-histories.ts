import fc from "fast-check";
import type { Operation } from "./history.ts";

/** How a simulated operation goes: when it is called, has its effect, and returns, and what its client learns. */
interface Plan<Input> {
  readonly input: Input;
  readonly callAt: number;
  readonly effectAfter: number;
  readonly returnAfter: number;
  readonly fate: "ok" | "unknown, effect" | "unknown, none" | "failed";
}

/** Real objects for the simulation: changed in place, one call after the other. */
export type RealObject<Input, Output> = () => (input: Input) => Output;

/**
 * Histories of an object that really is linearizable: each operation takes effect at one moment between its call
 * and its return. Unknown operations may take effect long after their call. The spans are such that most overlap.
 */
export function linearizableHistory<Input, Output>(
  realObject: RealObject<Input, Output>,
  input: fc.Arbitrary<Input>,
  maxLength: number,
): fc.Arbitrary<Operation<Input, Output>[]> {
  const plan: fc.Arbitrary<Plan<Input>> = fc.record({
    input,
    callAt: fc.nat({ max: 12 }),
    effectAfter: fc.nat({ max: 4 }),
    returnAfter: fc.nat({ max: 4 }),
    fate: fc.oneof(
      { weight: 12, arbitrary: fc.constant("ok" as const) },
      { weight: 3, arbitrary: fc.constant("unknown, effect" as const) },
      { weight: 2, arbitrary: fc.constant("unknown, none" as const) },
      { weight: 1, arbitrary: fc.constant("failed" as const) },
    ),
  });
  return fc.array(plan, { minLength: 1, maxLength }).map((plans) => run(plans, realObject()));
}

function run<Input, Output>(
  plans: readonly Plan<Input>[],
  apply: (input: Input) => Output,
): Operation<Input, Output>[] {
  const effectAt = ({ callAt, effectAfter, fate }: Plan<Input>): number =>
    callAt + effectAfter * (fate === "unknown, effect" ? 4 : 1);
  const history: Operation<Input, Output>[] = [];
  const inOrderOfEffect = [...plans.entries()].toSorted(([, a], [, b]) => effectAt(a) - effectAt(b));
  for (const [client, plan] of inOrderOfEffect) {
    const { input, callAt, returnAfter, fate } = plan;
    if (fate === "failed" || fate === "unknown, none") {
      history.push({ client, callAt, input, status: fate === "failed" ? "failed" : "unknown" });
      continue;
    }
    const output = apply(input);
    if (fate === "ok") {
      history.push({ client, callAt, input, status: "ok", output, returnAt: effectAt(plan) + returnAfter });
    } else {
      history.push({ client, callAt, input, status: "unknown" });
    }
  }
  return history.toSorted((a, b) => Number(a.client) - Number(b.client));
}

/** A wrong reply, or times that squeeze an operation: what a buggy system might make of a good history. */
export type Mutation<Output> =
  | { readonly type: "output"; readonly at: number; readonly output: Output }
  | { readonly type: "shorten"; readonly at: number }
  | { readonly type: "later"; readonly at: number; readonly by: number }
  | { readonly type: "lose"; readonly at: number };

export function mutation<Output>(output: fc.Arbitrary<Output>): fc.Arbitrary<Mutation<Output>> {
  const at = fc.nat();
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant("output" as const), at, output }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("shorten" as const), at }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant("later" as const), at, by: fc.integer({ min: 1, max: 8 }) }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("lose" as const), at }) },
  );
}

export function mutate<Input, Output>(
  history: readonly Operation<Input, Output>[],
  mutations: readonly Mutation<Output>[],
): Operation<Input, Output>[] {
  const mutated = [...history];
  for (const change of mutations) {
    const index = change.at % mutated.length;
    const operation = mutated[index]!;
    if (operation.status !== "ok") continue;
    const { client, callAt, returnAt, input } = operation;
    switch (change.type) {
      case "output":
        mutated[index] = { ...operation, output: change.output };
        break;
      case "shorten":
        mutated[index] = { ...operation, returnAt: callAt };
        break;
      case "later":
        mutated[index] = { ...operation, callAt: callAt + change.by, returnAt: returnAt + change.by };
        break;
      case "lose":
        mutated[index] = { client, callAt, input, status: "failed" };
        break;
    }
  }
  return mutated;
}
