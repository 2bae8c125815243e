import {
  type ConfChange,
  type ConfChangeStep,
  type NodeId,
  type RaftOptions,
  isJoint,
  members,
} from "../../../../src/core/raft/index.ts";
import { Cluster } from "./cluster.ts";
import type { TornAt } from "./disk.ts";
import type { Packet } from "./network.ts";
import { Prng } from "./prng.ts";
import type { Observer } from "./sim-event.ts";
import type { SimNode } from "./sim-node.ts";

const ELECTION_TIMEOUT_MS = 1000;
const CLOCK_DRIFT_BOUND_MS = 100;
/** Two clocks, one this much fast and one this much slow, drift apart by less than the bound in an election timeout. */
const MAX_RATE_ERROR = 0.05;
const MAX_NODES = 6;
/** After faults have healed a group must be whole again within this many election timeouts. */
export const CONVERGENCE_TIMEOUTS = 8;

/** How a run went. */
export interface RunReport {
  readonly seed: number;
  /** Steps checked. */
  readonly steps: number;
  readonly committed: number;
  readonly elections: number;
  /** How long after healing there was a leader that everybody had caught up with, in election timeouts. */
  readonly recoveryTimeouts: number;
  readonly simulatedMs: number;
  /** How often each rare thing happened. */
  readonly marks: ReadonlyMap<string, number>;
}

/** One action and how often it is tried, relative to the others. */
interface Action {
  readonly weight: number;
  readonly run: () => void;
}

/**
 * One random schedule. The seed draws everything: sizes, limits, which faults there are and how often (so that
 * seeds differ in kind, not only in order), and then what happens. Afterwards everything heals.
 */
export class RandomRun {
  readonly cluster: Cluster;
  readonly #seed: number;
  readonly #random: Prng;
  /** Apart, so that what has to do with news of commits does not shift the rest. */
  readonly #newsRandom: Prng;
  readonly #actions: readonly Action[];
  readonly #totalWeight: number;
  readonly #marks: Map<string, number> = new Map();
  readonly #terms: Set<number> = new Set();
  readonly #clocksDiffer: boolean;
  #proposed = 0;

  constructor(seed: number, observers: readonly Observer[] = []) {
    this.#seed = seed;
    this.#random = new Prng(seed);
    this.#newsRandom = new Prng(seed ^ 0x2e35);
    const founders = this.#random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5]);
    this.cluster = new Cluster({
      voters: founders,
      learners: this.#random.chance(0.2) ? [BigInt(founders + 1)] : [],
      raft: { ...randomOptions(this.#random), commitNewsDelayMs: this.#newsRandom.pick([0, 0, 1, 30, 90]) },
      seed,
      observers: [...observers, (event) => this.#countMarks(event)],
    });
    this.#clocksDiffer = this.#random.chance(0.5);
    this.#actions = this.#swarm();
    this.#totalWeight = this.#actions.reduce((sum, { weight }) => sum + weight, 0);
  }

  run(actions = 1500): RunReport {
    for (const node of this.cluster.nodes.values()) this.#makeManual(node);
    for (let i = 0; i < actions; i++) {
      this.#act();
      this.#tempt();
    }
    const recoveryTimeouts = this.#heal();
    return {
      seed: this.#seed,
      steps: this.cluster.invariants.steps,
      committed: this.cluster.invariants.committedIndex,
      elections: this.#terms.size,
      recoveryTimeouts,
      simulatedMs: this.cluster.nowMs,
      marks: this.#marks,
    };
  }

  #act(): void {
    let at = this.#random.next() * this.#totalWeight;
    for (const { weight, run } of this.#actions) {
      at -= weight;
      if (at < 0) return run();
    }
  }

  /** Nothing happens by itself any more. */
  #makeManual(node: SimNode): void {
    const { auto } = node;
    auto.persist = this.#random.chance(0.2);
    auto.apply = this.#random.chance(0.3);
    auto.logReads = this.#random.chance(0.5);
    auto.reports = this.#random.chance(0.7);
  }

  /** The actions with weights of this seed's own. Faults may be absent altogether. */
  #swarm(): Action[] {
    const random = this.#random;
    const usual = (weight: number): number => weight * (0.5 + random.next());
    const fault = (weight: number): number => (random.chance(0.35) ? 0 : weight * random.next() * 2);
    return [
      { weight: usual(300), run: () => this.#deliver(0.1) },
      { weight: usual(120), run: () => this.#onNode((node) => this.#persist(node)) },
      { weight: usual(80), run: () => this.#onNode((node) => this.#apply(node)) },
      { weight: usual(100), run: () => this.cluster.advance(random.int(60), false) },
      { weight: usual(4), run: () => this.cluster.advance(random.int(3 * ELECTION_TIMEOUT_MS), false) },
      { weight: usual(10), run: () => this.#quietSpell() },
      { weight: usual(40), run: () => this.#propose() },
      { weight: usual(15), run: () => this.#read() },
      { weight: usual(2), run: () => this.#depose() },
      { weight: usual(10), run: () => this.#onNode((node) => node.answerLogRead()) },
      { weight: usual(10), run: () => this.#onNode((node) => node.report()) },
      { weight: fault(30), run: () => this.#deliver(1) },
      { weight: fault(20), run: () => this.#withPacket((packet) => this.cluster.drop(packet)) },
      { weight: fault(15), run: () => this.#withPacket((packet) => this.cluster.network.duplicate(packet)) },
      { weight: fault(3), run: () => this.#crash() },
      { weight: usual(8), run: () => this.#restart() },
      { weight: fault(3), run: () => this.#cut() },
      { weight: usual(3), run: () => this.cluster.heal() },
      { weight: fault(2), run: () => this.#onNode(({ id }) => this.cluster.pause(id)) },
      { weight: usual(8), run: () => this.#resume() },
      { weight: fault(3), run: () => this.#changeClock() },
      { weight: fault(8), run: () => this.#changeMembership() },
      { weight: fault(4), run: () => this.#transfer() },
      { weight: fault(8), run: () => this.#onNode((node) => this.#compact(node)) },
      { weight: fault(2), run: () => this.#onNode((node) => node.step({ type: "campaign" })) },
      { weight: fault(5), run: () => this.#unreachable() },
      { weight: usual(2), run: () => this.#onNode((node) => this.#makeManual(node)) },
    ];
  }

  /** Where two take themselves for the leader, whoever asks the older one must not be told the past. */
  #tempt(): void {
    const leaders = this.cluster.up.filter(({ paused, status }) => !paused && status.role === "leader");
    if (leaders.length < 2) return;
    this.#mark("twoLeaders");
    for (const { id } of leaders) {
      if (this.#random.chance(0.4)) this.cluster.read(id, true);
      if (this.#random.chance(0.1)) this.cluster.read(id, false);
    }
  }

  // Actions

  /** Picks a node that is up and not paused. */
  #onNode(act: (node: SimNode) => void): void {
    const nodes = this.cluster.up.filter(({ paused }) => !paused);
    if (nodes.length > 0) act(this.#random.pick(nodes));
  }

  /** Delivers the oldest message of a random pair, or any (`reorder`). */
  #deliver(reorder: number): void {
    const packets = this.cluster.network.packets.filter(({ message }) => !this.#isPaused(message.to));
    if (packets.length === 0) return;
    const some = this.#random.pick(packets);
    const inOrder = packets.find(
      ({ message }) => message.from === some.message.from && message.to === some.message.to,
    );
    this.cluster.deliver(this.#random.chance(reorder) ? some : inOrder!);
    // Queues are bounded in life, too.
    while (this.cluster.network.packets.length > 400) this.cluster.drop(this.cluster.network.packets[0]!);
  }

  #withPacket(act: (packet: Packet) => void): void {
    const { packets } = this.cluster.network;
    if (packets.length > 0) act(this.#random.pick(packets));
  }

  #isPaused(id: NodeId): boolean {
    return this.cluster.nodes.get(id)?.paused === true;
  }

  #persist(node: SimNode): void {
    const count = this.#random.chance(0.5) ? 1 : node.disk.pending.length;
    for (let i = 0; i < count && node.up && node.disk.pending.length > 0; i++) node.persistNext();
  }

  #apply(node: SimNode): void {
    if (node.applyQueue.length === 0) return;
    node.applyNext(this.#random.chance(0.5) ? 1 : node.applyQueue.length);
  }

  /** Everything works for a while. */
  #quietSpell(): void {
    for (let i = 0; i < 4; i++) {
      for (const node of this.cluster.up) {
        while (node.disk.pending.length > 0) node.persistNext();
        while (node.applyQueue.length > 0) node.applyNext();
      }
      this.cluster.settle();
      this.cluster.advance(this.#random.int(40), false);
    }
  }

  /**
   * A leader loses the others with proposals that go nowhere, written or not, while they elect another; then it is
   * back, with the other's log to take over. Sometimes its clock is as slow, and theirs as fast, as the bound allows,
   * and sometimes answers to its last heartbeats arrive only after a while: both are hard on its lease.
   */
  #depose(): void {
    const leader = this.cluster.leader();
    if (leader === null || leader.paused) return;
    const random = this.#random;
    if (this.#clocksDiffer) {
      for (const node of this.cluster.up) {
        node.clock.setRate(1 + (node === leader ? -MAX_RATE_ERROR : MAX_RATE_ERROR), this.cluster.nowMs);
      }
    }
    const others = [...this.cluster.nodes.keys()].filter((id) => id !== leader.id);
    if (random.chance(0.5)) this.cluster.partition([leader.id], others);
    else {
      this.cluster.advance(100, false);
      this.#settleWhere(leader, (from, to) => from === leader.id || to !== leader.id);
      for (const id of others) this.cluster.cut(leader.id, id);
    }
    for (let i = random.int(4); i >= 0; i--) this.cluster.propose(leader.id, this.#command());
    const answersAtMs = this.cluster.nowMs + 400 + random.int(600);
    let answered = false;
    for (let i = 0; i < 80; i++) {
      this.#settleWhere(leader, (_from, to) => to !== leader.id);
      if (!answered && this.cluster.nowMs >= answersAtMs) {
        this.#settleWhere(leader, () => true);
        for (const id of others) this.cluster.cut(id, leader.id);
        answered = true;
      }
      if (random.chance(0.1)) this.#propose();
      this.#tempt();
      this.cluster.advance(random.int(50), false);
    }
    this.cluster.heal();
  }

  /** Delivers on some links until nothing is left there. Disks and state machines keep up, but for one node's. */
  #settleWhere(slow: SimNode, delivers: (from: NodeId, to: NodeId) => boolean): void {
    for (let count = 0; count < 2000; count++) {
      for (const node of this.cluster.up) {
        if (node.paused || node === slow) continue;
        while (node.disk.pending.length > 0) node.persistNext();
        while (node.applyQueue.length > 0) node.applyNext();
      }
      const packet = this.cluster.network.packets.find(
        ({ message: { from, to } }) => delivers(from, to) && !this.#isPaused(to),
      );
      if (packet === undefined) return;
      this.cluster.deliver(packet);
    }
  }

  #propose(): void {
    const leader = this.cluster.leader();
    if (leader === null || leader.paused || this.#random.chance(0.1)) {
      return this.#onNode((node) => void this.cluster.propose(node.id, this.#command()));
    }
    const count = this.#random.chance(0.2) ? this.#random.int(12) : 1;
    const commands = Array.from({ length: count }, () => this.#command());
    this.cluster.proposeFor(this.#waiting(), leader.id, ...commands);
  }

  /** Members at which somebody waits for what is proposed. */
  #waiting(): NodeId[] {
    const random = this.#newsRandom;
    return random.chance(0.3) ? [random.pick([...this.cluster.nodes.keys()])] : [];
  }

  #command(): string {
    return `${++this.#proposed}${"x".repeat(this.#random.chance(0.1) ? this.#random.int(200) : 0)}`;
  }

  #read(): void {
    const lease = this.#random.chance(0.5);
    this.#onNode((node) => {
      this.cluster.read(node.id, lease);
      if (lease && node.status.hasLease) this.#mark("leaseRead");
    });
  }

  #crash(): void {
    const up = this.cluster.up;
    if (up.length === 0) return;
    const victims = this.#random.chance(0.1) ? up : [this.#random.pick(up)];
    for (const node of victims) {
      const reached = this.#random.int(node.disk.pending.length + 1);
      const tornAt = this.#random.pick<TornAt>(["nothing", "snapshot", "hardState"]);
      if (node.disk.pending.length > reached && tornAt !== "nothing") this.#mark(`torn ${tornAt}`);
      node.crash(reached, tornAt);
    }
  }

  #restart(): void {
    const down = [...this.cluster.nodes.values()].filter(({ up }) => !up);
    if (down.length === 0) return;
    const node = this.#random.pick(down);
    this.#start(node);
    this.#makeManual(node);
  }

  #start(node: SimNode): void {
    node.start({
      clockMs: this.#random.chance(0.5) ? this.#random.int(1_000_000) : this.cluster.nowMs,
      appliedTo: this.#random.chance(0.5) ? Number.MAX_SAFE_INTEGER : this.#random.int(50),
      tailBefore: this.#random.int(20),
    });
  }

  #cut(): void {
    const { cluster } = this;
    const ids = [...cluster.nodes.keys()];
    const kind = this.#random.int(4);
    if (kind === 0) cluster.isolate(this.#random.pick(ids));
    else if (kind === 1) cluster.cut(this.#random.pick(ids), this.#random.pick(ids));
    else if (kind === 2) {
      const [a, b] = [this.#random.pick(ids), this.#random.pick(ids)];
      cluster.cut(a, b);
      cluster.cut(b, a);
    } else {
      const left = ids.filter(() => this.#random.chance(0.5));
      cluster.partition(
        left,
        ids.filter((id) => !left.includes(id)),
      );
    }
  }

  #resume(): void {
    const paused = this.cluster.up.filter((node) => node.paused);
    if (paused.length > 0) this.cluster.resume(this.#random.pick(paused).id);
  }

  #changeClock(): void {
    const error = this.#random.pick([-1, 0, 1, this.#random.next() * 2 - 1]);
    const rate = 1 + error * MAX_RATE_ERROR;
    this.#onNode((node) => node.clock.setRate(rate, this.cluster.nowMs));
  }

  #changeMembership(): void {
    const leader = this.cluster.leader();
    if (leader === null || leader.paused) return;
    if (isJoint(leader.status.config) && this.#random.chance(0.5)) {
      if (this.cluster.proposeConfChange(leader.id, []).ok) this.#mark("leave");
      return;
    }
    const transition = this.#random.pick<ConfChange["transition"]>(["auto", "auto", "implicit", "explicit"]);
    const count = this.#random.pick([1, 1, 1, 2, 3]);
    const steps: ConfChangeStep[] = [];
    for (let i = 0; i < count; i++) {
      const node = BigInt(1 + this.#random.int(MAX_NODES));
      if (!this.cluster.nodes.has(node)) this.#makeManual(this.cluster.addNode(node));
      steps.push({ type: this.#random.pick(["addVoter", "addVoter", "addLearner", "remove"]), node });
    }
    if (!this.#leavesTheRestAble(leader, steps)) return;
    if (this.cluster.proposeConfChange(leader.id, steps, transition).ok) this.#mark("confChange");
  }

  /**
   * Whether those voters that stay could elect a leader without those that go. Where they cannot, a crash at the wrong
   * time leaves a group that nobody can lead: who stays may not know that the change is committed, and who goes, and
   * knows, may have the longer log. A configuration that counts only when it is applied has this weakness.
   */
  #leavesTheRestAble(leader: SimNode, steps: readonly ConfChangeStep[]): boolean {
    const { voters } = leader.status.config;
    const gone = steps.filter(({ type, node }) => type !== "addVoter" && voters.includes(node));
    return (voters.length - gone.length) * 2 > voters.length;
  }

  #transfer(): void {
    const leader = this.cluster.leader();
    if (leader === null || leader.paused) return;
    const target = this.#random.pick([...this.cluster.nodes.keys()]);
    if (leader.step({ type: "transferLeadership", target }).ok) this.#mark("transfer");
  }

  #compact(node: SimNode): void {
    if (node.compact(this.#random.chance(0.5) ? undefined : this.#random.int(100))) this.#mark("compact");
  }

  #unreachable(): void {
    const to = this.#random.pick([...this.cluster.nodes.keys()]);
    this.#onNode((node) => node.step({ type: "unreachable", node: to }));
  }

  // Marks: which rare branches were reached

  #countMarks(event: Parameters<Observer>[0]): void {
    if (event.type === "settled" && event.node.status.role === "leader")
      this.#terms.add(event.node.status.term);
    if (event.type === "settled" && event.node.status.asleep) this.#mark("asleep");
    if (event.type === "restored") this.#mark("restored");
    if (event.type === "started" && event.again) this.#mark("restart");
    if (event.type === "ready" && event.ready.logReads.length > 0) this.#mark("logRead");
    if (event.type === "ready") {
      const first = event.ready.entries[0];
      if (first !== undefined && first.index <= event.node.view.lastIndex) this.#mark("truncate");
    }
    if (event.type === "readAnswered") this.#mark(event.index === null ? "readFailed" : "readServed");
  }

  #mark(what: string): void {
    this.#marks.set(what, (this.#marks.get(what) ?? 0) + 1);
  }

  // Afterwards

  /** Repairs everything and waits for the group to be whole. Returns how long it took, in election timeouts. */
  #heal(): number {
    const { cluster } = this;
    cluster.heal();
    for (const node of cluster.nodes.values()) {
      Object.assign(node.auto, { persist: true, apply: true, logReads: true, reports: true });
      if (!node.up) this.#start(node);
      node.paused = false;
      node.clock.setRate(1, cluster.nowMs);
      node.work();
    }
    const startMs = cluster.nowMs;
    const bound = CONVERGENCE_TIMEOUTS * ELECTION_TIMEOUT_MS;
    for (let wanted: number | null = null; cluster.nowMs - startMs <= bound;) {
      cluster.advance(ELECTION_TIMEOUT_MS / 10);
      wanted ??= this.#proposeLast();
      if (wanted !== null && this.#isWhole(wanted)) return (cluster.nowMs - startMs) / ELECTION_TIMEOUT_MS;
    }
    throw new Error(`not whole ${CONVERGENCE_TIMEOUTS} election timeouts after healing: ${this.#describe()}`);
  }

  /** Proposes once more when there is a leader that takes it, and leaves a joint configuration. */
  #proposeLast(): number | null {
    const leader = this.cluster.leader();
    if (leader === null) {
      // A group that sleeps without a leader is woken by the first request.
      for (const node of this.cluster.up) if (node.status.asleep) node.step({ type: "wake" });
      return null;
    }
    const { config, term } = leader.status;
    if (isJoint(config)) {
      this.cluster.proposeConfChange(leader.id, []);
      return null;
    }
    const outcome = this.cluster.propose(leader.id, "last");
    if (!outcome.ok || leader.status.term !== term) return null;
    return outcome.index ?? null;
  }

  /** Everybody in the configuration has applied the same, to the end. */
  #isWhole(wanted: number): boolean {
    const leader = this.cluster.leader();
    if (leader === null || isJoint(leader.status.config)) return false;
    const { lastIndex, config } = leader.status;
    if (leader.machine.appliedIndex < wanted) return false;
    return members(config).every((id) => {
      const { machine, status, disk } = this.cluster.node(id);
      const caughtUp = machine.appliedIndex === lastIndex && status.lastIndex === lastIndex;
      return caughtUp && status.leaderId === leader.id && disk.log.lastIndex === lastIndex;
    });
  }

  #describe(): string {
    return this.cluster.up
      .map(({ id, status }) => {
        const { role, term, commitIndex, appliedIndex, lastIndex, asleep, config } = status;
        const progress = [...status.progress]
          .map(([to, p]) => `${to}:${p.state} match=${p.match} next=${p.next} inflight=${p.inflightMessages}`)
          .join(", ");
        return `\n  ${id} ${role} t${term} last=${lastIndex} commit=${commitIndex} applied=${appliedIndex}${asleep ? " asleep" : ""} voters=${config.voters.join()}|${config.votersOutgoing.join()} learners=${config.learners.join()} ${progress}`;
      })
      .join("");
  }
}

function randomOptions(random: Prng): Partial<RaftOptions> {
  return {
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    heartbeatIntervalMs: 100,
    clockDriftBoundMs: CLOCK_DRIFT_BOUND_MS,
    maxAppendBytes: random.pick([1, 100, 500, 1 << 20]),
    maxInflightMessages: random.pick([1, 2, 8, 64]),
    maxInflightBytes: random.pick([1, 300, 1 << 20]),
    maxUncommittedBytes: random.pick([300, 3000, 1 << 20]),
    maxUnappliedBytes: random.pick([200, 3000, 1 << 20]),
    maxCommittedBytes: random.pick([1, 200, 1 << 20]),
    tailBytes: random.pick([0, 100, 1000, 1 << 20]),
    maxPendingReads: random.pick([1, 4, 1000]),
    promotionMaxLag: random.pick([0, 3, 1000]),
    quiesceAfterMs: random.pick([0, 0, 1, 200]),
  };
}
