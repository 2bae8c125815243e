import type { ValueTraits } from "./value-flow.ts";

/**
 * What an object does when nothing is concurrent: the meaning that a history is checked against. All functions
 * are pure.
 */
export interface Model<State, Input, Output> {
  readonly init: State;
  /**
   * The states that the operation may leave, none when it cannot have given that output. `output` is undefined
   * when it is not known. A state may stand for several, as long as it allows what any of them allows.
   */
  step(state: State, input: Input, output: Output | undefined): readonly State[];
  /** Operations with different keys do not touch each other, and are checked apart. */
  partitionKey(input: Input): string;
  /** Equal for equal states, different for different ones. */
  stateKey(state: State): string | number;
  /** Equal only for inputs that do the same. */
  inputKey(input: Input): string;
  /**
   * Whether the operation never changes the object, whatever the state it is legal in. False is always right and
   * only costs time.
   */
  observes(input: Input, output: Output | undefined): boolean;
  /** For objects that hold one value at a time: lets the search look ahead. Costs only time when it is missing. */
  readonly values?: {
    valueOf(state: State): string;
    traits(input: Input, output: Output | undefined): ValueTraits;
  };
  describeOperation(input: Input, output: Output | undefined): string;
  describeState(state: State): string;
}

export type RegisterValue = string | number | null;

export type RegisterInput =
  | { readonly type: "read"; readonly key: string }
  | { readonly type: "write"; readonly key: string; readonly value: RegisterValue }
  | {
      readonly type: "cas";
      readonly key: string;
      readonly expected: RegisterValue;
      readonly value: RegisterValue;
    };

export type RegisterOutput =
  | { readonly type: "read"; readonly value: RegisterValue }
  | { readonly type: "write" }
  | { readonly type: "cas"; readonly swapped: boolean };

/** Registers by key with read, write and compare-and-set, each `initial` at first. */
export function registerModel(
  initial: RegisterValue = null,
): Model<RegisterValue, RegisterInput, RegisterOutput> {
  return {
    init: initial,
    step: stepRegister,
    partitionKey: ({ key }) => key,
    stateKey: (state) => JSON.stringify(state),
    inputKey: (input) =>
      JSON.stringify(
        input.type === "read" ? [] : input.type === "write" ? [input.value] : [input.expected, input.value],
      ),
    observes: (input, output) => input.type === "read" || (output?.type === "cas" && !output.swapped),
    values: { valueOf: (state) => JSON.stringify(state), traits: registerTraits },
    describeOperation: describeRegisterOperation,
    describeState: (state) => JSON.stringify(state),
  };
}

function stepRegister(
  state: RegisterValue,
  input: RegisterInput,
  output: RegisterOutput | undefined,
): readonly RegisterValue[] {
  if (output !== undefined && output.type !== input.type) return [];
  switch (input.type) {
    case "read":
      return output?.type !== "read" || output.value === state ? [state] : [];
    case "write":
      return [input.value];
    case "cas": {
      const swaps = state === input.expected;
      if (output?.type === "cas" && output.swapped !== swaps) return [];
      return [swaps ? input.value : state];
    }
  }
}

function registerTraits(input: RegisterInput, output: RegisterOutput | undefined): ValueTraits {
  switch (input.type) {
    case "read":
      return output?.type === "read" ? { needs: JSON.stringify(output.value) } : {};
    case "write":
      return { gives: JSON.stringify(input.value), isBlind: true };
    case "cas":
      if (output?.type === "cas" && !output.swapped) return { shuns: JSON.stringify(input.expected) };
      return { needs: JSON.stringify(input.expected), gives: JSON.stringify(input.value) };
  }
}

function describeRegisterOperation(input: RegisterInput, output: RegisterOutput | undefined): string {
  const value = (value: RegisterValue): string => JSON.stringify(value);
  switch (input.type) {
    case "read":
      return `read → ${output?.type === "read" ? value(output.value) : "?"}`;
    case "write":
      return `write ${value(input.value)}`;
    case "cas":
      return `cas ${value(input.expected)} to ${value(input.value)} → ${output?.type === "cas" ? (output.swapped ? "swapped" : "not equal") : "?"}`;
  }
}
