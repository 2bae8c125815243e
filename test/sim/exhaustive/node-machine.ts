import {
  BOOTSTRAP,
  type ClusterConfig,
  type ConfChange,
  type Entry,
  type HardState,
  type LogReadRequest,
  type Message,
  type NodeId,
  type Raft,
  type RaftEvent,
  type RaftOptions,
  type Ready,
  type Term,
  simpleConfig,
} from "../../../src/core/raft/index.ts";
import { FIRST_INDEX, type NodeState, appended, viewOf } from "./node-state.ts";
import type { OpenCore } from "./open-core.ts";
import { Promises } from "./promises.ts";

/** Something that happens at one node. */
export type LocalEvent =
  | { readonly kind: "deliver"; readonly message: Message }
  | { readonly kind: "propose"; readonly command: Uint8Array }
  | { readonly kind: "change"; readonly change: ConfChange }
  | { readonly kind: "transfer"; readonly target: NodeId }
  /** `timeout`: the election deadline; `stepDown`: a leader's CheckQuorum. `tornCrash`: the hard state of the oldest write survives, its entries do not. */
  | { readonly kind: "timeout" | "heartbeat" | "stepDown" | "persist" | "apply" | "crash" | "tornCrash" };

/** What came of an event. */
export interface LocalStep {
  readonly sent: readonly Message[];
  /** Broken invariants that one node shows by itself. */
  readonly broken: readonly string[];
}

/** What a node's clock shows when something happens to it. */
export type Clock = (node: NodeState, event: LocalEvent) => number;

const MAX_ROUNDS = 1000;

/**
 * The driver around a core, as far as it matters: writes become durable when told and in order, messages wait for
 * them, a restart applies what the disk knows to be committed. A Ready without writes is done at once if nothing is
 * before it (as in the real driver), and so is the application of anything but a membership change: it changes
 * nothing that another node, or an election, could see.
 */
export class NodeMachine {
  readonly #core: Pick<OpenCore, "Raft" | "changeConfig">;
  readonly #options: Partial<RaftOptions>;
  readonly #founders: ClusterConfig;
  readonly #clock: Clock;

  constructor(
    core: Pick<OpenCore, "Raft" | "changeConfig">,
    options: Partial<RaftOptions>,
    voters: number,
    clock: Clock,
  ) {
    this.#core = core;
    this.#options = options;
    this.#founders = simpleConfig(Array.from({ length: voters }, (_, i) => BigInt(i + 1)));
    this.#clock = clock;
  }

  /** A founding member before anything has happened. */
  found(id: NodeId, nowMs: number): NodeState {
    const hardState = { term: BOOTSTRAP.term, vote: null, commit: BOOTSTRAP.index };
    return {
      id,
      raft: this.boot(id, hardState, [], nowMs),
      hardState,
      entries: [],
      pending: [],
      applyQueue: [],
      granted: new Map(),
      actedOn: 0,
    };
  }

  /** A core as it comes up with this on its disk. */
  boot(id: NodeId, hardState: HardState, entries: readonly Entry[], nowMs: number): Raft {
    const applied = Math.min(hardState.commit, BOOTSTRAP.index + entries.length);
    const at = applied - BOOTSTRAP.index;
    let config = this.#founders;
    for (const entry of entries.slice(0, at)) {
      if (entry.kind === "confChange") config = this.#changed(config, entry.change);
    }
    return new this.#core.Raft(
      { ...this.#options, nodeId: id },
      {
        hardState,
        compacted: { ...BOOTSTRAP, config: this.#founders },
        applied,
        config,
        tailPrev: { index: applied, term: entries[at - 1]?.term ?? BOOTSTRAP.term },
        tail: entries.slice(at),
      },
      { next: () => 0.5 },
      nowMs,
    );
  }

  #changed(config: ClusterConfig, change: ConfChange): ClusterConfig {
    const next = this.#core.changeConfig(config, change);
    if ("refused" in next) throw new Error(`a committed change does not fit: ${next.refused}`);
    return next;
  }

  /** Changes `node`, which nobody else must hold. */
  run(node: NodeState, event: LocalEvent): LocalStep {
    const step = new RunningStep(node, this.#clock(node, event));
    try {
      this.#act(step, event);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "AssertionError") throw error;
      return { sent: [], broken: [`assertion: node ${node.id}: ${error.message}`] };
    }
    step.promises.checkSettled();
    return { sent: step.sent, broken: step.promises.broken };
  }

  #act(step: RunningStep, event: LocalEvent): void {
    const { node } = step;
    switch (event.kind) {
      case "deliver":
        return step.step({ type: "message", message: event.message });
      case "propose":
        return step.step({ type: "propose", commands: [event.command] });
      case "change":
        return step.step({ type: "proposeConfChange", change: event.change });
      case "transfer":
        return step.step({ type: "transferLeadership", target: event.target });
      case "timeout":
      case "heartbeat":
      case "stepDown":
        return step.step({ type: "wake" });
      case "persist":
        return step.persistNext();
      case "apply":
        return step.applyNext();
      case "crash":
      case "tornCrash":
        return this.#restart(node, step, event.kind === "tornCrash");
    }
  }

  #restart(node: NodeState, step: RunningStep, torn: boolean): void {
    const survivor = torn ? node.pending[0]?.hardState : null;
    if (survivor !== null && survivor !== undefined) {
      step.promises.checkHardState(survivor);
      node.hardState = survivor;
    }
    node.pending = [];
    node.applyQueue = [];
    node.raft = this.boot(node.id, node.hardState, node.entries, step.nowMs);
    step.promises.restarted();
    step.drain();
    // The only voter need not wait for anybody, and its next step, whatever it is, begins with its campaign.
    const deadlineMs = node.raft.nextDeadlineMs();
    if (deadlineMs !== null && deadlineMs <= step.nowMs) step.step({ type: "wake" });
  }
}

/** One event being carried out at one node, with everything that follows of itself. */
class RunningStep {
  readonly node: NodeState;
  readonly nowMs: number;
  readonly sent: Message[] = [];
  readonly promises: Promises;
  #logReads: LogReadRequest[] = [];

  constructor(node: NodeState, nowMs: number) {
    this.node = node;
    this.nowMs = nowMs;
    this.promises = new Promises(node);
  }

  step(event: RaftEvent): void {
    this.node.raft.step(event, this.nowMs);
    this.drain();
  }

  drain(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ready = this.node.raft.ready();
      if (ready !== null) this.#take(ready);
      else if (!this.#chore()) return;
    }
    throw new Error(`node ${this.node.id} never gets done`);
  }

  #take(ready: Ready): void {
    const { node } = this;
    if (ready.snapshot !== null) throw new Error("nothing is compacted here, so no snapshot is ever needed");
    this.promises.checkReady(ready);
    for (const message of ready.messages) this.#send(message, this.#promisedTerm(message, ready));
    node.pending.push({
      number: ready.number,
      hardState: ready.hardState,
      entries: ready.entries,
      held: ready.messagesAfterPersist.map((message) => ({
        message,
        promisedTerm: this.#promisedTerm(message, ready),
      })),
    });
    node.applyQueue.push(...ready.committed);
    this.#logReads.push(...ready.logReads);
  }

  #promisedTerm(message: Message, ready: Ready): Term | null {
    if (message.type !== "AppendEntriesResult" || !message.success) return null;
    if (message.matchIndex === BOOTSTRAP.index) return BOOTSTRAP.term;
    const view = appended(viewOf(this.node), ready.entries);
    return view[message.matchIndex - FIRST_INDEX]?.term ?? null;
  }

  #send(message: Message, promisedTerm: Term | null): void {
    this.promises.checkSent(message, promisedTerm);
    this.sent.push(message);
  }

  #chore(): boolean {
    const { node } = this;
    const write = node.pending[0];
    if (write !== undefined && write.hardState === null && write.entries.length === 0) {
      this.#persisted();
      return true;
    }
    const request = this.#logReads.shift();
    if (request !== undefined) {
      const { to, from } = request;
      const prevTerm = node.entries[from - 1 - FIRST_INDEX]?.term ?? BOOTSTRAP.term;
      const entries = node.entries.slice(from - FIRST_INDEX);
      node.raft.step({ type: "logRead", to, from, prevTerm, entries }, this.nowMs);
      return true;
    }
    const upTo = node.applyQueue.findIndex(({ kind }) => kind === "confChange");
    const count = upTo < 0 ? node.applyQueue.length : upTo;
    if (count === 0) return false;
    const applied = node.applyQueue.splice(0, count);
    node.raft.step({ type: "applied", index: applied.at(-1)!.index }, this.nowMs);
    return true;
  }

  persistNext(): void {
    this.#persisted();
    this.drain();
  }

  #persisted(): void {
    const { node } = this;
    const write = node.pending.shift();
    if (write === undefined) throw new Error("nothing waits to be persisted");
    if (write.hardState !== null) {
      this.promises.checkHardState(write.hardState);
      node.hardState = write.hardState;
    }
    node.entries = appended(node.entries, write.entries);
    for (const { message, promisedTerm } of write.held) this.#send(message, promisedTerm);
    node.raft.step({ type: "persisted", number: write.number }, this.nowMs);
  }

  applyNext(): void {
    const { node } = this;
    const entry = node.applyQueue.shift();
    if (entry?.kind !== "confChange") throw new Error("no membership change waits to be applied");
    node.actedOn = Math.max(node.actedOn, entry.index);
    node.raft.step({ type: "applyConfChange", change: entry.change }, this.nowMs);
    // Before anything that follows it is applied.
    this.step({ type: "applied", index: entry.index });
  }
}
