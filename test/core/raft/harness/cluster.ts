import {
  BOOTSTRAP,
  type ConfChange,
  type ConfChangeStep,
  type Entry,
  type LogIndex,
  type Message,
  type NodeId,
  type Outcome,
  type RaftEvent,
  type RaftOptions,
  type RandomSource,
  type Term,
  simpleConfig,
} from "../../../../src/core/raft/index.ts";
import { Invariants } from "./invariants.ts";
import { Network, type Packet } from "./network.ts";
import { Prng } from "./prng.ts";
import type { Observer, SimEvent } from "./sim-event.ts";
import { SimNode, type World } from "./sim-node.ts";
import type { StateMachine } from "./state-machine.ts";

export interface ClusterOptions {
  /** Founding voters: how many (1, 2, …) or which. */
  readonly voters?: number | readonly NodeId[];
  readonly learners?: readonly NodeId[];
  readonly raft?: Partial<RaftOptions>;
  readonly seed?: number;
  /**
   * Where between one and two election timeouts a node's timer is set, in [0, 1). Default: seeded randomness.
   * A fixed value per node makes it plain who campaigns first.
   */
  readonly jitter?: (node: NodeId) => number;
  /** Logs that founding nodes begin with, by the terms of the entries from index 2 on, as in the paper's figure 7. */
  readonly logs?: ReadonlyMap<NodeId, readonly Term[]>;
  /** The term that founding nodes have on disk; default: that of their last entry. */
  readonly term?: Term;
  readonly observers?: readonly Observer[];
  /** Checking that lease reads are not stale makes sense only while clocks keep to the bound. Default true. */
  readonly clocksWithinBound?: boolean;
}

const MAX_DELIVERIES = 200_000;

/**
 * A cluster of Raft cores in virtual time. Nothing happens unless told; what is told happens at once and in the
 * same order every time. Every step of every node is checked by {@link Invariants}.
 */
export class Cluster implements World {
  nowMs = 0;
  readonly options: Partial<RaftOptions>;
  readonly network: Network = new Network();
  readonly nodes: Map<NodeId, SimNode> = new Map();
  readonly invariants: Invariants;
  readonly #observers: Observer[];
  readonly #random: (node: NodeId) => RandomSource;
  #nextReadId = 1n;

  constructor(options: ClusterOptions = {}) {
    const { voters = 3, learners = [], raft = {}, seed = 1, jitter, clocksWithinBound = true } = options;
    this.options = raft;
    this.invariants = new Invariants(this, { raft, clocksWithinBound });
    this.#observers = [...(options.observers ?? []), (event) => this.invariants.observe(event)];
    this.#random = (node) =>
      jitter === undefined ? new Prng(seed * 1009 + Number(node)) : { next: () => jitter(node) };
    const founders = typeof voters === "number" ? range(voters) : voters;
    const start = { ...BOOTSTRAP, config: simpleConfig(founders, learners) };
    for (const id of [...founders, ...learners]) {
      const terms = options.logs?.get(id) ?? [];
      const hardState = {
        term: options.term ?? terms.at(-1) ?? BOOTSTRAP.term,
        vote: null,
        commit: BOOTSTRAP.index,
      };
      const node = new SimNode(id, this, hardState, start, this.#random(id));
      node.disk.log.append(terms.map((term, i) => commandEntry(BOOTSTRAP.index + 1 + i, term)));
      this.nodes.set(id, node);
    }
    for (const node of this.nodes.values()) node.start();
  }

  readonly observe = (event: SimEvent): void => {
    for (const observer of this.#observers) observer(event);
  };

  /** Accepts numbers, for tests that read better with them. */
  node(id: NodeId | number): SimNode {
    const node = this.nodes.get(BigInt(id));
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** Nodes that are up. */
  get up(): SimNode[] {
    return [...this.nodes.values()].filter(({ up }) => up);
  }

  /** The leader of the highest term among nodes that are up. */
  leader(): SimNode | null {
    const leaders = this.up.filter(({ status }) => status.role === "leader");
    return leaders.toSorted((a, b) => b.status.term - a.status.term)[0] ?? null;
  }

  /** A node that joins later: it knows nothing, not even the configuration. */
  addNode(id: NodeId | number): SimNode {
    const node = new SimNode(
      BigInt(id),
      this,
      { term: 0, vote: null, commit: 0 },
      { index: 0, term: 0, config: simpleConfig([]) },
      this.#random(BigInt(id)),
    );
    this.nodes.set(node.id, node);
    node.start();
    return node;
  }

  // Requests

  step(id: NodeId | number, event: RaftEvent): Outcome {
    return this.node(id).step(event);
  }

  propose(id: NodeId | number, ...commands: readonly string[]): Outcome {
    return this.proposeFor([], id, ...commands);
  }

  /** Somebody at the members named first waits for it. */
  proposeFor(awaitedBy: readonly NodeId[], id: NodeId | number, ...texts: readonly string[]): Outcome {
    const encoder = new TextEncoder();
    const commands = texts.map((text) => encoder.encode(text));
    return this.step(id, { type: "propose", commands, awaitedBy });
  }

  proposeConfChange(
    id: NodeId | number,
    steps: readonly ConfChangeStep[],
    transition: ConfChange["transition"] = "auto",
  ): Outcome {
    const change = { steps, transition, context: new Uint8Array(0) };
    return this.step(id, { type: "proposeConfChange", change });
  }

  /** Begins a read; how it ends shows in the node's `reads`. */
  read(id: NodeId | number, lease = false): { readonly readId: bigint; readonly outcome: Outcome } {
    const node = this.node(id);
    const readId = this.#nextReadId++;
    this.observe({ type: "readBegan", node, readId, lease });
    node.reads.set(readId, undefined);
    const outcome = node.step({ type: "readIndex", readId, lease });
    if (!outcome.ok) node.reads.delete(readId);
    return { readId, outcome };
  }

  // The network

  send(message: Message, snapshotState: StateMachine | null): void {
    if (this.network.send(message, snapshotState) === null) this.#lost(message);
  }

  /** Delivers one message; a node that is down loses it. */
  deliver(packet: Packet): void {
    this.network.take(packet);
    const { message, snapshotState } = packet;
    const node = this.nodes.get(message.to);
    if (node?.up !== true) return this.#lost(message);
    this.observe({ type: "delivered", message });
    node.receive(message, snapshotState);
    this.#report(message, true);
  }

  drop(packet: Packet): void {
    this.network.take(packet);
    this.#lost(packet.message);
  }

  /** Cuts a link one way. */
  cut(from: NodeId | number, to: NodeId | number): void {
    for (const { message } of this.network.cut(BigInt(from), BigInt(to))) this.#lost(message);
  }

  join(from: NodeId | number, to: NodeId | number): void {
    this.network.join(BigInt(from), BigInt(to));
  }

  /** Cuts every link of a node, both ways. */
  isolate(id: NodeId | number): void {
    for (const other of this.nodes.keys()) {
      if (other === BigInt(id)) continue;
      this.cut(id, other);
      this.cut(other, id);
    }
  }

  /** Only nodes of the same group hear each other. */
  partition(...groups: readonly (readonly (NodeId | number)[])[]): void {
    this.heal();
    const groupOf = (id: NodeId): number => groups.findIndex((group) => group.some((n) => BigInt(n) === id));
    for (const from of this.nodes.keys()) {
      for (const to of this.nodes.keys()) if (groupOf(from) !== groupOf(to)) this.cut(from, to);
    }
  }

  heal(): void {
    this.network.heal();
  }

  #lost(message: Message): void {
    this.observe({ type: "lost", message });
    this.#report(message, false);
  }

  #report(message: Message, ok: boolean): void {
    if (message.type !== "InstallSnapshot") return;
    const sender = this.nodes.get(message.from);
    if (sender?.up !== true) return;
    // Not at once: it may be in the middle of sending.
    sender.reports.push({ to: message.to, ok });
    sender.work();
  }

  /** Delivers everything under way, and what follows from it, in the order sent. No time passes. */
  settle(): void {
    for (let count = 0; ; count++) {
      if (count > MAX_DELIVERIES) throw new Error("the cluster never comes to rest");
      const packet = this.network.packets.find(({ message }) => !this.#isPaused(message.to));
      if (packet === undefined) return;
      this.deliver(packet);
    }
  }

  #isPaused(id: NodeId): boolean {
    return this.nodes.get(id)?.paused === true;
  }

  // Time

  /** Time passes; deadlines are met, and messages arrive at once unless `deliver` is false. */
  advance(ms: number, deliver = true): void {
    const endMs = this.nowMs + ms;
    for (let count = 0; ; count++) {
      if (count > MAX_DELIVERIES) throw new Error("time stands still");
      if (deliver) this.settle();
      const nextMs = Math.min(...this.up.map((node) => this.#deadlineMs(node)));
      if (nextMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      for (const node of this.up) {
        if (this.#deadlineMs(node) <= this.nowMs) node.step({ type: "wake" });
      }
    }
    this.nowMs = endMs;
  }

  /** When, in the world's time, the node wants to be woken. */
  #deadlineMs(node: SimNode): number {
    const deadlineMs = node.core.nextDeadlineMs();
    if (deadlineMs === null || node.paused) return Number.POSITIVE_INFINITY;
    return node.clock.worldMsAt(deadlineMs, this.nowMs);
  }

  /** The process stands still, its clock does not. */
  pause(id: NodeId | number): void {
    this.node(id).paused = true;
  }

  resume(id: NodeId | number): void {
    const node = this.node(id);
    node.paused = false;
    if (node.up) node.work();
  }

  /** Advances until there is one leader, which has committed in its term. */
  elect(maxMs = 20_000): SimNode {
    for (let waitedMs = 0; waitedMs <= maxMs; waitedMs += 50) {
      this.settle();
      const leader = this.leader();
      if (leader !== null && leader.status.commitIndex === leader.status.lastIndex) return leader;
      this.advance(50);
    }
    throw new Error(`no leader after ${maxMs} ms`);
  }
}

function commandEntry(index: LogIndex, term: Term): Entry {
  return { kind: "command", index, term, data: new TextEncoder().encode(`${index}.${term}`) };
}

function range(count: number): NodeId[] {
  return Array.from({ length: count }, (_, i) => BigInt(i + 1));
}
