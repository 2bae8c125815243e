// Watches whose connections are cut at random: what they tell is what happened, no more and no less.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { type Change, type Client, createClient, type Watch } from "../../../src/runtimes/client/index.ts";
import { memoryEngine } from "../http/memory-engine.ts";
import { testApp } from "../http/test-app.ts";
import { errorOf, take } from "./contract.ts";
import { HEADER, scripted } from "./scripted.ts";
import { type Fate, flakyFetch, hastyClock } from "./flaky-fetch.ts";

const fate = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.constantFrom<Fate>({ type: "refused" }, { type: "lost" }, { type: "unavailable" }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("cut" as const),
      pieces: fc.integer({ min: 0, max: 4 }),
      // Of the last piece: nothing, some of it, all of it.
      part: fc.constantFrom(0, 0.3, 0.9, 1),
      clean: fc.boolean(),
    }),
  },
);

type Operation =
  | { readonly type: "put" | "delete"; readonly keys: readonly number[] }
  /** Lets the watch hear what has happened so far. */
  | { readonly type: "pause" };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom("put" as const, "delete" as const),
      keys: fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant<Operation>({ type: "pause" }) },
);

/** What watchers of everything are to hear: the changes of each revision in order. */
class Model {
  readonly heard: string[] = [];
  readonly #present = new Set<number>();
  #revision = 1;
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  get revision(): number {
    return this.#revision;
  }

  get keys(): readonly string[] {
    return [...this.#present].map((key) => `k${key}`).toSorted();
  }

  async apply({ type, keys }: Extract<Operation, { readonly keys: readonly number[] }>): Promise<void> {
    const txn = this.#client.txn();
    const told = type === "put" ? keys : keys.filter((key) => this.#present.has(key));
    if (told.length > 0) this.#revision++;
    for (const key of keys) {
      if (type === "put") txn.thenPut(`k${key}`, `at ${this.#revision}`);
      else txn.thenDelete(`k${key}`);
    }
    for (const key of told) {
      this.heard.push(`${this.#revision} ${type} k${key}`);
      if (type === "put") this.#present.add(key);
      else this.#present.delete(key);
    }
    await txn.commit();
  }
}

/** Reads a watch until it has told so many changes. */
class Listener {
  readonly heard: Change[] = [];
  readonly #over: Promise<void>;

  constructor(watch: Watch, count: number) {
    this.#over = this.#listen(watch, count);
    this.#over.catch(() => undefined);
  }

  async #listen(watch: Watch, count: number): Promise<void> {
    if (count === 0) return;
    for await (const change of watch) {
      this.heard.push(change);
      if (this.heard.length === count) return;
    }
  }

  /** Waits until so much was heard. */
  async until(count: number): Promise<void> {
    while (this.heard.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  async all(): Promise<readonly Change[]> {
    await this.#over;
    return this.heard;
  }
}

const shown = ({ revision, type, key }: Change): string => `${revision} ${type} ${key}`;

async function heardOf(operations: readonly Operation[]): Promise<readonly string[]> {
  const oracle = new Model(site([]).steady);
  for (const each of operations) if (each.type !== "pause") await oracle.apply(each);
  return oracle.heard;
}

function site(fates: readonly Fate[]): {
  readonly steady: Client;
  readonly flaky: Client;
  readonly store: KvStore;
} {
  const store = new KvStore();
  const { app } = testApp(memoryEngine(store));
  const direct = async (url: string, init: RequestInit): Promise<Response> => await app.request(url, init);
  const common = { clock: hastyClock, timeoutMs: 1e9, attemptTimeoutMs: 100_000, watchIdleMs: 100_000 };
  return {
    store,
    steady: createClient({ ...common, endpoints: "http://a", fetch: direct }),
    flaky: createClient({
      ...common,
      endpoints: ["http://a", "http://b", "http://c"],
      fetch: flakyFetch(direct, fates[Symbol.iterator]()),
    }),
  };
}

describe("a watch whose connections are cut", () => {
  it("tells exactly what happened, from the past into the future", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 60 }),
        fc.array(fate, { maxLength: 30 }),
        fc.integer({ min: 0, max: 20 }),
        async (operations, fates, before) => {
          const { steady, flaky } = site(fates);
          const model = new Model(steady);
          const expected = await heardOf(operations);
          for (const each of operations.slice(0, before)) if (each.type !== "pause") await model.apply(each);
          const listener = new Listener(flaky.watchPrefix("", { startRevision: 2 }), expected.length);
          for (const each of operations.slice(before)) {
            if (each.type === "pause") await listener.until(model.heard.length);
            else await model.apply(each);
          }
          expect((await listener.all()).map(shown)).toEqual(expected);
          flaky.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it("tells the present state, and then every change, without a gap", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 30 }),
        fc.array(operation, { maxLength: 30 }),
        fc.array(fate, { maxLength: 20 }),
        async (before, after, fates) => {
          const { steady, flaky } = site(fates);
          const model = new Model(steady);
          for (const each of before) if (each.type !== "pause") await model.apply(each);
          const present = model.keys;
          const past = (await heardOf(before)).length;
          const coming = (await heardOf([...before, ...after])).slice(past);
          const watch = flaky.watchPrefix("", { initialState: true });
          await watch.ready();
          const listener = new Listener(watch, present.length + coming.length);
          for (const each of after) {
            if (each.type === "pause") await listener.until(present.length + model.heard.length - past);
            else await model.apply(each);
          }
          const heard = await listener.all();
          expect(heard.slice(0, present.length).map(({ key, initial }) => [key, initial])).toEqual(
            present.map((key) => [key, true]),
          );
          expect(heard.slice(present.length).map(shown)).toEqual(coming);
          flaky.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it("tells of compaction, when what it has missed is gone", async () => {
    const { steady, flaky, store } = site([{ type: "cut", pieces: 1, part: 0.5, clean: false }]);
    for (let i = 0; i < 10; i++) await steady.put("k0", String(i));
    const watch = flaky.watchPrefix("", { startRevision: 2 });
    await watch.ready();
    for (let i = 0; i < 10; i++) await steady.put("k0", "more");
    await steady.compact(20);
    expect(store.compactRevision).toBe(20);
    const error = await errorOf(take(watch, 100));
    expect(error).toMatchObject({ code: "compacted", compactRevision: 20 });
    // It is known how far it came: the state since then can be read, and watched on from.
    expect(watch.toldRevision).toBeLessThan(20);
    flaky.close();
  });

  it("fails when nobody has a leader, if that is wanted", async () => {
    const { flaky } = site(Array.from({ length: 9 }, (): Fate => ({ type: "unavailable" })));
    expect(await errorOf(take(flaky.watch("k", { requireLeader: true }), 1))).toMatchObject({
      code: "noLeader",
      retryable: true,
    });
    const { flaky: patient, steady } = site(Array.from({ length: 9 }, (): Fate => ({ type: "unavailable" })));
    const watch = patient.watch("k");
    const heard = take(watch, 1);
    await watch.ready();
    await steady.put("k", "v");
    expect(await heard).toMatchObject([{ key: "k", value: "v" }]);
  });

  it("leaves a member that has lost the others, of which it asks to be told", async () => {
    const created = { result: { header: HEADER, watch_id: "1", created: true } };
    const stream = (...lines: readonly object[]): Response =>
      new Response(lines.map((line) => JSON.stringify(line)).join("\n"));
    const { client, clock, asked } = scripted({
      "http://a": () =>
        stream(created, { error: { grpc_code: 14, message: "etcdserver: no leader", reason: "noLeader" } }),
      "http://b": () =>
        stream(created, {
          result: { header: HEADER, watch_id: "1", events: [{ kv: { key: btoa("k"), mod_revision: "9" } }] },
        }),
    });
    expect(await clock.run(take(client.watch("k"), 1))).toMatchObject([{ key: "k", revision: 9 }]);
    expect(asked.map(({ url, headers }) => [url, headers.get("Grpc-Metadata-Hasleader")])).toEqual([
      ["http://a", "true"],
      ["http://b", "true"],
    ]);
    // From the revision on at which the first one had begun.
    expect(asked[1]?.body).toMatchObject({ create_request: { start_revision: "8" } });
  });
});
