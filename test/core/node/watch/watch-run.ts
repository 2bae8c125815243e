import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { encodeCommand, type KvCommand, KvStore } from "../../../../src/core/kv/index.ts";
import type {
  ResumableWatchStream,
  WatchCreateRequest,
  WatchResponse,
} from "../../../../src/core/node/index.ts";
import { bytes, text } from "../../kv/support.ts";
import { HubFixture } from "./hub-fixture.ts";
import { inRange, naive, type NaiveChange, NaiveHistory } from "./naive-history.ts";

const KEYS = ["a", "ab", "b", "ba", "c"];
const key = fc.constantFrom(...KEYS);
const rangeEnd = fc.constantFrom("", "", "\0", "b", "c", "zz");

const change = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("put" as const), key, value: fc.constantFrom("", "1", "22") }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("delete" as const), key, rangeEnd }) },
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function opOf(each: Change): KvCommand & { readonly type: "put" | "deleteRange" } {
  return each.type === "put"
    ? { type: "put", request: { key: bytes(each.key), value: bytes(each.value) } }
    : { type: "deleteRange", request: { key: bytes(each.key), rangeEnd: bytes(each.rangeEnd) } };
}

const command: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 4, arbitrary: change.map(opOf) },
  {
    weight: 2,
    arbitrary: fc.shuffledSubarray(KEYS).map((keys): KvCommand => {
      const success = keys.map((each) => opOf({ type: "put", key: each, value: "22" }));
      return { type: "txn", request: { compare: [], success, failure: [] } };
    }),
  },
);

const wanted = fc.record({
  key,
  rangeEnd,
  /** How far back from now, or ahead; 0: from now on. */
  startBefore: fc.integer({ min: -3, max: 12 }),
  initialState: fc.boolean(),
  fragment: fc.boolean(),
  prevKv: fc.boolean(),
  filters: fc.subarray(["noPut", "noDelete"] as const, { maxLength: 1 }),
});

type Wanted = typeof wanted extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ apply: fc.array(command, { minLength: 1, maxLength: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ lag: fc.array(command, { minLength: 1, maxLength: 8 }), compactTo: fc.nat(100) }),
  },
  { weight: 1, arbitrary: fc.record({ compactTo: fc.nat(100), free: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ watch: wanted, stream: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ read: fc.integer({ min: 1, max: 4 }), stream: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ cancel: fc.nat(6), stream: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ anotherLife: fc.integer({ min: 1, max: 4 }), stream: fc.nat(2) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

export const steps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 50 });

/** What one watch was told, and what it should have been. */
class Expected {
  readonly #request: WatchCreateRequest;
  readonly #createdAt: number;
  readonly #matches: (candidate: string) => boolean;
  readonly told: NaiveChange[] = [];
  readonly #initial: [string, string][] = [];
  #initialDone: boolean;
  /** It has been told everything up to here. */
  #bookmark = 0;
  #openRevision = 0;
  ended: "canceled" | "compacted" | null = null;

  constructor(request: WatchCreateRequest, createdAt: number) {
    this.#request = request;
    this.#createdAt = createdAt;
    this.#matches = inRange(text(request.key), text(request.rangeEnd!));
    this.#initialDone = request.initialState !== true;
  }

  get #start(): number {
    const start = this.#request.startRevision ?? 0;
    return start === 0 ? this.#createdAt + 1 : start;
  }

  hear(response: WatchResponse, history: NaiveHistory, compactRevision: number): void {
    equal(this.ended, null);
    if (response.compactRevision > 0) {
      this.ended = "compacted";
      // Not without need: the next change could be below.
      const next = Math.max(
        this.#bookmark + 1,
        this.#openRevision,
        this.#initialDone ? this.#start : this.#createdAt,
      );
      ok(next < response.compactRevision);
      return;
    }
    if (response.initial) return this.#hearState(response, history);
    if (response.canceled) {
      this.ended = "canceled";
      return;
    }
    equal(this.#initialDone, true);
    ok(response.events.length > 0);
    const changes = response.events.map(naive);
    // Nothing that an earlier response has said to be complete, or that is from the past.
    for (const { revision } of changes) ok(revision > this.#bookmark);
    ok(changes[0]!.revision >= this.#openRevision);
    const { revision } = response.header;
    ok(revision >= changes.at(-1)!.revision);
    if (response.fragment) {
      equal(this.#request.fragment, true);
      this.#openRevision = revision;
    } else {
      this.#bookmark = revision;
    }
    for (const each of changes) this.told.push(this.#checkedPrevious(each, history, compactRevision));
  }

  #hearState(response: WatchResponse, history: NaiveHistory): void {
    equal(this.#initialDone, false);
    equal(response.header.revision, this.#createdAt);
    for (const { kv } of response.events) this.#initial.push([text(kv.key), text(kv.value)]);
    if (response.fragment) return;
    this.#initialDone = true;
    this.#bookmark = this.#createdAt;
    deepEqual(
      this.#initial,
      history.stateAt(this.#createdAt).filter(([each]) => this.#matches(each)),
    );
  }

  #checkedPrevious(told: NaiveChange, history: NaiveHistory, compactRevision: number): NaiveChange {
    const truth = history.changes.find(
      ({ key: k, revision }) => k === told.key && revision === told.revision,
    )!;
    const previous = this.#request.prevKv === true ? truth.previous : null;
    if (told.revision > compactRevision || told.previous !== null) equal(told.previous, previous);
    return { ...told, previous: null };
  }

  /** In the end, everything, or a beginning of it. */
  check(history: NaiveHistory): void {
    const filters = this.#request.filters ?? [];
    const all = history.changes
      .filter(({ revision, key: k }) => revision >= this.#start && this.#matches(k))
      .filter(({ value }) => !filters.includes(value === null ? "noDelete" : "noPut"))
      .map((each) => ({ ...each, previous: null }));
    deepEqual(this.told, this.ended === null ? all : all.slice(0, this.told.length));
    if (this.ended === null) equal(this.#initialDone, true);
  }
}

/** A replica with watches, a history that is ahead of it at times, and three streams of readers. */
export class WatchRun {
  readonly #fixture: HubFixture;
  /** The group's state, of which the replica may be sent a snapshot. */
  readonly #leader = new KvStore();
  readonly #history = new NaiveHistory();
  readonly #streams: {
    stream: ResumableWatchStream;
    readonly watches: Map<bigint, Expected>;
    next: bigint;
  }[];

  constructor(maxRecentBytes: number) {
    const page = { maxEvents: 2, maxBytes: 1 << 20, maxScanned: 2, maxWaiting: 3 };
    this.#fixture = new HubFixture({ page, maxRecentBytes });
    this.#streams = [0, 1, 2].map(() => ({ stream: this.#fixture.open(), watches: new Map(), next: 0n }));
  }

  async step(each: Step): Promise<void> {
    if ("apply" in each) {
      this.#lead(each.apply);
      this.#fixture.apply(...each.apply);
    } else if ("lag" in each) {
      this.#lead([...each.lag]);
      this.#lead([this.#compaction(each.compactTo)]);
      this.#fixture.install(this.#leader);
    } else if ("free" in each) {
      const compaction = this.#compaction(each.compactTo);
      this.#lead([compaction]);
      this.#fixture.apply(compaction);
      if (each.free) while (this.#fixture.store.compactStep(100));
    } else if ("watch" in each) {
      this.#watch(each.watch, each.stream);
    } else if ("cancel" in each) {
      const { stream, watches } = this.#streams[each.stream]!;
      if (watches.has(BigInt(each.cancel))) stream.cancel(BigInt(each.cancel));
    } else if ("anotherLife" in each) {
      await this.#resume(each.stream, each.anotherLife);
    } else {
      await this.#read(each.stream, each.read);
    }
  }

  /** After some responses, the reader goes on with a stream of another life, and notices nothing. */
  async #resume(index: number, after: number): Promise<void> {
    const target = this.#streams[index]!;
    for (
      let count = after, last = await this.#read(index, 1);
      last !== null;
      last = await this.#read(index, 1)
    ) {
      // All answers have been read, and no revision is told in part.
      const isWhole = !last.created && last.events.length > 0 && (last.initial || !last.fragment);
      if (isWhole && --count <= 0) break;
    }
    const saved = structuredClone(target.stream.save());
    target.stream.close();
    target.stream = this.#fixture.hub.resume(saved);
  }

  async finish(): Promise<void> {
    for (const [i] of this.#streams.entries()) await this.#read(i, 10_000);
    for (const { watches } of this.#streams) for (const each of watches.values()) each.check(this.#history);
    for (const { stream } of this.#streams) stream.close();
    deepEqual(this.#fixture.hub.stats(), { streams: 0, watches: 0, slowWatches: 0 });
  }

  #lead(commands: readonly KvCommand[]): void {
    for (const each of commands) this.#history.apply(each);
    this.#leader.applyChunk(commands.map((each) => ({ command: encodeCommand(each), term: 1 })));
    equal(this.#leader.revision, this.#history.revision);
  }

  #compaction(percent: number): KvCommand {
    return { type: "compact", request: { revision: Math.ceil((this.#leader.revision * percent) / 100) } };
  }

  #watch({ startBefore, initialState, ...more }: Wanted, index: number): void {
    const { revision } = this.#fixture.store;
    const target = this.#streams[index]!;
    const request: WatchCreateRequest = {
      ...more,
      key: bytes(more.key),
      rangeEnd: bytes(more.rangeEnd),
      startRevision: initialState || startBefore === 0 ? 0 : Math.max(1, revision - startBefore),
      initialState,
    };
    target.stream.create(request);
    if (more.rangeEnd === "" || more.rangeEnd === "\0" || more.rangeEnd > more.key) {
      target.watches.set(target.next++, new Expected(request, revision));
    }
  }

  /** Each response is looked at, at the moment at which it is made. */
  async #read(index: number, count: number): Promise<WatchResponse | null> {
    const { stream, watches } = this.#streams[index]!;
    let response: WatchResponse | null = null;
    for (let i = 0; i < count; i++) {
      response = await this.#fixture.nextNow(stream);
      if (response === null) break;
      if (response.created) continue;
      watches.get(response.watchId)!.hear(response, this.#history, this.#fixture.store.compactRevision);
    }
    return response;
  }
}
