import type { Message, RaftOptions } from "../../../src/core/raft/index.ts";
import { type Bounds, changeOf } from "./bounds.ts";
import { Codec, ELECTION_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, NOW_MS } from "./codec.ts";
import { HistoryTable } from "./history.ts";
import { ClusterInvariants } from "./invariants.ts";
import { type LocalEvent, NodeMachine } from "./node-machine.ts";
import { type NodeFacts, type NodeStep, NodeTable } from "./node-table.ts";
import type { OpenCore } from "./open-core.ts";
import { type Budget, assertCountable, spending, spentOf } from "./spent.ts";
import { HISTORY_AT, MESSAGES_AT, NODES, RENAMINGS, SPENT_AT, type State, sortFrom } from "./symmetry.ts";

/** What may happen next, in one number: the kind, then the node (from 0), then the argument. */
export type Action = number;

const KINDS = [
  "deliver",
  "timeout",
  "heartbeat",
  "stepDown",
  "persist",
  "apply",
  "crash",
  "tornCrash",
  "propose",
  "change",
  "transfer",
] as const;

type Kind = (typeof KINDS)[number];

const KIND: Readonly<Record<Kind, number>> = Object.fromEntries(KINDS.map((kind, i) => [kind, i])) as Record<
  Kind,
  number
>;

/** What each kind uses up. */
const COST: Readonly<Partial<Record<Kind, Budget>>> = {
  timeout: "timeouts",
  stepDown: "stepDowns",
  crash: "crashes",
  tornCrash: "crashes",
  propose: "proposals",
  change: "changes",
  transfer: "transfers",
};

export interface Successor {
  /** Not canonical yet. */
  readonly state: State;
  readonly broken: readonly string[];
}

/** The cluster as a state machine without hidden parts: states, what may happen in each, and what comes of it. */
export class Model {
  readonly table: NodeTable;
  readonly histories: HistoryTable = new HistoryTable(RENAMINGS);
  readonly bounds: Bounds;
  readonly #invariants: ClusterInvariants;
  readonly #decoded: Map<number, Message> = new Map();

  constructor(core: OpenCore, bounds: Bounds) {
    assertCountable(bounds);
    this.bounds = bounds;
    const options = { ...RAFT_OPTIONS, ...(bounds.singleEntries ? { maxAppendBytes: 1 } : {}) };
    const machine = new NodeMachine(core, options, NODES, clock);
    this.table = new NodeTable(new Codec(core), machine, RENAMINGS);
    this.#invariants = new ClusterInvariants(this.table);
  }

  initial(): State {
    const history = this.histories.intern({ leaders: [0, 0], committed: [] });
    return [this.table.found(1n), this.table.found(2n), this.table.found(3n), history, 0];
  }

  facts(state: State): readonly NodeFacts[] {
    return [this.table.facts(state[0]!), this.table.facts(state[1]!), this.table.facts(state[2]!)];
  }

  message(id: number): Message {
    let message = this.#decoded.get(id);
    if (message === undefined) this.#decoded.set(id, (message = this.table.message(id) as Message));
    return message;
  }

  // What may happen

  actions(state: State): Action[] {
    const { bounds } = this;
    const spent = state[SPENT_AT]!;
    const nodes = this.facts(state);
    const actions: Action[] = [];
    const left = (budget: Budget): boolean => spentOf(spent, budget) < bounds[budget];
    nodes.forEach((node, i) => {
      const add = (kind: Kind, argument = 0): void => void actions.push(actionOf(kind, i, argument));
      if (node.writes) add("persist");
      if (node.applies) add("apply");
      if (left("timeouts") && node.mayTimeOut && node.term < bounds.maxTerm) add("timeout");
      if (left("crashes")) add("crash");
      if (left("crashes") && node.tears) add("tornCrash");
      if (node.role !== "leader") return;
      if (left("proposals")) add("propose", spentOf(spent, "proposals"));
      if (bounds.heartbeats && node.hasPeers) add("heartbeat");
      const alone = [...node.voters, ...node.votersOutgoing].every((id) => id === i + 1);
      if (left("stepDowns") && !alone) add("stepDown");
      for (const target of node.voters) {
        if (left("changes") && node.voters.length > 1) add("change", target);
        if (left("transfers") && target !== i + 1) add("transfer", target);
      }
    });
    for (let at = MESSAGES_AT; at < state.length; at++) {
      const action = this.#delivery(state[at]!, nodes);
      if (action !== null) actions.push(action);
    }
    return actions;
  }

  #delivery(id: number, nodes: readonly NodeFacts[]): Action | null {
    const { to, type } = this.message(id);
    const who = Number(to) - 1;
    // It would campaign.
    if (type === "TimeoutNow" && nodes[who]!.term >= this.bounds.maxTerm) return null;
    return actionOf("deliver", who, id);
  }

  // What comes of it

  /** Null if nothing comes of it that is not also possible without. */
  successor(state: State, action: Action): Successor | null {
    const { kind, who, argument } = partsOf(action);
    const local = state[who]!;
    const step = this.table.step(local, KIND[kind], argument, () => this.#event(state, kind, who, argument));
    const unchanged = step.next === local && step.broken.length === 0;
    if (unchanged && step.sent.every((message) => has(state, message))) return null;
    const next = [...state];
    next[who] = step.next;
    if (step.broken.length > 0) return { state: next, broken: step.broken };
    const cost = COST[kind];
    if (cost !== undefined) next[SPENT_AT] = spending(state[SPENT_AT]!, cost);
    const history = this.histories.get(state[HISTORY_AT]!);
    const verdict = this.#invariants.judge(history, who, this.table.facts(local), this.facts(next));
    if (verdict.history !== history) next[HISTORY_AT] = this.histories.intern(verdict.history);
    this.#exchange(next, who, step.sent);
    return { state: next, broken: verdict.broken };
  }

  #event(state: State, kind: Kind, who: number, argument: number): LocalEvent {
    switch (kind) {
      case "deliver":
        return { kind, message: this.message(argument) };
      case "propose":
        return { kind, command: new Uint8Array([argument]) };
      case "change": {
        const voters = this.table.facts(state[who]!).voters.map(BigInt);
        return { kind, change: changeOf(this.bounds.changeKind, BigInt(argument), voters) };
      }
      case "transfer":
        return { kind, target: BigInt(argument) };
      default:
        return { kind };
    }
  }

  /**
   * The network holds everything that was ever sent: any of it may arrive, any number of times, in any order, or
   * never. Left out is what nothing can ever come of. And whatever only adds to the network happens at once (an
   * answer that leaves the one who gives it as it was, a leader's heartbeats), since a state with more messages
   * covers the one with fewer.
   */
  #exchange(next: number[], changed: number, sent: readonly number[]): void {
    const nodes = this.facts(next);
    const messages: number[] = [];
    const queue: number[] = [];
    const add = (message: number): void => {
      if (messages.includes(message) || isDead(this.message(message), nodes)) return;
      messages.push(message);
      queue.push(message);
    };
    for (let at = MESSAGES_AT; at < next.length; at++) {
      const message = next[at]!;
      // What others have to say to theirs has been said, and what of them is dead has gone.
      if (Number(this.message(message).to) - 1 !== changed) messages.push(message);
      else add(message);
    }
    sent.forEach(add);
    if (this.bounds.heartbeats && nodes[changed]!.role === "leader") {
      this.#answers(next, actionOf("heartbeat", changed, 0)).forEach(add);
    }
    for (let message = queue.pop(); message !== undefined; message = queue.pop()) {
      const action = this.#delivery(message, nodes);
      if (action !== null) this.#answers(next, action).forEach(add);
    }
    next.length = MESSAGES_AT;
    next.push(...messages);
    sortFrom(next, MESSAGES_AT);
  }

  /** What is sent, if that is all that comes of it. */
  #answers(state: State, action: Action): readonly number[] {
    const { kind, who, argument } = partsOf(action);
    const local = state[who]!;
    const step = this.table.step(local, KIND[kind], argument, () => this.#event(state, kind, who, argument));
    return step.next === local && step.broken.length === 0 ? step.sent : [];
  }

  /** What the action does at the one node that it happens to. */
  localStep(state: State, action: Action): { readonly event: LocalEvent; readonly step: NodeStep } {
    const { kind, who, argument } = partsOf(action);
    const event = this.#event(state, kind, who, argument);
    return { event, step: this.table.step(state[who]!, KIND[kind], argument, () => event) };
  }

  /** The same under other names. */
  renamedAction(action: Action, renaming: number): Action {
    const { kind, who, argument } = partsOf(action);
    const names = RENAMINGS[renaming]!;
    const named = kind === "change" || kind === "transfer";
    const to =
      kind === "deliver"
        ? this.table.renamedMessage(argument, renaming)
        : named
          ? names[argument]!
          : argument;
    return actionOf(kind, names[who + 1]! - 1, to);
  }

  // For people

  describe(state: State, action: Action): string {
    const { kind, who, argument } = partsOf(action);
    const name = `node ${who + 1}`;
    switch (kind) {
      case "deliver":
        return `${name} receives ${describeMessage(this.message(argument))}`;
      case "timeout":
        return `${name} times out`;
      case "heartbeat":
        return `${name} sends a round of heartbeats`;
      case "stepDown":
        return `${name} has heard from nobody and steps down`;
      case "persist":
        return `${name}'s oldest write becomes durable`;
      case "apply":
        return `${name} applies a membership change`;
      case "crash":
        return `${name} crashes and restarts`;
      case "tornCrash":
        return `${name} crashes between writing its hard state and its entries, and restarts`;
      case "propose":
        return `${name} is asked to append command ${argument}`;
      case "change": {
        const event = this.#event(state, kind, who, argument);
        const steps = event.kind === "change" ? event.change.steps : [];
        return `${name} is asked to ${steps.map(({ type, node }) => `${type} ${node}`).join(", ")}`;
      }
      case "transfer":
        return `${name} is asked to hand over to node ${argument}`;
    }
  }
}

export const RAFT_OPTIONS: Partial<RaftOptions> = {
  electionTimeoutMs: ELECTION_TIMEOUT_MS,
  heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
  clockDriftBoundMs: 0,
};

/** See codec.ts for why no clock needs to show anything else. */
function clock(_node: unknown, { kind }: LocalEvent): number {
  if (kind === "timeout" || kind === "stepDown") return NOW_MS + ELECTION_TIMEOUT_MS;
  return kind === "heartbeat" ? NOW_MS + HEARTBEAT_INTERVAL_MS : NOW_MS;
}

export function actionOf(kind: Kind, who: number, argument: number): Action {
  return KIND[kind] + who * 16 + argument * 64;
}

export function partsOf(action: Action): { kind: Kind; who: number; argument: number } {
  return { kind: KINDS[action % 16]!, who: Math.floor(action / 16) % 4, argument: Math.floor(action / 64) };
}

function has(state: State, message: number): boolean {
  for (let i = MESSAGES_AT; i < state.length; i++) if (state[i] === message) return true;
  return false;
}

/**
 * Whether nothing can ever come of delivering the message: an answer to what its receiver is not any more, and, by
 * the term on its disk, cannot be again. (Whoever is no candidate in a term never becomes one in it.)
 */
export function isDead(message: Message, nodes: readonly NodeFacts[]): boolean {
  const { role, term, diskTerm } = nodes[Number(message.to) - 1]!;
  if (diskTerm < message.term) return false;
  const past = diskTerm > message.term;
  switch (message.type) {
    case "RequestVoteResult":
      return past || !(role === "candidate" && term === message.term);
    case "PreVoteResult":
      return past || message.granted;
    case "AppendEntriesResult":
    case "HeartbeatResult":
      return past || !((role === "leader" || role === "candidate") && term === message.term);
    case "TimeoutNow":
      return past;
    default:
      return false;
  }
}

function describeMessage(message: Message): string {
  const { type, from, to: _to, term, ...rest } = message;
  const details = Object.entries(rest).map(([key, value]) => `${key} ${describeValue(value)}`);
  return `${type} of term ${term} from node ${from}: ${details.join(", ")}`;
}

function describeValue(value: unknown): string {
  if (!Array.isArray(value)) return String(value);
  return `[${value.map(({ index, term, kind }) => `${index}/${term} ${kind}`).join(", ")}]`;
}
