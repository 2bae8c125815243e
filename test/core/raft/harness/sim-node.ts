import { AssertionError } from "../../../../src/core/errors/index.ts";
import {
  type Entry,
  type HardState,
  type LogIndex,
  type LogReadRequest,
  type Message,
  type NodeId,
  type Outcome,
  Raft,
  type RaftEvent,
  type RaftOptions,
  type RaftStatus,
  type RandomSource,
  type Ready,
  type SnapshotMeta,
  type Term,
} from "../../../../src/core/raft/index.ts";
import { NodeClock } from "./clock.ts";
import { Disk, type TornAt } from "./disk.ts";
import type { Observer } from "./sim-event.ts";
import { StateMachine } from "./state-machine.ts";
import { StoredLog } from "./stored-log.ts";

/** What a node needs of the world around it. */
export interface World {
  readonly nowMs: number;
  readonly options: Partial<RaftOptions>;
  readonly observe: Observer;
  send(message: Message, snapshotState: StateMachine | null): void;
}

/** What happens by itself. What does not waits to be told. */
export interface Auto {
  persist: boolean;
  apply: boolean;
  logReads: boolean;
  /** The sender of a snapshot learns how its transfer ended. */
  reports: boolean;
}

/** How a node is brought up again. */
export interface RestartOptions {
  /** What its clock shows; default: the world's time. */
  readonly clockMs?: number;
  /** Applied before the core starts: the driver may replay up to the durable commit index. Default: the snapshot only. */
  readonly appliedTo?: LogIndex;
  /** How many entries before `applied` to keep in memory. */
  readonly tailBefore?: number;
}

const MAX_ROUNDS = 100_000;

/** One Raft core with the driver, the disk, the clock and the state machine around it. */
export class SimNode {
  readonly id: NodeId;
  readonly disk: Disk;
  readonly auto: Auto = { persist: true, apply: true, logReads: true, reports: true };
  readonly #world: World;
  readonly #random: RandomSource;
  clock: NodeClock;
  /** The log as the core sees it: what was given out to be persisted, durable or not. */
  view: StoredLog;
  machine: StateMachine;
  applyQueue: Entry[] = [];
  logReads: LogReadRequest[] = [];
  /** How transfers of snapshots ended, not yet told to the core. */
  reports: { readonly to: NodeId; readonly ok: boolean }[] = [];
  /** Every read of this process: its index, null for failed, undefined while it waits. */
  reads: Map<bigint, LogIndex | null | undefined> = new Map();
  /** The process stands still: nothing is stepped until it goes on. */
  paused = false;
  /** How often it was started. */
  life = 0;
  #core: Raft | null = null;
  #working = false;
  #incoming: Map<string, StateMachine> = new Map();

  constructor(id: NodeId, world: World, hardState: HardState, start: SnapshotMeta, random: RandomSource) {
    this.id = id;
    this.#world = world;
    this.#random = random;
    this.machine = new StateMachine(start);
    this.disk = new Disk(hardState, start, new StateMachine(start));
    this.view = this.disk.log.clone();
    this.clock = new NodeClock(0, 0);
  }

  get up(): boolean {
    return this.#core !== null;
  }

  get core(): Raft {
    if (this.#core === null) throw new Error(`node ${this.id} is down`);
    return this.#core;
  }

  get status(): RaftStatus {
    return this.core.status();
  }

  get nowMs(): number {
    return this.clock.nowMs(this.#world.nowMs);
  }

  // Life and death

  start({ clockMs, appliedTo, tailBefore = 0 }: RestartOptions = {}): void {
    if (this.#core !== null) throw new Error(`node ${this.id} is up already`);
    const { disk } = this;
    this.#reconcile();
    const { meta, state } = disk.snapshot;
    this.clock = new NodeClock(clockMs ?? this.#world.nowMs, this.#world.nowMs, this.clock.rate);
    this.machine = state.copyAt(meta.index);
    this.view = disk.log.clone();
    this.applyQueue = [];
    this.logReads = [];
    this.reports = [];
    this.reads = new Map();
    this.#incoming = new Map();
    this.paused = false;
    this.life++;
    const applied = Math.max(meta.index, Math.min(appliedTo ?? 0, disk.hardState.commit, disk.log.lastIndex));
    this.#replay(meta.index, applied);
    const prev = Math.max(meta.index, applied - tailBefore);
    this.#core = new Raft(
      { ...this.#world.options, nodeId: this.id },
      {
        hardState: disk.hardState,
        compacted: meta,
        applied,
        config: this.machine.config,
        tailPrev: { index: prev, term: disk.log.term(prev)! },
        tail: disk.log.slice(prev + 1),
      },
      this.#random,
      this.nowMs,
    );
    this.#world.observe({ type: "started", node: this, again: this.life > 1 });
    this.#drain(null);
    this.work();
  }

  /** What was durable stays; see {@link Disk.crash} for the writes under way. */
  crash(reached = 0, tornAt: TornAt = "nothing"): void {
    this.#core = null;
    this.#working = false;
    this.disk.crash(reached, tornAt);
    this.#world.observe({ type: "crashed", node: this });
  }

  /** Where a snapshot became durable and the rest did not follow, that is brought in line, as a driver must. */
  #reconcile(): void {
    const { snapshot, log, hardState } = this.disk;
    if (hardState.term < snapshot.meta.term) {
      this.disk.hardState = { ...hardState, term: snapshot.meta.term, vote: null };
    }
    if (log.base.index === snapshot.meta.index) return;
    if (log.term(snapshot.meta.index) === snapshot.meta.term) log.compact(snapshot.meta);
    else log.reset(snapshot.meta);
  }

  /** Applies what the disk knows to be committed, before there is a core. */
  #replay(from: LogIndex, to: LogIndex): void {
    if (to <= from) return;
    const throwaway = new Raft(
      { ...this.#world.options, nodeId: this.id },
      {
        hardState: { ...this.disk.hardState, commit: to },
        compacted: this.disk.snapshot.meta,
        applied: from,
        config: this.machine.config,
        tailPrev: { index: from, term: this.disk.log.term(from)! },
        tail: this.disk.log.slice(from + 1),
      },
      { next: () => 0 },
      0,
    );
    for (const entry of this.disk.log.slice(from + 1, to)) {
      let config;
      if (entry.kind === "confChange") {
        const outcome = throwaway.step({ type: "applyConfChange", change: entry.change }, 0);
        if (outcome.ok) config = outcome.config;
      }
      this.machine.apply(entry, config);
      this.#world.observe({ type: "applied", node: this, entry, config });
    }
  }

  // Steps

  step(event: RaftEvent): Outcome {
    let outcome: Outcome;
    try {
      outcome = this.core.step(event, this.nowMs);
    } catch (error) {
      if (error instanceof AssertionError) {
        error.message = `node ${this.id}: ${error.message} (in ${describe(event)})`;
      }
      throw error;
    }
    this.#world.observe({ type: "stepped", node: this, event, outcome });
    this.#drain(event);
    this.work();
    return outcome;
  }

  receive(message: Message, snapshotState: StateMachine | null): void {
    if (message.type === "InstallSnapshot" && snapshotState !== null) {
      this.#incoming.set(keyOf(message.snapshot), snapshotState);
    }
    this.step({ type: "message", message });
  }

  #drain(event: RaftEvent | null): void {
    for (let round = 0; ; round++) {
      if (round > MAX_ROUNDS) throw new Error(`node ${this.id} always has one more Ready`);
      const ready = this.core.ready();
      if (ready === null) break;
      this.#take(ready);
    }
    this.#world.observe({ type: "settled", node: this, event });
  }

  #take(ready: Ready): void {
    this.#world.observe({ type: "ready", node: this, ready });
    if (ready.snapshot !== null) this.view.reset(ready.snapshot);
    this.view.append(ready.entries);
    const held = ready.messagesAfterPersist.map((message) => ({
      message,
      promisedTerm: this.#promisedTerm(message),
    }));
    const snapshotState =
      ready.snapshot === null ? null : (this.#incoming.get(keyOf(ready.snapshot)) ?? null);
    for (const message of ready.messages) this.#send(message, this.#promisedTerm(message));
    this.disk.pending.push({ ready, snapshotState, held });
    this.applyQueue.push(...ready.committed);
    this.logReads.push(...ready.logReads);
    for (const { readId, index } of ready.readStates) {
      this.reads.set(readId, index);
      this.#world.observe({ type: "readAnswered", node: this, readId, index });
    }
  }

  #promisedTerm(message: Message): Term | undefined {
    if (message.type !== "AppendEntriesResult" || !message.success) return undefined;
    return this.view.term(message.matchIndex);
  }

  #send(message: Message, promisedTerm: Term | undefined): void {
    this.#world.observe({ type: "sent", node: this, message, promisedTerm });
    const state =
      message.type === "InstallSnapshot" ? this.disk.snapshot.state.copyAt(message.snapshot.index) : null;
    this.#world.send(message, state);
  }

  // The driver's chores

  /** Does everything that happens by itself. */
  work(): void {
    if (this.#working || this.paused) return;
    this.#working = true;
    try {
      for (let round = 0; this.#core !== null && this.#chore(); round++) {
        if (round > MAX_ROUNDS) throw new Error(`node ${this.id} never gets done`);
      }
    } finally {
      this.#working = false;
    }
  }

  #chore(): boolean {
    if (this.auto.persist && this.disk.pending.length > 0) this.persistNext();
    else if (this.auto.apply && this.applyQueue.length > 0) this.applyNext();
    else if (this.auto.logReads && this.logReads.length > 0) this.answerLogRead();
    else if (this.auto.reports && this.reports.length > 0) this.report();
    else return false;
    return true;
  }

  report(): void {
    const report = this.reports.shift();
    if (report !== undefined) this.step({ type: "snapshotReport", ...report });
  }

  /** The oldest Ready's writes become durable, and what waited for them leaves. */
  persistNext(): void {
    const { ready, held } = this.disk.persistNext();
    this.#world.observe({ type: "persisted", node: this, ready });
    for (const { message, promisedTerm } of held) this.#send(message, promisedTerm);
    const { snapshot } = ready;
    const restores = snapshot !== null && snapshot.index > this.machine.appliedIndex;
    if (restores) {
      this.machine = this.disk.snapshot.state.copyAt(snapshot.index);
      this.applyQueue = this.applyQueue.filter(({ index }) => index > snapshot.index);
      this.#world.observe({ type: "restored", node: this, snapshot });
    }
    this.step({ type: "persisted", number: ready.number });
    if (restores && this.#core !== null) this.step({ type: "applied", index: snapshot.index });
  }

  /** Applies up to `count` of the entries given out. */
  applyNext(count: number = this.applyQueue.length): void {
    let last = 0;
    // One thing at a time: no other chore in the middle of a batch.
    const wasWorking = this.#working;
    this.#working = true;
    for (let i = 0; i < count; i++) {
      const entry = this.applyQueue.shift();
      if (entry === undefined) break;
      let config;
      if (entry.kind === "confChange") {
        const outcome = this.step({ type: "applyConfChange", change: entry.change });
        // While a later snapshot is being restored, the configuration is that snapshot's already.
        if (outcome.ok && entry.index > this.view.base.index) config = outcome.config;
      }
      this.machine.apply(entry, config);
      this.#world.observe({ type: "applied", node: this, entry, config });
      last = entry.index;
    }
    this.#working = wasWorking;
    if (last > 0) this.step({ type: "applied", index: last });
  }

  answerLogRead(): void {
    const request = this.logReads.shift();
    if (request === undefined) return;
    const { to, from, maxBytes } = request;
    const read = this.disk.read(from, maxBytes);
    if (read === null) this.step({ type: "logReadCompacted", to, from });
    else this.step({ type: "logRead", to, from, ...read });
  }

  /** Takes a snapshot at `index` (default: as far as possible) and drops the log up to it. False if there is nothing to drop. */
  compact(index: LogIndex = Number.POSITIVE_INFINITY): boolean {
    const at = Math.min(index, this.machine.appliedIndex, this.disk.log.lastIndex, this.status.appliedIndex);
    if (at <= this.disk.log.base.index || this.disk.log.term(at) !== this.view.term(at)) return false;
    const snapshot = this.machine.metaAt(at);
    this.disk.compact(snapshot, this.machine.copyAt(at));
    this.view.compact(snapshot);
    this.#world.observe({ type: "compacted", node: this, snapshot });
    this.step({ type: "compacted", snapshot });
    return true;
  }
}

function keyOf({ index, term }: SnapshotMeta): string {
  return `${index}/${term}`;
}

function describe(event: RaftEvent): string {
  return JSON.stringify(event, (_key, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value instanceof Uint8Array ? `${value.length} bytes` : value,
  );
}
