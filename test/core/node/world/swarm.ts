import { EngineError } from "../../../../src/core/errors/index.ts";
import type { NodeId } from "../../../../src/core/raft/index.ts";
import { Prng } from "../../raft/harness/prng.ts";
import { checkFinalState, checkRegisters } from "./check.ts";
import { Cluster } from "./cluster.ts";
import { History } from "./history.ts";
import { CALM } from "./network.ts";
import { watchPromises } from "./promises.ts";
import type { SimNode } from "./sim-node.ts";

/** Election timeout of every node; the other times are measured in it. */
const ELECTION_MS = 150;

/** How often each thing happens, drawn by the seed as well: a run without faults of one kind finds others. */
interface Appetite {
  readonly crash: number;
  readonly powerLoss: number;
  readonly stop: number;
  readonly restart: number;
  readonly partition: number;
  readonly heal: number;
  readonly weather: number;
  readonly slowDisk: number;
  readonly failDisk: number;
  readonly pause: number;
  readonly snapshot: number;
  readonly transfer: number;
  readonly addMember: number;
  readonly promote: number;
  readonly removeMember: number;
}

export interface SwarmResult {
  readonly wrong: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly writes: number;
  readonly reads: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** A cluster under every fault at once; then peace, and the reckoning. */
export class Swarm {
  readonly cluster: Cluster;
  readonly history: History;
  readonly #random: Prng;
  readonly #appetite: Appetite;
  readonly #wrong: string[] = [];
  readonly #brokenPromises: readonly string[];
  readonly #counts: Record<string, number> = {};
  /** Members that were removed for certain; they stay down. */
  readonly #gone: Set<NodeId> = new Set();
  #keys = 0;

  constructor(seed: number) {
    const random = new Prng(seed ^ 0x5eed);
    this.#random = random;
    this.#appetite = drawAppetite(random);
    const tail = random.pick([200, 2000, 1 << 20]);
    this.cluster = new Cluster({
      seed,
      founders: random.pick([1, 3, 3, 3, 5]),
      hasCommit: random.chance(0.5),
      raft: {
        electionTimeoutMs: ELECTION_MS,
        heartbeatIntervalMs: 30,
        clockDriftBoundMs: 30,
        tailBytes: tail,
        maxAppendBytes: random.pick([100, 1000, 1 << 20]),
        maxInflightMessages: random.pick([1, 4, 64]),
        maxUncommittedBytes: random.pick([2000, 64 << 20]),
        quiesceAfterMs: random.pick([0, 0, 400]),
      },
      tuning: {
        requestTimeoutMs: 1500,
        snapshotEntries: random.pick([10, 50, 100_000]),
        trailingEntries: random.pick([0, 5, 50]),
        snapshotChunkBytes: random.pick([50, 500, 10_000]),
        maxInflightReadys: random.pick([1, 4]),
      },
    });
    this.history = new History(this.cluster.world);
    this.#brokenPromises = watchPromises(this.cluster);
  }

  async run(virtualMs: number): Promise<SwarmResult> {
    const { world } = this.cluster;
    for (const node of this.cluster.nodes.values()) {
      this.#watch(node);
      this.#boot(node);
    }
    while (world.nowMs < virtualMs) {
      await world.runFor(this.#random.int(20));
      this.#callers();
      this.#mischief();
    }
    await this.#peace();
    return {
      wrong: this.#wrong,
      hash: world.hash,
      events: world.executed,
      virtualMs: world.nowMs,
      writes: this.history.writes.filter(({ outcome }) => outcome === "ok").length,
      reads: this.history.reads.filter(({ outcome }) => outcome === "ok").length,
      counts: this.#counts,
    };
  }

  // Callers

  #callers(): void {
    const random = this.#random;
    const node = random.pick([...this.cluster.nodes.values()]);
    if (!node.isUp) return;
    const many = random.chance(0.05) ? 20 : 1;
    for (let i = 0; i < many; i++) {
      const register = `r${random.int(3)}`;
      if (random.chance(0.4)) {
        const consistency = random.pick(["linearizable", "linearizable", "lease", "eventual"] as const);
        this.#fork(this.history.read(node, register, { consistency }));
      } else {
        const key = random.chance(0.5) ? register : `u${++this.#keys}`;
        this.#fork(this.history.write(node, key));
      }
    }
  }

  // Mischief

  #mischief(): void {
    for (const [name, rate] of Object.entries(this.#appetite) as [keyof Appetite, number][]) {
      if (this.#random.chance(rate)) this.#act(name);
    }
  }

  #act(what: keyof Appetite): void {
    const { network, world } = this.cluster;
    const random = this.#random;
    const nodes = [...this.cluster.nodes.values()];
    const node = random.pick(nodes);
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
    switch (what) {
      case "crash":
        return this.#crash(node);
      case "powerLoss":
        for (const each of nodes) this.#crash(each);
        return;
      case "stop":
        if (node.isUp) this.#fork(node.stop().then(() => this.history.crashed(node.id)));
        return;
      case "restart":
        for (const each of nodes) if (!each.isUp) this.#boot(each);
        return;
      case "partition": {
        const ids = nodes.map(({ id }) => id);
        const side = ids.filter(() => random.chance(0.5));
        if (random.chance(0.3)) network.cut(random.pick(ids), random.pick(ids));
        else
          network.partition(
            side,
            ids.filter((id) => !side.includes(id)),
          );
        return;
      }
      case "heal":
        return network.heal();
      case "weather":
        network.conditions = {
          minDelayMs: 1,
          maxDelayMs: random.pick([2, 10, 60, 300]),
          dropRate: random.pick([0, 0, 0.05, 0.3]),
          duplicateRate: random.pick([0, 0.05, 0.3]),
          unreachableRate: random.pick([0, 0.5]),
        };
        return;
      case "slowDisk": {
        const slowest = random.pick([0, 0, 5, 50, 200]);
        const disk = random.fork();
        node.disk.latencyMs = () => disk.int(slowest + 1);
        node.disk.readLatencyMs = () => disk.int(Math.min(slowest, 20) + 1);
        return;
      }
      case "failDisk": {
        const verdict = random.pick(["fail", "crashBefore", "crashTorn", "crashAfter"] as const);
        const at = node.disk.writes + 1 + random.int(10);
        node.disk.decide = (_kind, count) => (count === at ? verdict : "ok");
        return;
      }
      case "pause":
        node.pause();
        world.schedule(random.int(4 * ELECTION_MS), null, () => node.resume());
        return;
      case "snapshot":
        if (node.isUp) this.#fork(node.engine!.takeSnapshot());
        return;
      case "transfer":
        if (node.isUp) this.#fork(node.engine!.transferLeadership(random.pick(nodes).id));
        return;
      case "addMember":
        if (node.isUp) this.#fork(this.#addMember(node));
        return;
      case "promote":
        if (node.isUp) this.#fork(this.#promote(node));
        return;
      case "removeMember":
        if (node.isUp) this.#fork(this.#remove(node));
    }
  }

  /** What an operator is told is not what is tested here, unless it is no proper error. */
  #fork(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof EngineError)) this.#wrong.push(`an error of the wrong kind: ${String(error)}`);
    });
  }

  #boot(node: SimNode): void {
    if (node.life?.isAlive === true || this.#gone.has(node.id)) {
      // It stopped by itself, and lies there.
      if (!(node.engine?.isStopped ?? false)) return;
      this.#blame(node);
      this.#crash(node);
    }
    if (this.#gone.has(node.id)) return;
    node.clockRate = 0.95 + this.#random.next() * 0.1;
    node.start().catch((error: unknown) => {
      if (!isDiskFault(error)) this.#wrong.push(`node ${node.id} could not start: ${String(error)}`);
    });
  }

  /** A node may stop by itself because its disk failed, and for no other reason. */
  #blame(node: SimNode): void {
    if (node.failure !== null && !isDiskFault(node.failure))
      this.#wrong.push(`node ${node.id} stopped: ${stackOf(node.failure)}`);
  }

  #crash(node: SimNode): void {
    if (node.engine?.isStopped === true) this.#blame(node);
    node.crash();
  }

  #watch(node: SimNode): void {
    node.onCrash = () => this.history.crashed(node.id);
  }

  // Membership

  async #addMember(node: SimNode): Promise<void> {
    if (this.cluster.nodes.size >= 8) return;
    const { member } = await node.engine!.memberAdd({
      peerUrls: [`http://x${this.cluster.nodes.size}-${this.#random.int(1e6)}:2380`],
      isLearner: true,
    });
    const joiner = this.cluster.addJoiner(member.id);
    this.#watch(joiner);
    this.#boot(joiner);
  }

  async #promote(node: SimNode): Promise<void> {
    const learner = node.engine!.status().isLearner ? undefined : await this.#learner(node);
    if (learner !== undefined) await node.engine!.memberPromote(learner);
  }

  async #learner(node: SimNode): Promise<NodeId | undefined> {
    const { members } = await node.engine!.memberList();
    return members.find(({ isLearner, id }) => isLearner && this.cluster.nodes.get(id)?.isUp === true)?.id;
  }

  async #remove(node: SimNode): Promise<void> {
    const { members } = await node.engine!.memberList();
    const voters = members.filter(({ isLearner }) => !isLearner);
    if (voters.length <= 2 || members.length === 0) return;
    const { id } = this.#random.pick(members);
    await node.engine!.memberRemove(id);
    this.#gone.add(id);
    const removed = this.cluster.nodes.get(id);
    if (removed !== undefined) this.#crash(removed);
  }

  // The end

  async #peace(): Promise<void> {
    const { cluster, history } = this;
    const { world, network } = cluster;
    network.heal();
    network.conditions = CALM;
    for (const node of cluster.nodes.values()) {
      node.resume();
      node.disk.decide = () => "ok";
      node.disk.latencyMs = () => 0;
      node.disk.readLatencyMs = () => 0;
    }
    this.#keepUp();
    await world.runFor(1000);
    try {
      await history.settled(4000);
      await cluster.world.until("a leader", () => cluster.leader() !== null, 40 * ELECTION_MS);
      await this.#reckon();
    } catch (error) {
      this.#wrong.push(String(error));
    }
    for (const node of cluster.nodes.values()) if (node.engine?.isStopped === true) this.#blame(node);
    this.#wrong.push(...checkRegisters(history), ...this.#brokenPromises);
  }

  /** What stops by itself is started again, as a supervisor would. */
  #keepUp(): void {
    for (const node of this.cluster.nodes.values()) this.#boot(node);
    this.cluster.world.schedule(100, null, () => this.#keepUp());
  }

  async #reckon(): Promise<void> {
    const { cluster, history } = this;
    const { world } = cluster;
    for (let attempts = 0, done = false; !done; attempts++) {
      const { outcome, error } = await world.complete(
        "a write in peace",
        history.write(cluster.node(cluster.leader()!.nodeId), "last"),
      );
      done = outcome === "ok";
      // What was begun before the peace may still fill the leader's limits for a moment.
      if (attempts > 20) throw new Error(`no write succeeds in peace: ${outcome} ${String(error)}`);
      if (!done) await world.runFor(100);
    }
    const leader = cluster.leader()!;
    const members = new Set((await leader.memberList()).members.map(({ id }) => id));
    const present = (): SimNode[] => [...cluster.nodes.values()].filter(({ id }) => members.has(id));
    const same = (): boolean => {
      const { appliedIndex, lastIndex } = leader.status();
      return (
        appliedIndex === lastIndex && present().every((n) => n.engine?.status().appliedIndex === appliedIndex)
      );
    };
    await world.until("all replicas the same", same, 10_000);
    const hashes = present().map(({ engine }) => engine!.status().stateHash());
    if (new Set(hashes).size > 1) this.#wrong.push(`the replicas differ: ${hashes.join(", ")}`);
    this.#wrong.push(...(await checkFinalState(history, leader)));
  }
}

function isDiskFault(error: unknown): boolean {
  return error instanceof EngineError && error.code === "storageFailed";
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Each thing not at all, now and then, or often. */
function drawAppetite(random: Prng): Appetite {
  const draw = (often: number): number => random.pick([0, often / 4, often]);
  return {
    crash: draw(0.02),
    powerLoss: draw(0.004),
    stop: draw(0.005),
    restart: 0.03,
    partition: draw(0.02),
    heal: 0.02,
    weather: draw(0.02),
    slowDisk: draw(0.02),
    failDisk: draw(0.01),
    pause: draw(0.01),
    snapshot: draw(0.02),
    transfer: draw(0.01),
    addMember: draw(0.01),
    promote: draw(0.03),
    removeMember: draw(0.005),
  };
}
