import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { KvStore } from "../../../src/core/kv/index.ts";
import type { RangeRequest } from "../../../src/core/kv/index.ts";
import { commands, rangeRequests, type DirectCommand } from "./arbitraries.ts";
import { NaiveModel, plainRange, plainResult } from "./naive-model.ts";
import type { Plain } from "./naive-model.ts";
import { OPEN_END, apply, bytes, restored, snapshotOf, text } from "./support.ts";

const RUNS = { numRuns: 300 };

function readStore(store: KvStore, request: RangeRequest): Plain {
  try {
    return plainRange(store.range(request));
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
}

/** All that can be read: every key at every revision. */
function history(read: (request: RangeRequest) => Plain, revisions: number): Plain[] {
  return Array.from({ length: revisions + 2 }, (_, revision) =>
    read({ key: bytes("\0"), rangeEnd: OPEN_END, revision }),
  );
}

function expectSame(store: KvStore, model: NaiveModel): void {
  expect(store.revision).toBe(model.revision);
  expect(store.compactRevision).toBe(model.compactRevision);
  const fromStore = history((request) => readStore(store, request), model.revision);
  expect(fromStore).toEqual(history((request) => model.range(request), model.revision));
  expect(leasesOf(store)).toEqual(model.leases());
}

function leasesOf(store: KvStore): Plain {
  return [...store.leases()].map((lease) => [lease, store.leaseKeys(lease.id).map(text)]);
}

type Step =
  | { readonly apply: DirectCommand }
  | { readonly range: RangeRequest }
  | { readonly compactStep: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ apply: commands }) },
    { weight: 1, arbitrary: fc.record({ range: rangeRequests }) },
    { weight: 1, arbitrary: fc.record({ compactStep: fc.integer({ min: 1, max: 20 }) }) },
  ),
  { maxLength: 60 },
);

function runOnStore(store: KvStore, step: Step): Plain {
  if ("apply" in step) return plainResult(apply(store, step.apply));
  if ("range" in step) return readStore(store, step.range);
  store.compactStep(step.compactStep);
  return null;
}

function runOnModel(model: NaiveModel, step: Step): Plain {
  if ("apply" in step) return model.apply(step.apply);
  // Freeing what compaction has hidden must not show: the model knows nothing of it.
  return "range" in step ? model.range(step.range) : null;
}

describe("KvStore against a model that keeps a full copy for every revision", () => {
  it("gives the same results, and the same keys at every revision", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const store = new KvStore();
        const model = new NaiveModel();
        for (const step of script) {
          expect(runOnStore(store, step)).toEqual(runOnModel(model, step));
        }
        expectSame(store, model);
      }),
      RUNS,
    );
  });

  it("shows in a snapshot the moment of its capture, whatever happens while it is read", () => {
    fc.assert(
      fc.property(
        fc.array(commands, { maxLength: 30 }),
        fc.array(commands, { maxLength: 30 }),
        (before, after) => {
          const store = new KvStore();
          const model = new NaiveModel();
          for (const command of before) {
            apply(store, command);
            model.apply(command);
          }
          const hash = store.hash();
          const snapshot = store.snapshot();
          const chunks: Uint8Array[] = [];
          const rest = snapshot.chunks()[Symbol.iterator]();
          for (const command of after) {
            const next = rest.next();
            if (next.done !== true) chunks.push(next.value);
            apply(store, command);
            store.compactStep(100);
          }
          for (let next = rest.next(); next.done !== true; next = rest.next()) chunks.push(next.value);

          const copy = restored(chunks);
          expect(copy.hash()).toBe(hash);
          expectSame(copy, model);
          // The copy is as good a replica as any: the rest of the log takes it to the same state.
          for (const command of after) {
            expect(plainResult(apply(copy, command))).toEqual(model.apply(command));
          }
          expectSame(copy, model);
          expectSame(store, model);
          expect(copy.hash()).toBe(store.hash());
        },
      ),
      RUNS,
    );
  });

  it("has the same hash on replicas that have freed different amounts of history", () => {
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (script, chunk) => {
        const eager = new KvStore();
        const model = new NaiveModel();
        for (const command of script) {
          apply(eager, command);
          model.apply(command);
          while (eager.compactStep(chunk));
        }
        const idle = new KvStore();
        for (const command of script) apply(idle, command);
        for (let revision = Math.max(1, model.compactRevision); revision <= model.revision; revision++) {
          expect(idle.hash(revision)).toBe(eager.hash(revision));
        }
        expect(restored(snapshotOf(eager)).hash()).toBe(idle.hash());
      }),
      RUNS,
    );
  });

  it("has a different hash as soon as what a reader sees differs", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 20 }), (script) => {
        const store = new KvStore();
        const model = new NaiveModel();
        for (const command of script) {
          apply(store, command);
          model.apply(command);
        }
        const withLeases = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}` : value);
        const state = JSON.stringify([model.revision, model.dump(model.revision)], withLeases);
        const hash = store.hash();
        expect(seen.get(hash) ?? state).toBe(state);
        seen.set(hash, state);
      }),
      RUNS,
    );
    expect(new Set(seen.keys()).size).toBeGreaterThan(100);
  });
});
