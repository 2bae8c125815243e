import type { Operation } from "./history.ts";
import type { RegisterInput, RegisterOutput, RegisterValue } from "./models.ts";

export interface BusyOptions {
  readonly seed: number;
  readonly operations: number;
  readonly keys: number;
  readonly clients: number;
  /** Share of operations whose reply is lost; some of them take effect much later, some never. */
  readonly unknownShare: number;
  /** How many values there are to write; every write has its own when absent. */
  readonly values?: number;
}

/**
 * What clients that never rest see of registers that really are linearizable. A client whose reply is lost goes
 * on with its next operation.
 */
export function busyHistory(options: BusyOptions): Operation<RegisterInput, RegisterOutput>[] {
  const random = randomOf(options.seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const freeAt = Array.from({ length: options.clients }, () => 0);
  const plans = Array.from({ length: options.operations }, (_, index) => {
    const client = freeAt.indexOf(Math.min(...freeAt));
    const callAt = freeAt[client]! + random();
    const isUnknown = random() < options.unknownShare;
    const effectAt = callAt + 10 * random();
    const returnAt = effectAt + 10 * random();
    freeAt[client] = returnAt;
    const value = options.values === undefined ? index : below(options.values);
    const input = inputOf(`key ${below(options.keys)}`, value, below(10), below(options.values ?? index + 1));
    return {
      call: { client, callAt, input },
      returnAt,
      effectAt: isUnknown ? effectAt + 200 * random() : effectAt,
      isUnknown,
      hasEffect: !isUnknown || random() < 0.6,
    };
  });
  const registers = new Map<string, RegisterValue>();
  return plans
    .toSorted((a, b) => a.effectAt - b.effectAt)
    .map(({ call, returnAt, isUnknown, hasEffect }) => {
      const output = hasEffect ? take(registers, call.input) : undefined;
      return isUnknown || output === undefined
        ? { ...call, status: "unknown" as const }
        : { ...call, status: "ok" as const, returnAt, output };
    });
}

function inputOf(key: string, value: number, die: number, expected: number): RegisterInput {
  if (die < 4) return { type: "read", key };
  if (die < 7) return { type: "write", key, value };
  return { type: "cas", key, expected, value };
}

function take(registers: Map<string, RegisterValue>, input: RegisterInput): RegisterOutput {
  const now = registers.get(input.key) ?? null;
  switch (input.type) {
    case "read":
      return { type: "read", value: now };
    case "write":
      registers.set(input.key, input.value);
      return { type: "write" };
    case "cas":
      if (now === input.expected) registers.set(input.key, input.value);
      return { type: "cas", swapped: now === input.expected };
  }
}

/** Numbers in [0, 1), the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
