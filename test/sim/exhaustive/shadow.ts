import { Raft, changeConfig } from "../../../src/core/raft/index.ts";
import type { Message, RaftStatus } from "../../../src/core/raft/index.ts";
import { Prng } from "../../core/raft/harness/prng.ts";
import { Codec, ELECTION_TIMEOUT_MS } from "./codec.ts";
import { type Action, type Model, RAFT_OPTIONS, partsOf } from "./model.ts";
import { type LocalEvent, NodeMachine } from "./node-machine.ts";
import type { NodeState } from "./node-state.ts";
import { NODES, type State } from "./symmetry.ts";

const TROUBLE = 0.05;

/**
 * Goes a random way through the model and lets nodes of flesh and blood go it too: the product's own Raft, its
 * private fields private, never copied, with clocks that really run. After every step both must be in the same
 * state and have sent the same. This is what shows that the rewriting, the copies, the canonical form and the
 * abstraction of time neither add to what the core does nor take from it.
 */
export class ShadowWalk {
  readonly #model: Model;
  readonly #codec: Codec;
  readonly #random: Prng;
  readonly #clocks: ShadowClock = new ShadowClock();
  readonly #machine: NodeMachine;
  readonly #live: NodeState[];
  #state: State;
  /** What was done, for whoever wonders. */
  readonly told: string[] = [];

  constructor(model: Model, seed: number) {
    this.#model = model;
    this.#random = new Prng(seed);
    this.#codec = new Codec({ Raft, changeConfig, prototypes: new Map() });
    const clock = (node: NodeState, event: LocalEvent): number => this.#clocks.at(node, event);
    this.#machine = new NodeMachine({ Raft, changeConfig }, RAFT_OPTIONS, NODES, clock);
    this.#live = [1n, 2n, 3n].map((id) => this.#machine.found(id, 0));
    this.#state = model.initial();
  }

  /** @returns null, or what differs after a step. */
  run(steps: number): string | null {
    for (let i = 0; i < steps; i++) {
      const actions = this.#model
        .actions(this.#state)
        .filter((action) => this.#model.successor(this.#state, action) !== null);
      if (actions.length === 0) return null;
      const difference = this.#go(this.#pick(actions));
      if (difference !== null) return difference;
    }
    return null;
  }

  /** Mostly what moves a group on, or it would do little but fail. */
  #pick(actions: readonly Action[]): Action {
    const trouble = ["timeout", "stepDown", "crash", "tornCrash"];
    const calm = actions.filter((action) => !trouble.includes(partsOf(action).kind));
    return this.#random.pick(calm.length > 0 && !this.#random.chance(TROUBLE) ? calm : actions);
  }

  #go(action: Action): string | null {
    this.told.push(this.#model.describe(this.#state, action));
    const { who } = partsOf(action);
    const live = this.#live[who]!;
    const { event, step } = this.#model.localStep(this.#state, action);
    const { sent, broken } = this.#machine.run(live, event);
    this.#state = this.#model.successor(this.#state, action)!.state;
    if (broken.length > 0) return broken.join();
    const copy = this.#model.table.load(this.#state[who]!);
    const expected = new Set(step.sent.map((id) => this.#form(this.#model.message(id))));
    const actual = new Set(sent.map((message) => this.#form(message)));
    return (
      differing("state", this.#text(stateOf(copy)), this.#text(stateOf(live))) ??
      // A heartbeat may fall due at any moment; in the model each is an action of its own.
      differing("messages", texts(expected), texts(actual))
    );
  }

  #text(state: object): string {
    return JSON.stringify(this.#codec.encodeData(state));
  }

  #form(message: Message): string {
    return JSON.stringify(this.#codec.encodeMessage(message));
  }
}

/** Clocks by which every step of the model is possible: each runs on only as far as the step needs. */
class ShadowClock {
  readonly #nowMs: Map<bigint, number> = new Map();
  readonly #contactMs: Map<bigint, number> = new Map();

  at(node: NodeState, event: LocalEvent): number {
    const { id, raft } = node;
    const nowMs = this.#advanced(node, event, this.#nowMs.get(id) ?? 0);
    this.#nowMs.set(id, nowMs);
    const isHeard =
      event.kind === "deliver" &&
      (event.message.type === "AppendEntries" || event.message.type === "Heartbeat") &&
      event.message.term >= raft.term;
    if (isHeard || event.kind === "crash" || event.kind === "tornCrash") this.#contactMs.set(id, nowMs);
    return nowMs;
  }

  #advanced({ id, raft }: NodeState, event: LocalEvent, nowMs: number): number {
    if (event.kind === "timeout" || event.kind === "heartbeat") return raft.nextDeadlineMs() ?? nowMs;
    if (event.kind === "stepDown") {
      const heardMs = [...raft.status().progress.values()].map(({ lastHeardMs }) => lastHeardMs);
      return Math.max(nowMs, ...heardMs) + ELECTION_TIMEOUT_MS;
    }
    const asks =
      event.kind === "deliver" && (event.message.type === "PreVote" || event.message.type === "RequestVote");
    // The end of the promise to the last leader.
    const freeAtMs = (this.#contactMs.get(id) ?? 0) + ELECTION_TIMEOUT_MS;
    return asks && raft.role !== "leader" ? Math.max(nowMs, freeAtMs) : nowMs;
  }
}

function stateOf({ raft, hardState, entries, pending, applyQueue, granted, actedOn }: NodeState): object {
  const writes = pending.filter((write) => write.hardState !== null || write.entries.length > 0);
  const status = timeless(raft.status());
  return {
    status,
    hardState,
    entries,
    writes: writes.map((write) => [write.hardState, write.entries]),
    applyQueue,
    granted,
    actedOn,
  };
}

/** Without what depends on the time, and reads and leases, which do. */
function timeless({ hasLease: _lease, progress, ...status }: RaftStatus): object {
  const members = [...progress]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, { lastHeardMs: _heard, ...member }]) => [node, member]);
  return { ...status, members };
}

function texts(messages: ReadonlySet<string>): string {
  return [...messages]
    .filter((text) => !text.includes('"Heartbeat"'))
    .sort()
    .join("\n");
}

function differing(what: string, model: string, live: string): string | null {
  return model === live ? null : `${what} in the model:\n${model}\nof the living:\n${live}`;
}
