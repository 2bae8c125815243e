import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { type Entry, type LogIndex, simpleConfig, type Term } from "../../../src/core/raft/index.ts";
import { entriesBytes, entryBytes, RaftLog } from "../../../src/core/raft/raft-log.ts";
import { confChange, snapshotAt } from "./one-node.ts";

const CONFIG = simpleConfig([1n]);

/** A log that holds all it ever had, and says what the real one must say. */
class NaiveLog {
  /** At its index each; undefined for what a snapshot replaced. */
  entries: (Entry | undefined)[];
  firstIndex: LogIndex;
  baseTerm: Term;
  commit: LogIndex;
  applied: LogIndex;
  handedOut: LogIndex;
  restoring: LogIndex = 0;
  /** Entries (by identity) that are durable, and those given out to be. */
  durable: Set<Entry> = new Set();
  given: Set<Entry> = new Set();

  constructor(tail: readonly Entry[]) {
    this.firstIndex = 2;
    this.baseTerm = 1;
    this.entries = [undefined, undefined, ...tail];
    this.commit = 1;
    this.applied = 1;
    this.handedOut = 1;
    for (const entry of tail) {
      this.durable.add(entry);
      this.given.add(entry);
    }
  }

  get last(): LogIndex {
    return this.entries.length - 1;
  }

  at(index: LogIndex): Entry | undefined {
    return this.entries[index];
  }

  term(index: LogIndex): Term | undefined {
    return index === this.firstIndex - 1 ? this.baseTerm : this.at(index)?.term;
  }

  from(from: LogIndex, to: LogIndex = this.last): Entry[] {
    return this.entries.slice(from, to + 1).map((entry) => entry!);
  }
}

const CONF = confChange([["addLearner", 9n]]);

/** What may happen to a log, as numbers that are read against the state it meets. */
export const operation = fc.oneof(
  fc.record({
    op: fc.constant("append" as const),
    sizes: fc.array(fc.nat(40), { minLength: 1, maxLength: 4 }),
    bump: fc.boolean(),
    conf: fc.boolean(),
  }),
  fc.record({
    op: fc.constant("tryAppend" as const),
    back: fc.nat(6),
    lie: fc.boolean(),
    keep: fc.nat(4),
    fresh: fc.nat(4),
    size: fc.nat(40),
  }),
  fc.record({ op: fc.constant("commit" as const), by: fc.nat(5) }),
  fc.record({ op: fc.constant("take" as const) }),
  fc.record({ op: fc.constant("persist" as const), by: fc.nat(6) }),
  fc.record({ op: fc.constant("handOut" as const), maxBytes: fc.nat(200), durableCommit: fc.nat(40) }),
  fc.record({ op: fc.constant("apply" as const), by: fc.nat(6) }),
  fc.record({ op: fc.constant("compact" as const), back: fc.nat(4) }),
  fc.record({ op: fc.constant("restore" as const), ahead: fc.integer({ min: 1, max: 5 }) }),
);
export type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** The real log and the naive one, side by side. */
export class LogAgainstModel {
  readonly log: RaftLog;
  readonly model: NaiveLog;
  /** Ends of the writes under way, as {@link Readiness} keeps them. */
  persistable: LogIndex;
  term: Term = 2;

  constructor(maxTailBytes: number) {
    this.log = new RaftLog(snapshotAt(1, 1, CONFIG), { index: 1, term: 1 }, [], 1, 1, maxTailBytes);
    this.model = new NaiveLog([]);
    this.persistable = 1;
  }

  run(step: Operation): void {
    const { log, model } = this;
    switch (step.op) {
      case "append":
        return this.append(step.sizes, step.bump, step.conf);
      case "tryAppend":
        return this.tryAppend(step);
      case "commit": {
        const to = Math.min(model.commit + step.by, model.last);
        deepStrictEqual(log.commitTo(to), to > model.commit);
        model.commit = Math.max(model.commit, to);
        return;
      }
      case "take": {
        const expected = model.from(model.firstIndex).filter((entry) => !model.given.has(entry));
        deepStrictEqual(log.takeUnpersisted(), expected);
        for (const entry of expected) model.given.add(entry);
        this.persistable = model.last;
        return;
      }
      case "persist":
        return this.persist(step.by);
      case "handOut":
        return this.handOut(step.maxBytes, step.durableCommit);
      case "apply":
        return this.apply(step.by);
      case "compact": {
        const at = model.applied - step.back;
        if (at <= log.compacted.index || model.term(at) === undefined) return;
        return log.compactTo(snapshotAt(at, model.term(at)!, CONFIG));
      }
      case "restore":
        return this.restore(model.commit + step.ahead);
    }
  }

  append(sizes: readonly number[], bump: boolean, conf: boolean): void {
    if (bump) this.term++;
    const entries = sizes.map((size, i) => this.entry(this.model.last + 1 + i, size, conf && i === 0));
    this.log.append(entries);
    this.model.entries.push(...entries);
  }

  entry(index: LogIndex, size: number, conf = false): Entry {
    if (conf) return { kind: "confChange", index, term: this.term, change: CONF };
    return { kind: "command", index, term: this.term, data: new Uint8Array(size) };
  }

  /** A leader's message: `keep` entries that are here already, then `fresh` ones of a higher term. */
  tryAppend(step: Extract<Operation, { op: "tryAppend" }>): void {
    const { log, model } = this;
    const prev = Math.max(model.commit, model.last - step.back);
    const kept = model.from(prev + 1, Math.min(prev + step.keep, model.last));
    this.term++;
    const added = Array.from({ length: step.fresh }, (_, i) =>
      this.entry(prev + kept.length + 1 + i, step.size),
    );
    const entries = [...kept, ...added];
    const prevTerm = model.term(prev)! + (step.lie ? 1000 : 0);
    const told: LogIndex[] = [];
    const result = log.tryAppend({ index: prev, term: prevTerm }, entries, (from) => told.push(from));
    if (step.lie) {
      deepStrictEqual([result, told], [undefined, []]);
      return;
    }
    deepStrictEqual(result, prev + entries.length);
    const first = prev + kept.length + 1;
    deepStrictEqual(told, added.length > 0 && first <= model.last ? [first] : []);
    if (added.length === 0) return;
    model.entries.splice(first, model.entries.length, ...added);
    this.persistable = Math.min(this.persistable, first - 1);
  }

  persist(by: number): void {
    const { log, model } = this;
    const to = Math.min(log.persistedIndex + by, this.persistable);
    if (to <= log.persistedIndex) return;
    log.persistedTo(to);
    for (const entry of model.from(model.firstIndex, to)) model.durable.add(entry);
  }

  handOut(maxBytes: number, durableCommit: LogIndex): void {
    const { log, model } = this;
    const expected: Entry[] = [];
    let bytes = 0;
    for (let i = model.handedOut + 1; model.restoring === 0 && i <= model.commit; i++) {
      const entry = model.at(i)!;
      if (entry.kind === "confChange" && i > durableCommit) break;
      bytes += entryBytes(entry);
      if (bytes > maxBytes && expected.length > 0) break;
      expected.push(entry);
    }
    deepStrictEqual(log.takeCommitted(maxBytes, durableCommit), expected);
    model.handedOut += expected.length;
    const next = model.restoring > 0 ? undefined : model.at(model.handedOut + 1);
    const waits = model.handedOut < model.commit && next?.kind === "confChange" && next.index > durableCommit;
    deepStrictEqual(log.awaitsDurableCommit(durableCommit), waits);
  }

  apply(by: number): void {
    const { log, model } = this;
    const to = Math.min(model.applied + by, model.handedOut);
    log.appliedTo(to);
    model.applied = to;
    if (to >= model.restoring) model.restoring = 0;
  }

  restore(index: LogIndex): void {
    const { log, model } = this;
    this.term++;
    log.restore(snapshotAt(index, this.term, CONFIG));
    model.entries = Array.from({ length: index + 1 }, () => undefined);
    model.firstIndex = index + 1;
    model.baseTerm = this.term;
    model.commit = index;
    model.handedOut = index;
    model.restoring = index;
    this.persistable = index;
  }

  check(): void {
    const { log, model } = this;
    deepStrictEqual([log.lastIndex, log.lastTerm], [model.last, model.term(model.last)]);
    deepStrictEqual([log.commitIndex, log.appliedIndex], [model.commit, model.applied]);
    deepStrictEqual(log.isRestoring, model.restoring > 0);
    const held = model.from(Math.max(model.firstIndex, log.tailStart));
    deepStrictEqual(log.entriesFrom(log.tailStart, Number.POSITIVE_INFINITY), held);
    deepStrictEqual(log.entriesFrom(log.tailStart - 1, 1), undefined);
    deepStrictEqual(log.tailBytes, entriesBytes(held));
    const unapplied = model.from(Math.max(model.applied + 1, model.firstIndex));
    deepStrictEqual(log.unappliedBytes, entriesBytes(unapplied));
    // Nothing that is not applied or not durable may leave memory.
    ok(log.tailStart <= Math.max(model.applied + 1, model.firstIndex));
    for (const entry of model.from(model.firstIndex, log.tailStart - 1))
      deepStrictEqual(model.durable.has(entry), true);
    // What the log calls durable is: those very entries, not others that had the same place.
    for (const entry of model.from(model.firstIndex, log.persistedIndex))
      deepStrictEqual(model.durable.has(entry), true);
    for (let i = log.tailStart - 1; i <= model.last + 1; i++) deepStrictEqual(log.term(i), model.term(i));
    const pending =
      model.restoring > 0 ||
      model
        .from(Math.max(model.applied + 1, model.firstIndex), model.commit)
        .some(({ kind }) => kind === "confChange");
    deepStrictEqual(log.hasUnappliedConfChange(), pending);
  }
}
