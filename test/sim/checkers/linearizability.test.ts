import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLinearizableByForce, type Reference } from "./brute-force.ts";
import { busyHistory } from "./busy-history.ts";
import { HistoryError } from "./history.ts";
import type { Operation } from "./history.ts";
import { kvModel } from "./kv-model.ts";
import type { KvInput, KvOutput } from "./kv-model.ts";
import { checkLinearizability } from "./linearizability.ts";
import type { LinearizabilityResult } from "./linearizability.ts";
import { registerModel } from "./models.ts";
import type { Model, RegisterInput, RegisterOutput, RegisterValue } from "./models.ts";
import { linearizableHistory, mutate, mutation } from "./simulated-histories.ts";

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

const KEY = "x";
const model = registerModel();

/** `client [callAt, returnAt]`; no return: unknown. */
function at(client: number, callAt: number, returnAt?: number) {
  const known = <Input, Output>(input: Input, output: Output): Operation<Input, Output> =>
    returnAt === undefined
      ? { client, callAt, input, status: "unknown" }
      : { client, callAt, input, status: "ok", returnAt, output };
  return {
    read: (value: RegisterValue, key = KEY): RegisterOperation =>
      known({ type: "read", key }, { type: "read", value }),
    write: (value: RegisterValue, key = KEY): RegisterOperation =>
      known({ type: "write", key, value }, { type: "write" }),
    cas: (expected: RegisterValue, value: RegisterValue, swapped: boolean): RegisterOperation =>
      known({ type: "cas", key: KEY, expected, value }, { type: "cas", swapped }),
    kv: (input: KvInput, output: KvOutput): Operation<KvInput, KvOutput> => known(input, output),
  };
}

function verdict(...history: RegisterOperation[]): string {
  return checkLinearizability(model, history).verdict;
}

/** A certificate for "ok": the orders are legal, respect time, and leave out only what never took effect. */
function expectOrdersProve<State, Input, Output>(
  checked: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  result: LinearizabilityResult<State, Input, Output>,
): void {
  if (result.verdict !== "ok") throw new Error(`nothing to prove for ${result.verdict}`);
  const placed = [...result.orders.values()].flat().map(({ operation }) => operation);
  const once = new Set(placed);
  expect(once.size).toBe(placed.length);
  expect(history.filter((operation) => operation.status === "ok" && !once.has(operation))).toEqual([]);
  for (const order of result.orders.values()) {
    let state = checked.init;
    let lastCallAt = -Infinity;
    const wrong = order.filter(({ operation, state: after }) => {
      const output = operation.status === "ok" ? operation.output : undefined;
      const states = checked.step(state, operation.input, output).map((each) => checked.stateKey(each));
      const isLate = operation.status === "ok" && operation.returnAt < lastCallAt;
      lastCallAt = Math.max(lastCallAt, operation.callAt);
      state = after;
      return isLate || operation.status === "failed" || !states.includes(checked.stateKey(after));
    });
    expect(wrong).toEqual([]);
  }
}

describe("registers, by hand", () => {
  it("accepts nothing at all, and a plain sequence", () => {
    expect(verdict()).toBe("ok");
    expect(verdict(at(1, 0, 1).read(null), at(1, 2, 3).write(1), at(1, 4, 5).read(1))).toBe("ok");
  });

  it("refuses a stale read", () => {
    expect(verdict(at(1, 0, 1).write(1), at(1, 2, 3).write(2), at(2, 4, 5).read(1))).toBe("violation");
  });

  it("lets concurrent reads disagree while the write is in flight, but not go back", () => {
    const write = at(1, 0, 10).write(1);
    expect(verdict(write, at(2, 1, 2).read(null), at(3, 3, 4).read(1))).toBe("ok");
    expect(verdict(write, at(2, 1, 2).read(1), at(3, 3, 4).read(null))).toBe("violation");
  });

  it("takes equal times for concurrent", () => {
    expect(verdict(at(1, 0, 5).write(1), at(2, 5, 6).read(null))).toBe("ok");
    expect(verdict(at(1, 0, 4).write(1), at(2, 5, 6).read(null))).toBe("violation");
  });

  it("lets a time-out take effect late, once, or never", () => {
    const open = at(1, 0).write(1);
    expect(verdict(open, at(2, 100, 101).read(null))).toBe("ok");
    expect(verdict(open, at(2, 50, 51).read(null), at(2, 100, 101).read(1))).toBe("ok");
    expect(verdict(open, at(2, 50, 51).read(1), at(2, 60, 61).write(2), at(2, 70, 71).read(1))).toBe(
      "violation",
    );
    expect(verdict(at(1, 9).write(1), at(2, 7, 8).read(1))).toBe("violation");
  });

  it("knows that an unknown write may be what made a compare-and-set fail", () => {
    const settled = [at(1, 0, 1).write(1), at(1, 2, 3).cas(1, 2, false)];
    expect(verdict(...settled)).toBe("violation");
    expect(verdict(...settled, at(2, 0).write(3))).toBe("ok");
    expect(verdict(...settled, at(2, 0).write(3), at(1, 4, 5).read(1))).toBe("violation");
    expect(verdict(...settled, at(2, 0).write(3), at(3, 0).write(1), at(1, 4, 5).read(1))).toBe("ok");
  });

  it("chains unknown compare-and-sets", () => {
    const chain = [at(1, 0).cas(null, 1, true), at(2, 0).cas(1, 2, true), at(3, 0).cas(2, 3, true)];
    expect(verdict(...chain, at(4, 5, 6).read(3))).toBe("ok");
    expect(verdict(...chain, at(4, 5, 6).read(3), at(4, 7, 8).read(2))).toBe("violation");
    expect(verdict(...chain.toSpliced(1, 1), at(4, 5, 6).read(3))).toBe("violation");
  });

  it("counts equal unknown writes: each has effect at most once", () => {
    const readsOf1 = [at(9, 2, 3).read(1), at(9, 4, 5).write(0), at(9, 6, 7).read(1)];
    expect(verdict(at(1, 0).write(1), ...readsOf1)).toBe("violation");
    expect(verdict(at(1, 0).write(1), at(2, 6).write(1), ...readsOf1)).toBe("ok");
    expect(verdict(at(1, 0).write(1), at(2, 8).write(1), ...readsOf1)).toBe("violation");
  });

  it("ignores failed operations, and never takes them for the source of a value", () => {
    const failed: RegisterOperation = {
      client: 1,
      callAt: 0,
      input: { type: "write", key: KEY, value: 1 },
      status: "failed",
    };
    expect(verdict(failed, at(2, 1, 2).read(null))).toBe("ok");
    expect(verdict(failed, at(2, 1, 2).read(1))).toBe("violation");
  });

  it("checks keys apart and names the bad one", () => {
    const result = checkLinearizability(model, [
      at(1, 0, 1).write(1, "a"),
      at(1, 2, 3).read(1, "a"),
      at(1, 4, 5).write(2, "b"),
      at(1, 6, 7).read(1, "b"),
    ]);
    expect(result).toMatchObject({ verdict: "violation", key: "b" });
  });

  it("refuses a history that cannot have been recorded", () => {
    expect(() => verdict(at(1, 5, 4).read(null))).toThrow(HistoryError);
    expect(() => verdict(at(1, Number.NaN, 4).read(null))).toThrow(HistoryError);
  });

  it("explains a violation by the first return that breaks the history", () => {
    const result = checkLinearizability(model, [
      at(1, 0, 1).write(1),
      at(2, 2, 9).write(2),
      at(3, 3, 4).read(2),
      at(4, 5, 6).read(1),
      at(4, 20, 21).read(7),
    ]);
    if (result.verdict !== "violation") throw new Error(result.verdict);
    expect(result.culprit).toEqual(at(4, 5, 6).read(1));
    expect(result.unplaced).toEqual([at(4, 5, 6).read(1)]);
    expect(result.explanation).toMatchInlineSnapshot(`
      "key x: not linearizable. What returned first can be ordered, for instance so:
        null
        client 1 [0, 1] write 1  ⇒ 1
        client 2 [2, … write 2  ⇒ 2
        client 3 [3, 4] read → 2  ⇒ 2
      but no order has a place for this one too:
        client 4 [5, 6] read → 1"
    `);
  });
});

describe("registers, against every order", () => {
  const value = fc.constantFrom<RegisterValue>(null, 1, 2);
  const input: fc.Arbitrary<RegisterInput> = fc.oneof(
    fc.record({ type: fc.constant("read" as const), key: fc.constant(KEY) }),
    fc.record({ type: fc.constant("write" as const), key: fc.constant(KEY), value }),
    fc.record({ type: fc.constant("cas" as const), key: fc.constant(KEY), expected: value, value }),
  );
  const output: fc.Arbitrary<RegisterOutput> = fc.oneof(
    fc.record({ type: fc.constant("read" as const), value }),
    fc.record({ type: fc.constant("cas" as const), swapped: fc.boolean() }),
  );
  const realRegister = () => {
    let now: RegisterValue = null;
    return (op: RegisterInput): RegisterOutput => {
      if (op.type === "read") return { type: "read", value: now };
      if (op.type === "write") {
        now = op.value;
        return { type: "write" };
      }
      const swapped = now === op.expected;
      if (swapped) now = op.value;
      return { type: "cas", swapped };
    };
  };
  const reference: Reference<RegisterValue, RegisterInput, RegisterOutput> = {
    init: null,
    apply(state, op, seen) {
      if (seen !== undefined && seen.type !== op.type) return [];
      if (op.type === "read") return seen?.type === "read" && seen.value !== state ? [] : [state];
      if (op.type === "write") return [op.value];
      if (seen?.type === "cas" && seen.swapped !== (state === op.expected)) return [];
      return [state === op.expected ? op.value : state];
    },
  };
  const history = linearizableHistory(realRegister, input, 8);

  it("accepts what a real register did, with a proof", () => {
    fc.assert(
      fc.property(history, (recorded) => {
        const result = checkLinearizability(model, recorded);
        expect(result.verdict).toBe("ok");
        expectOrdersProve(model, recorded, result);
      }),
      { numRuns: 2000 },
    );
  });

  it("agrees on histories that were tampered with, and both verdicts are common", () => {
    const seen = { ok: 0, violation: 0, unknown: 0 };
    const mutations = fc.array(mutation(output), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(history, mutations, (recorded, changes) => {
        const tampered = mutate(recorded, changes);
        const result = checkLinearizability(model, tampered);
        const expected = isLinearizableByForce(reference, tampered) ? "ok" : "violation";
        expect(result.verdict).toBe(expected);
        seen[result.verdict]++;
        if (result.verdict === "ok") expectOrdersProve(model, tampered, result);
        if (result.verdict !== "violation") return;
        // What had returned before the culprit is fine, and no longer is when it has returned too.
        const { culprit } = result;
        const until = (time: number) =>
          tampered.map((operation) =>
            operation.status === "ok" && operation.returnAt > time
              ? { ...operation, status: "unknown" as const }
              : operation,
          );
        expect(isLinearizableByForce(reference, until(culprit!.returnAt))).toBe(false);
        expect(isLinearizableByForce(reference, until(culprit!.returnAt - 1))).toBe(true);
        expect(result.unplaced).toEqual([culprit]);
      }),
      { numRuns: 6000 },
    );
    expect(seen.ok).toBeGreaterThan(600);
    expect(seen.violation).toBeGreaterThan(600);
  });
});

describe("registers, long and hard", () => {
  const crowd = (clients: number, each: (client: number) => RegisterOperation) =>
    Array.from({ length: clients }, (_, client) => each(client));

  it("decides 2,000 operations over 50 keys in few steps", () => {
    const options = { seed: 1, operations: 2000, keys: 50, clients: 20, unknownShare: 0.05 };
    for (const values of [{ values: 5 }, {}]) {
      const history = busyHistory({ ...options, ...values });
      const result = checkLinearizability(model, history, { maxSteps: 20_000 });
      expectOrdersProve(model, history, result);
      const last = Math.max(...history.map(({ callAt }) => callAt)) + 1000;
      const key = "key 7";
      const late = [at(99, last, last + 1).write(3, key), at(99, last + 2, last + 3).read(4, key)];
      const broken = checkLinearizability(model, [...history, ...late], { maxSteps: 40_000 });
      expect(broken).toMatchObject({ verdict: "violation", key, culprit: late[1] });
    }
  });

  it("decides 2,000 operations on one key, a tenth of them unknown", () => {
    const options = { seed: 2, operations: 2000, keys: 1, clients: 10, unknownShare: 0.1 };
    for (const values of [{ values: 5 }, {}]) {
      const history = busyHistory({ ...options, ...values });
      expectOrdersProve(model, history, checkLinearizability(model, history));
    }
  });

  it("decides 30 open writes, whatever is read of them", () => {
    const open = crowd(30, (client) => at(client, 0).write(client));
    const inTurn = crowd(30, (client) => at(99, 10 + 2 * client, 11 + 2 * client).read(29 - client));
    const together = crowd(30, (client) => at(100 + client, 10, 50).read(client));
    const few = { maxSteps: 20_000 };
    expectOrdersProve(model, [...open, ...inTurn], checkLinearizability(model, [...open, ...inTurn], few));
    const again = at(99, 100, 101).read(5);
    expect(checkLinearizability(model, [...open, ...inTurn, again], few)).toMatchObject({
      verdict: "violation",
      culprit: again,
    });
    expect(checkLinearizability(model, [...open, ...together, again], few).verdict).toBe("ok");
    const another = at(99, 102, 103).read(6);
    expect(checkLinearizability(model, [...open, ...together, again, another], few)).toMatchObject({
      verdict: "violation",
      culprit: another,
    });
  });

  it("decides 30 open writes of only three values, each of which can serve once", () => {
    const open = crowd(30, (client) => at(client, 0).write(client % 3));
    const reads = crowd(30, (client) => at(99, 10 + 2 * client, 11 + 2 * client).read(client % 3));
    const few = { maxSteps: 20_000 };
    expect(checkLinearizability(model, [...open, ...reads], few).verdict).toBe("ok");
    expect(checkLinearizability(model, [...open, ...reads, at(99, 90, 91).read(0)], few).verdict).toBe(
      "violation",
    );
  });

  describe("with a budget too small", () => {
    // Without a look at values, twelve concurrent writes have to be tried in thousands of ways.
    const { values: _, ...blind } = model;
    const hard = [
      ...crowd(12, (client) => at(client, 0, 10).write(client, "hard")),
      at(9, 20, 21).read(77, "hard"),
    ];

    it("says unknown, and where", () => {
      expect(checkLinearizability(blind, hard, { maxSteps: 30_000 })).toMatchObject({
        verdict: "unknown",
        undecided: ["hard"],
      });
      expect(checkLinearizability(blind, hard).verdict).toBe("violation");
      expect(checkLinearizability(model, hard, { maxSteps: 100 }).verdict).toBe("violation");
    });

    it("still finds the violation of another key", () => {
      const history = [...hard, at(1, 30, 31).write(1), at(1, 32, 33).read(2)];
      const result = checkLinearizability(blind, history, { maxSteps: 30_000 });
      expect(result).toMatchObject({ verdict: "violation", key: KEY });
    });

    it("allows no budget that would pass everything", () => {
      expect(() => checkLinearizability(model, hard, { maxSteps: 0 })).toThrow(HistoryError);
      expect(() => checkLinearizability(model, hard, { maxSteps: Number.NaN })).toThrow(HistoryError);
    });
  });
});

describe("keys with revisions", () => {
  const get = (key = KEY): KvInput => ({ type: "get", key });
  const put = (value: string, key = KEY): KvInput => ({ type: "put", key, value });
  const kv = kvModel();

  it("tells equal values apart by their revisions", () => {
    const history = [
      at(1, 0, 1).kv(put("a"), { type: "put", revision: 5 }),
      at(1, 2, 3).kv(put("a"), { type: "put", revision: 8 }),
    ];
    const seen = (modRevision: number, version: number) =>
      at(2, 4, 5).kv(get(), { type: "get", kv: { value: "a", modRevision, version } });
    expect(checkLinearizability(kv, [...history, seen(8, 2)]).verdict).toBe("ok");
    expect(checkLinearizability(kv, [...history, seen(5, 1)]).verdict).toBe("violation");
    expect(checkLinearizability(kv, [...history, seen(8, 1)]).verdict).toBe("violation");
    expect(checkLinearizability(kv, history.toReversed()).verdict).toBe("ok");
  });

  it("refuses revisions that go back", () => {
    const history = [
      at(1, 0, 1).kv(put("a"), { type: "put", revision: 8 }),
      at(1, 2, 3).kv(put("b"), { type: "put", revision: 5 }),
    ];
    expect(checkLinearizability(kv, history).verdict).toBe("violation");
  });

  it("pins the revision of an unknown put when a reply shows it", () => {
    const open = at(1, 0).kv(put("a"), { type: "put", revision: 0 });
    const saw = (callAt: number, modRevision: number) =>
      at(2, callAt, callAt + 1).kv(get(), { type: "get", kv: { value: "a", modRevision, version: 1 } });
    expect(checkLinearizability(kv, [open, saw(2, 4), saw(4, 4)]).verdict).toBe("ok");
    expect(checkLinearizability(kv, [open, saw(2, 4), saw(4, 5)]).verdict).toBe("violation");
    expect(checkLinearizability(kv, [open, saw(2, 1)]).verdict).toBe("violation");
  });

  it("does not pin a revision that belongs to a later put", () => {
    const history = [
      at(1, 0).kv(put("a"), { type: "put", revision: 0 }),
      at(2, 0, 100).kv(get(), { type: "get", kv: { value: "a", modRevision: 10, version: 1 } }),
      at(3, 10, 11).kv({ type: "delete", key: KEY }, { type: "delete", deleted: true, revision: 5 }),
    ];
    const later = at(3, 20, 21).kv(put("a"), { type: "put", revision: 10 });
    expect(checkLinearizability(kv, [...history, later]).verdict).toBe("ok");
    expect(checkLinearizability(kv, history).verdict).toBe("violation");
  });

  it("learns from a swap that was refused what a revision is not", () => {
    const refused = (callAt: number, modRevision: number) =>
      at(2, callAt, callAt + 1).kv(
        { type: "cas", key: KEY, expected: { modRevision }, value: "z" },
        { type: "cas", swapped: false },
      );
    const history = [at(1, 0).kv(put("a"), { type: "put", revision: 0 }), refused(2, 0), refused(4, 2)];
    const saw = (modRevision: number) =>
      at(2, 6, 7).kv(get(), { type: "get", kv: { value: "a", modRevision, version: 1 } });
    const then = (revision: number) => at(2, 6, 7).kv(put("b"), { type: "put", revision });
    expect(checkLinearizability(kv, [...history, saw(3)]).verdict).toBe("ok");
    expect(checkLinearizability(kv, [...history, saw(2)]).verdict).toBe("violation");
    expect(checkLinearizability(kv, [...history, then(4)]).verdict).toBe("ok");
    expect(checkLinearizability(kv, [...history, then(3)]).verdict).toBe("violation");
  });

  /** The revision is part of the state, and that of an unknown change is guessed from all that matter. */
  interface Concrete {
    readonly value: string | null;
    readonly version: number;
    readonly revision: number;
  }
  const highest = 24;
  const reference: Reference<Concrete, KvInput, KvOutput> = {
    init: { value: null, version: 0, revision: 1 },
    apply(state, op, seen) {
      const change = (value: string | null, told: number | undefined): Concrete[] => {
        const version = value === null ? 0 : state.version + 1;
        const guesses = Array.from({ length: highest }, (_, index) => index);
        return (told === undefined ? guesses : [told])
          .filter((revision) => revision > state.revision)
          .map((revision) => ({ value, version, revision }));
      };
      if (seen !== undefined && seen.type !== op.type) return [];
      switch (op.type) {
        case "get": {
          if (seen?.type !== "get") return [state];
          const now =
            state.value === null
              ? null
              : { value: state.value, modRevision: state.revision, version: state.version };
          return JSON.stringify(now) === JSON.stringify(seen.kv) ? [state] : [];
        }
        case "put":
          return change(op.value, seen?.type === "put" ? seen.revision : undefined);
        case "delete":
          if (seen?.type === "delete" && seen.deleted !== (state.value !== null)) return [];
          if (state.value === null) return [state];
          return change(null, seen?.type === "delete" && seen.deleted ? seen.revision : undefined);
        case "cas": {
          const met =
            "value" in op.expected
              ? state.value === op.expected.value
              : (state.value === null ? 0 : state.revision) === op.expected.modRevision;
          if (seen?.type === "cas" && seen.swapped !== met) return [];
          if (!met) return [state];
          return change(op.value, seen?.type === "cas" && seen.swapped ? seen.revision : undefined);
        }
      }
    },
  };
  const key = fc.constant(KEY);
  const text = fc.constantFrom("a", "b");
  const revision = fc.integer({ min: 0, max: 7 });
  const input: fc.Arbitrary<KvInput> = fc.oneof(
    fc.record({ type: fc.constant("get" as const), key }),
    fc.record({ type: fc.constant("put" as const), key, value: text }),
    fc.record({ type: fc.constant("delete" as const), key }),
    fc.record({
      type: fc.constant("cas" as const),
      key,
      expected: fc.oneof(fc.record({ value: fc.option(text) }), fc.record({ modRevision: revision })),
      value: text,
    }),
  );
  const output: fc.Arbitrary<KvOutput> = fc.oneof(
    fc.record({
      type: fc.constant("get" as const),
      kv: fc.option(
        fc.record({ value: text, modRevision: revision, version: fc.integer({ min: 1, max: 3 }) }),
      ),
    }),
    fc.record({ type: fc.constant("put" as const), revision }),
    fc.record({ type: fc.constant("delete" as const), deleted: fc.constant(false as const) }),
    fc.record({ type: fc.constant("cas" as const), swapped: fc.constant(true as const), revision }),
  );
  const realStore = () => {
    let now: Concrete = { value: null, version: 0, revision: 1 };
    const change = (value: string | null): number => {
      now = { value, version: value === null ? 0 : now.version + 1, revision: now.revision + 1 };
      return now.revision;
    };
    return (op: KvInput): KvOutput => {
      switch (op.type) {
        case "get": {
          const { value, version, revision: modRevision } = now;
          return { type: "get", kv: value === null ? null : { value, modRevision, version } };
        }
        case "put":
          return { type: "put", revision: change(op.value) };
        case "delete":
          return now.value === null
            ? { type: "delete", deleted: false }
            : { type: "delete", deleted: true, revision: change(null) };
        case "cas": {
          const met =
            "value" in op.expected
              ? now.value === op.expected.value
              : op.expected.modRevision === (now.value === null ? 0 : now.revision);
          return met
            ? { type: "cas", swapped: true, revision: change(op.value) }
            : { type: "cas", swapped: false };
        }
      }
    };
  };

  it("accepts what a real store did, and agrees with every order on what was tampered with", () => {
    const seen = { ok: 0, violation: 0, unknown: 0 };
    const changes = fc.array(mutation(output), { maxLength: 2 });
    fc.assert(
      fc.property(linearizableHistory(realStore, input, 6), changes, (recorded, mutations) => {
        expect(checkLinearizability(kv, recorded).verdict).toBe("ok");
        const tampered = mutate(recorded, mutations);
        const result = checkLinearizability(kv, tampered);
        expect(result.verdict).toBe(isLinearizableByForce(reference, tampered) ? "ok" : "violation");
        if (result.verdict === "ok") expectOrdersProve(kv, tampered, result);
        seen[result.verdict]++;
      }),
      { numRuns: 3000 },
    );
    expect(seen.ok).toBeGreaterThan(300);
    expect(seen.violation).toBeGreaterThan(300);
  });
});
