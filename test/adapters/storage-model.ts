import fc from "fast-check";
import { expect } from "vitest";
import type { StorageEngine } from "../../src/core/node/index.ts";
import type { CommandEntry, HardState } from "../../src/core/raft/index.ts";
import { command, summary } from "./storage-helpers.ts";

/*
 * The simplest store there can be, and random histories to compare others with it. Positions are fractions, so that
 * every operation makes sense wherever the log happens to begin and end.
 */

export type Operation =
  | {
      readonly type: "append";
      readonly at: number;
      readonly sizes: readonly number[];
      readonly withState: boolean;
    }
  | { readonly type: "saveHardState"; readonly vote: bigint | null }
  | { readonly type: "compact"; readonly at: number }
  | { readonly type: "reset"; readonly ahead: number }
  | { readonly type: "compare"; readonly from: number; readonly maxBytes: number }
  | { readonly type: "reopen" };

/** Not `fc.double`, which draws all exponents alike: nearly everything it gives is nearly 0. */
const fraction = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000);

export const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant("append" as const),
        // Mostly at the end, as in life.
        at: fc.oneof(fc.constant(1), fraction),
        sizes: fc.array(fc.oneof(fc.nat(100), fc.nat(20_000)), { minLength: 1, maxLength: 20 }),
        withState: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("saveHardState" as const),
        vote: fc.option(fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }), { nil: null }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("compact" as const), at: fraction }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("reset" as const), ahead: fc.nat(5) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant("compare" as const),
        from: fraction,
        maxBytes: fc.nat(50_000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("reopen" as const) }) },
  ),
  { minLength: 5, maxLength: 40 },
);

class Model {
  prevIndex = 0;
  prevTerm = 0;
  entries: CommandEntry[] = [];
  hardState: HardState | null = null;
  term = 1;

  get lastIndex(): number {
    return this.prevIndex + this.entries.length;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? this.prevTerm;
  }

  termAt(index: number): number {
    return index === this.prevIndex ? this.prevTerm : this.entries[index - this.prevIndex - 1]!.term;
  }

  append(entries: readonly CommandEntry[]): void {
    this.entries.length = entries[0]!.index - this.prevIndex - 1;
    this.entries.push(...entries);
  }

  compact(to: number): void {
    this.prevTerm = this.termAt(to);
    this.entries = this.entries.slice(to - this.prevIndex);
    this.prevIndex = to;
  }
}

/** Plays a history; writes are not waited for until something is compared. */
export async function runAgainstModel(
  history: readonly Operation[],
  open: () => Promise<StorageEngine>,
): Promise<void> {
  const model = new Model();
  let storage = await open();
  await storage.log.open();
  let inFlight: Promise<void>[] = [];
  const settle = async (): Promise<void> => {
    await Promise.all(inFlight);
    inFlight = [];
  };
  try {
    for (const operation of history) {
      if (operation.type === "reopen") {
        await settle();
        await storage.close();
        storage = await open();
        await compareWhole(storage, model);
      } else if (operation.type === "compare") {
        await comparePart(storage, model, operation.from, operation.maxBytes);
      } else {
        inFlight.push(write(storage, model, operation));
      }
    }
    await settle();
    await compareWhole(storage, model);
  } finally {
    await Promise.allSettled(inFlight);
    await storage.close();
  }
}

type Write = Exclude<Operation, { readonly type: "reopen" | "compare" }>;

function write(storage: StorageEngine, model: Model, operation: Write): Promise<void> {
  model.term++;
  switch (operation.type) {
    case "append": {
      const length = model.lastIndex - model.prevIndex;
      const first = model.prevIndex + 1 + Math.round(operation.at * length);
      const entries = operation.sizes.map((bytes, i) => command(first + i, model.term, bytes));
      model.append(entries);
      if (!operation.withState || storage.commit === undefined) return storage.log.append(entries);
      model.hardState = { term: model.term, vote: 1n, commit: model.prevIndex };
      return storage.commit(model.hardState, entries);
    }
    case "saveHardState":
      model.hardState = { term: model.term, vote: operation.vote, commit: 0 };
      return storage.meta.saveHardState(model.hardState);
    case "compact": {
      const to = model.prevIndex + Math.round(operation.at * (model.lastIndex - model.prevIndex));
      model.compact(to);
      return storage.log.compact(to);
    }
    case "reset": {
      const index = model.lastIndex + operation.ahead;
      model.entries = [];
      model.prevIndex = index;
      model.prevTerm = model.term;
      return storage.log.reset(index, model.term);
    }
  }
}

async function compareWhole(storage: StorageEngine, model: Model): Promise<void> {
  expect(await storage.log.open()).toEqual({
    firstIndex: model.prevIndex + 1,
    lastIndex: model.lastIndex,
    prevTerm: model.prevTerm,
    lastTerm: model.lastTerm,
  });
  expect((await storage.meta.load()).hardState).toEqual(model.hardState);
  if (model.entries.length === 0) return;
  const found = await storage.log.read(model.prevIndex + 1, model.lastIndex, Number.MAX_SAFE_INTEGER);
  expect(summary(found)).toEqual(summary(model.entries));
}

async function comparePart(
  storage: StorageEngine,
  model: Model,
  fromFraction: number,
  maxBytes: number,
): Promise<void> {
  if (model.entries.length === 0) return;
  const skip = Math.round(fromFraction * (model.entries.length - 1));
  const from = model.prevIndex + 1 + skip;
  const found = await storage.log.read(from, model.lastIndex, maxBytes);
  expect(found.length).toBeGreaterThanOrEqual(1);
  expect(summary(found)).toEqual(summary(model.entries.slice(skip, skip + found.length)));
  const bytes = found.reduce((sum, entry) => sum + (entry.kind === "command" ? entry.data.length : 0), 0);
  if (found.length > 1) expect(bytes).toBeLessThanOrEqual(maxBytes);
  expect(await storage.log.term(from - 1)).toBe(model.termAt(from - 1));
}
