import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLinearizableByForce, type Reference } from "./brute-force.ts";
import type { Order } from "./cycles.ts";
import { HistoryError } from "./history.ts";
import type { Operation } from "./history.ts";
import type { ListOperation, ListValue, Transaction } from "./list-append.ts";
import { checkSerializability } from "./serializability.ts";
import type { SerializabilityResult } from "./serializability.ts";

const append = (key: string, value: ListValue): ListOperation => ({ type: "append", key, value });
const read = (key: string, ...values: ListValue[]): ListOperation => ({ type: "read", key, values });

/** Committed, all at the same time, each of its own client. */
function together(...transactions: ListOperation[][]): Transaction[] {
  return transactions.map((operations, client) => ({
    client,
    callAt: 0,
    returnAt: 1,
    status: "ok",
    operations,
  }));
}

/** Committed, one after the other, each of its own client. */
function inTurn(...transactions: ListOperation[][]): Transaction[] {
  return transactions.map((operations, client) => ({
    client,
    callAt: 2 * client,
    returnAt: 2 * client + 1,
    status: "ok",
    operations,
  }));
}

function failed(...operations: ListOperation[]): Transaction {
  return { client: 90, callAt: 0, status: "failed", operations };
}

function unknown(callAt: number, ...operations: ListOperation[]): Transaction {
  return { client: 91, callAt, status: "unknown", operations };
}

function names(history: readonly Transaction[], order: Order = "strict"): string[] {
  const result = checkSerializability(history, { order });
  return result.verdict === "violation" ? result.anomalies.map(({ name }) => name) : [];
}

/** Every cycle that is shown is one, and its edges are those of the kind that its name allows. */
function expectSoundCycles(result: SerializabilityResult): void {
  if (result.verdict !== "violation") return;
  for (const { name, cycle } of result.anomalies) {
    if (cycle === null) continue;
    const ends = cycle.map(({ to }) => to);
    expect(cycle.map(({ from }) => from)).toEqual([ends.at(-1), ...ends.slice(0, -1)]);
    const types = cycle.map(({ type }) => type);
    const antiDependencies = types.filter((type) => type === "rw").length;
    expect(antiDependencies).toBeGreaterThanOrEqual(
      name.startsWith("G2") ? 2 : name.startsWith("G-s") ? 1 : 0,
    );
    expect(antiDependencies).toBeLessThanOrEqual(
      name.startsWith("G2") ? Infinity : name.startsWith("G-s") ? 1 : 0,
    );
    expect(types.includes("wr") && name.startsWith("G0")).toBe(false);
    expect(types.includes("time")).toBe(name.endsWith("-realtime"));
    expect(types.includes("clock")).toBe(false);
  }
}

describe("anomalies of the literature", () => {
  it("accepts a serial history, under every order", () => {
    const history = inTurn(
      [append("x", 1), read("y")],
      [append("y", 1), read("x", 1)],
      [read("x", 1), read("y", 1)],
    );
    for (const order of ["serializable", "session", "strict"] as const) {
      expect(checkSerializability(history, { order })).toEqual({ verdict: "ok" });
    }
  });

  it("G0, dirty write: two transactions overwrite each other in turn", () => {
    const history = together(
      [append("x", 1), append("y", 1)],
      [append("x", 2), append("y", 2)],
      [read("x", 1, 2)],
      [read("y", 2, 1)],
    );
    expect(names(history, "serializable")).toEqual(["G0"]);
  });

  it("G1a, aborted read", () => {
    expect(names([failed(append("x", 1)), ...together([read("x", 1)])])).toEqual(["G1a"]);
  });

  it("G1b, intermediate read", () => {
    const history = together([append("x", 1), append("x", 2)], [read("x", 1)], [read("x", 1, 2)]);
    expect(names(history)).toContain("G1b");
    expect(names(together([append("x", 1), read("x", 1), append("x", 2)], [read("x", 1, 2)]))).toEqual([]);
  });

  it("G1c, circular information flow: two transactions read each other", () => {
    const history = together([append("x", 1), read("y", 1)], [append("y", 1), read("x", 1)]);
    expect(names(history, "serializable")).toEqual(["G1c"]);
  });

  it("G-single, read skew: one read before a transaction, one after it", () => {
    const history = together([append("x", 1), append("y", 1)], [read("x"), read("y", 1)], [read("x", 1)]);
    expect(names(history, "serializable")).toEqual(["G-single"]);
  });

  it("G-single, lost update: two transactions read the same version and both write", () => {
    const history = together([read("x"), append("x", 1)], [read("x"), append("x", 2)], [read("x", 1, 2)]);
    expect(names(history, "serializable")).toEqual(["G-single"]);
  });

  it("G2, write skew: each reads what the other is about to write", () => {
    const history = together(
      [read("x"), append("y", 1)],
      [read("y"), append("x", 1)],
      [read("x", 1), read("y", 1)],
    );
    expect(names(history, "serializable")).toEqual(["G2"]);
  });

  it("G2, long fork: two readers see two writes in different orders", () => {
    const history = together(
      [append("x", 1)],
      [append("y", 1)],
      [read("x", 1), read("y")],
      [read("x"), read("y", 1)],
    );
    expect(names(history, "serializable")).toEqual(["G2"]);
  });

  it("stale read: legal for serializability, not in the order of time", () => {
    const history = inTurn([append("x", 1)], [read("x")], [read("x", 1)]);
    expect(names(history, "serializable")).toEqual([]);
    expect(names(history, "session")).toEqual([]);
    expect(names(history, "strict")).toEqual(["G-single-realtime"]);
  });

  it("a client that does not see its own write", () => {
    const history = together([append("x", 1)], [read("x")], [read("x", 1)]).map(
      (transaction, index): Transaction => ({
        ...transaction,
        client: index === 2 ? 2 : 1,
        callAt: index / 4,
      }),
    );
    expect(names(history, "serializable")).toEqual([]);
    expect(names(history, "session")).toEqual(["G-single-session"]);
    expect(names(history, "strict")).toEqual(["G-single-session"]);
  });

  it("writes in another order than time's", () => {
    const history = inTurn([append("x", 2)], [append("x", 1)], [read("x", 1, 2)]);
    expect(names(history, "strict")).toEqual(["G0-realtime"]);
    expect(names(history, "serializable")).toEqual([]);
  });

  it("a read from the future", () => {
    const history = inTurn([read("x", 1)], [append("x", 1)]);
    expect(names(history)).toEqual(["G1c-realtime"]);
    expect(names([...inTurn([read("x", 1)]), unknown(5, append("x", 1))])).toEqual(["G1c-realtime"]);
  });
});

describe("lists that contradict themselves", () => {
  it("internal: a transaction misses its own append, or reads twice what changed, or its own future", () => {
    expect(names(together([append("x", 1), read("x")]))).toContain("internal");
    expect(names(together([read("x"), read("x", 1)], [append("x", 1)]))).toContain("internal");
    expect(names(together([read("x", 1), append("x", 1)]))).toContain("internal");
    expect(names(together([append("x", 1), read("x", 1), append("x", 2), read("x", 1, 2)]))).toEqual([]);
    expect(names(together([read("x", 9), append("x", 1), read("x", 9, 1)], [append("x", 9)]))).toEqual([]);
  });

  it("garbage-read: nobody wrote it", () => {
    expect(names(together([read("x", 7)]))).toEqual(["garbage-read"]);
  });

  it("duplicate-append: a retry that was applied twice", () => {
    expect(names(together([append("x", 1)], [read("x", 1, 1)]))).toEqual(["duplicate-append"]);
  });

  it("incompatible-order: reads that no one list can have given", () => {
    const history = together([append("x", 1)], [append("x", 2)], [read("x", 1, 2)], [read("x", 2)]);
    expect(names(history)).toEqual(["incompatible-order"]);
    expect(names(together([append("x", 1), append("x", 2)], [read("x", 2, 1)]))).toContain(
      "incompatible-order",
    );
  });

  it("draws no conclusion from lists whose order is in doubt", () => {
    const history = together(
      [append("x", 1)],
      [append("x", 2), append("y", 9)],
      [read("x", 1, 2)],
      [read("x", 2, 1), read("y", 9)],
    );
    expect(names(history)).toEqual(["incompatible-order"]);
  });

  it("lost-append: acknowledged, and gone", () => {
    const history = inTurn([append("x", 1)], [append("x", 2)], [read("x", 2)]);
    expect(names(history)).toContain("lost-append");
    expect(names(history, "serializable")).toEqual([]);
  });
});

describe("outcomes", () => {
  it("takes an unknown transaction for committed as soon as one of its appends was read", () => {
    const open = unknown(0, append("x", 1), append("y", 1));
    expect(names([open, ...together([read("x"), read("y")])])).toEqual([]);
    expect(names([open, ...together([read("x", 1), read("y", 1)])])).toEqual([]);
    expect(names([open, ...together([read("x", 1), read("y")])])).toEqual(["G-single"]);
  });

  it("lets an unknown transaction take effect long after its client went on", () => {
    const late: Transaction = { client: 1, callAt: 0, status: "unknown", operations: [append("x", 1)] };
    const history: Transaction[] = [
      late,
      { client: 1, callAt: 5, returnAt: 6, status: "ok", operations: [read("x")] },
      { client: 1, callAt: 7, returnAt: 8, status: "ok", operations: [read("x", 1)] },
    ];
    expect(names(history)).toEqual([]);
    expect(
      names([
        ...history,
        ...inTurn([]),
        { client: 2, callAt: 9, returnAt: 10, status: "ok", operations: [read("x")] },
      ]),
    ).toEqual(["G-single-realtime"]);
  });

  it("does not call it a pass when nothing was read", () => {
    expect(checkSerializability(inTurn([append("x", 1)])).verdict).toBe("unknown");
    expect(checkSerializability([]).verdict).toBe("ok");
  });

  it("refuses histories that it cannot read", () => {
    expect(() => checkSerializability(together([append("x", 1)], [append("x", 1)]))).toThrow(HistoryError);
    expect(() =>
      checkSerializability([{ client: 1, callAt: 2, returnAt: 1, status: "ok", operations: [] }]),
    ).toThrow(HistoryError);
  });

  it("explains a cycle edge by edge", () => {
    const result = checkSerializability(
      together([read("x"), append("y", 1)], [read("y"), append("x", 1)], [read("x", 1), read("y", 1)]),
    );
    expect(result.verdict === "violation" && result.explanation).toMatchInlineSnapshot(`
      "G2: 
        T0 before T1 (rw): it read x empty, without 1, which the other appended
        T1 before T0 (rw): it read y empty, without 1, which the other appended"
    `);
    const stale = checkSerializability(inTurn([append("x", 1)], [], [read("x")], [read("x", 1)]));
    expect(stale.verdict === "violation" && stale.explanation).toMatchInlineSnapshot(`
      "G-single-realtime: 
        T2 before T0 (rw): it read x empty, without 1, which the other appended
        T0 before T2 (time): it returned at 1, the other was called at 4"
    `);
  });

  it("takes thousands of transactions", () => {
    const list: ListValue[] = [];
    const history = inTurn(
      ...Array.from({ length: 3000 }, (_, index): ListOperation[] => {
        if (index % 3 === 0) return [read("x", ...list.slice(0, 50))];
        if (list.length >= 50) return [append(`y${index % 7}`, index)];
        list.push(index);
        return [append("x", index)];
      }),
    );
    expect(names(history)).toEqual([]);
    const swapped = history.with(1500, { ...history[1500]!, operations: [read("x", ...list.slice(0, 49))] });
    expect(names(swapped)).toEqual(["G-single-realtime"]);
  });
});

/** One transaction as drawn; the serial execution fills in what is read. */
interface Plan {
  readonly callAt: number;
  readonly effectAfter: number;
  readonly returnAfter: number;
  readonly fate: "ok" | "unknown, effect" | "unknown, none" | "failed";
  readonly steps: readonly { readonly key: string; readonly isRead: boolean }[];
}

type Lists = ReadonlyMap<string, readonly ListValue[]>;

const plan: fc.Arbitrary<Plan> = fc.record({
  callAt: fc.nat({ max: 10 }),
  effectAfter: fc.nat({ max: 3 }),
  returnAfter: fc.nat({ max: 3 }),
  fate: fc.constantFrom("ok", "ok", "ok", "ok", "ok", "unknown, effect", "unknown, none", "failed"),
  steps: fc.array(fc.record({ key: fc.constantFrom("x", "y"), isRead: fc.boolean() }), {
    minLength: 1,
    maxLength: 3,
  }),
});

/**
 * Runs the plans one by one, in the order of their effects, and reads everything at the end. Without the final
 * read some appends may stay unseen, and some violations with them.
 */
function execute(plans: readonly Plan[], { finalRead }: { finalRead: boolean }): Transaction[] {
  const lists = new Map<string, ListValue[]>();
  const effectAt = ({ callAt, effectAfter }: Plan): number => callAt + effectAfter;
  let value = 0;
  const history = plans
    .toSorted((a, b) => effectAt(a) - effectAt(b))
    .map((each, client): Transaction => {
      const hasEffect = each.fate === "ok" || each.fate === "unknown, effect";
      const operations = each.steps.map(({ key, isRead }): ListOperation => {
        const list = lists.get(key) ?? [];
        if (isRead) return { type: "read", key, values: each.fate === "ok" ? [...list] : null };
        value++;
        if (hasEffect) lists.set(key, [...list, value]);
        return append(key, value);
      });
      const call = { client, callAt: each.callAt, operations };
      if (each.fate === "ok") return { ...call, status: "ok", returnAt: effectAt(each) + each.returnAfter };
      return { ...call, status: each.fate === "failed" ? "failed" : "unknown" };
    });
  if (!finalRead) return history;
  const operations = ["x", "y"].map((key) => read(key, ...(lists.get(key) ?? [])));
  return [...history, { client: 99, callAt: 100, returnAt: 101, status: "ok", operations }];
}

const reference: Reference<Lists, readonly ListOperation[], null> = {
  init: new Map(),
  apply(state, operations) {
    const lists = new Map(state);
    for (const operation of operations) {
      const list = lists.get(operation.key) ?? [];
      if (operation.type === "append") lists.set(operation.key, [...list, operation.value]);
      else if (operation.values !== null && operation.values.join() !== list.join()) return [];
    }
    return [lists];
  },
};

/** Serializability is linearizability of transactions over the whole store; without time, all are concurrent. */
function isSerializableByForce(history: readonly Transaction[], order: "serializable" | "strict"): boolean {
  const asOperations = history.map((transaction): Operation<readonly ListOperation[], null> => {
    const isOk = transaction.status === "ok";
    const call = {
      client: transaction.client,
      callAt: order === "strict" ? transaction.callAt : 0,
      input: transaction.operations,
    };
    if (!isOk) return { ...call, status: transaction.status };
    return { ...call, status: "ok", returnAt: order === "strict" ? transaction.returnAt : 0, output: null };
  });
  return isLinearizableByForce(reference, asOperations);
}

interface Mutation {
  readonly type: "drop" | "repeat" | "swap" | "later" | "fail";
  readonly at: number;
  readonly step: number;
  readonly by: number;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  type: fc.constantFrom("drop", "drop", "repeat", "swap", "later", "later", "fail"),
  at: fc.nat(),
  step: fc.nat(),
  by: fc.nat({ max: 9 }),
});

/** Changes what one transaction says of itself. */
function mutate(history: readonly Transaction[], change: Mutation): Transaction[] {
  const index = change.at % history.length;
  const transaction = history[index]!;
  if (transaction.status !== "ok") return [...history];
  if (change.type === "fail") return history.with(index, { ...transaction, status: "failed" });
  if (change.type === "later") {
    const { callAt, returnAt } = transaction;
    return history.with(index, {
      ...transaction,
      callAt: callAt + change.by,
      returnAt: returnAt + change.by,
    });
  }
  const step = change.step % transaction.operations.length;
  const operation = transaction.operations[step]!;
  if (operation.type !== "read" || operation.values === null || operation.values.length === 0)
    return [...history];
  const operations = transaction.operations.with(step, {
    ...operation,
    values: tamper(operation.values, change.type, change.by),
  });
  return history.with(index, { ...transaction, operations });
}

function tamper(values: readonly ListValue[], type: "drop" | "repeat" | "swap", at: number): ListValue[] {
  const index = at % values.length;
  if (type === "drop") return values.slice(0, index);
  if (type === "repeat") return values.toSpliced(index, 0, values[index]!);
  const other = (index + 1) % values.length;
  return values.with(index, values[other]!).with(other, values[index]!);
}

describe("random histories, against every order", () => {
  const plans = fc.array(plan, { minLength: 1, maxLength: 6 });

  it("accepts what a serial execution gave", () => {
    fc.assert(
      fc.property(plans, fc.boolean(), (drawn, finalRead) => {
        expect(names(execute(drawn, { finalRead }))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it("gives the very verdict when all is read at the end, and both are common", () => {
    const seen = { ok: 0, violation: 0, unknown: 0 };
    fc.assert(
      fc.property(
        plans,
        fc.array(mutation, { minLength: 1, maxLength: 2 }),
        fc.constantFrom("serializable", "strict"),
        (drawn, mutations, order) => {
          const good = execute(drawn, { finalRead: true });
          const last = good.at(-1)!;
          const tampered = [...mutations.reduce(mutate, good.slice(0, -1)), last];
          const result = checkSerializability(tampered, { order });
          expect(result.verdict).toBe(isSerializableByForce(tampered, order) ? "ok" : "violation");
          expectSoundCycles(result);
          seen[result.verdict]++;
        },
      ),
      { numRuns: 4000 },
    );
    expect(seen.ok).toBeGreaterThan(400);
    expect(seen.violation).toBeGreaterThan(400);
  });

  it("calls nothing a violation that is none, when some appends were never read", () => {
    let violations = 0;
    fc.assert(
      fc.property(plans, fc.array(mutation, { minLength: 1, maxLength: 3 }), (drawn, mutations) => {
        const tampered = mutations.reduce(mutate, execute(drawn, { finalRead: false }));
        const result = checkSerializability(tampered);
        expectSoundCycles(result);
        if (result.verdict !== "violation") return;
        violations++;
        expect(isSerializableByForce(tampered, "strict")).toBe(false);
      }),
      { numRuns: 3000 },
    );
    expect(violations).toBeGreaterThan(300);
  });
});
