import { TRUSTED } from "../../src/core/kv/index.ts";
import type { ClusterConfig, NodeId } from "../../src/core/raft/index.ts";
import type { Cluster } from "../core/node/world/cluster.ts";
import { CALM } from "../core/node/world/network.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { Prng } from "../core/raft/harness/prng.ts";
import type { Clients } from "./clients.ts";
import type { Faults } from "./faults.ts";
import type { Machines } from "./machines.ts";

/** Bounds, in election timeouts. */
export const LIVENESS_BOUNDS = {
  /** L1: from the end of the faults to a leader that all follow who can. */
  leader: 20,
  /** How long it must then stay. */
  stable: 3,
  /** L2: from there until every replica has applied the same. */
  converged: 40,
  /** L4: terms begun after the faults, by a majority that elects and by all together. */
  terms: 12,
} as const;

export interface LivenessReport {
  /** L1, in election timeouts: until a majority, and until everyone, had a leader that stayed. */
  readonly majorityLeader: number;
  readonly everyoneLeader: number;
  /** L4: how far the highest term rose. */
  readonly terms: number;
}

export interface LivenessHost {
  readonly cluster: Cluster;
  readonly machines: Machines;
  readonly faults: Faults;
  readonly clients: Clients;
  readonly random: Prng;
  readonly electionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** The newest configuration that is committed. */
  config(): ClusterConfig;
  /** A change of it may be on its way. */
  isChanging(): boolean;
  report(rule: string, detail: string): void;
  isOver(): boolean;
}

class Late extends Error {}

/** The faults end, first for a random majority and then for all: from then on things must get better, in time. */
export async function checkLiveness(host: LivenessHost): Promise<LivenessReport | null> {
  try {
    return await new Liveness(host).run();
  } catch (error) {
    if (!(error instanceof Late)) throw error;
    return null;
  }
}

class Liveness {
  readonly #host: LivenessHost;
  #resting: Set<NodeId> = new Set();

  constructor(host: LivenessHost) {
    this.#host = host;
  }

  async run(): Promise<LivenessReport> {
    const { cluster, machines, faults, clients, electionTimeoutMs } = this.#host;
    cluster.network.conditions = CALM;
    cluster.network.heal();
    faults.heal();
    machines.heal();
    clients.heal();
    const termBefore = this.#highestTerm();
    const majorityLeader = await this.#majority();
    cluster.network.heal();
    this.#resting = new Set();
    this.#keepUp();
    const everyoneLeader = await this.#stableLeader("everyone", () => this.#members());
    await this.#until("L2 logs converge", LIVENESS_BOUNDS.converged, () => this.#isConverged());
    await this.#until(
      "L3 every request ends",
      0,
      () => this.#host.clients.open === 0,
      this.#host.requestTimeoutMs * 3,
    );
    const hashes = new Set(
      this.#members().map(({ engine }) => engine!.status({ caller: TRUSTED }).stateHash()),
    );
    if (hashes.size > 1) this.#host.report("L2 logs converge", `the states differ: ${[...hashes].join()}`);
    const terms = this.#highestTerm() - termBefore;
    if (terms > LIVENESS_BOUNDS.terms) this.#host.report("L4 terms", `they rose by ${terms} in peace`);
    const inTimeouts = (ms: number): number => Math.round((ms / electionTimeoutMs) * 10) / 10;
    return { majorityLeader: inTimeouts(majorityLeader), everyoneLeader: inTimeouts(everyoneLeader), terms };
  }

  /** The rest stays cut off, and down if it is down. */
  async #majority(): Promise<number> {
    const { cluster, machines } = this.#host;
    const config = this.#host.config();
    // A change under way could make a majority of another configuration necessary.
    if (this.#host.isChanging() || config.votersOutgoing.length > 0) return 0;
    // Whose addition was answered to nobody has no machine, and cannot be one of them.
    if (config.voters.some((id) => !cluster.nodes.has(id))) return 0;
    const healed = this.#drawMajority(config);
    // A voter that was added, and nobody told the operator.
    for (const id of healed) this.#host.faults.provide(id);
    const rest = machines.all().filter(({ id }) => !healed.includes(id));
    this.#resting = new Set(rest.map(({ id }) => id));
    cluster.network.partition(
      healed,
      rest.map(({ id }) => id),
    );
    this.#keepUp();
    // Who sleeps, and whose leader is among the rest, notices it when asked for something.
    for (const id of healed) void this.#ask(id);
    const tookMs = await this.#stableLeader("a majority", () =>
      healed.map((id) => cluster.node(id)).filter((node) => !machines.gone.has(node.id)),
    );
    await this.#answers(healed);
    return tookMs;
  }

  #drawMajority({ voters }: ClusterConfig): NodeId[] {
    const { random } = this.#host;
    const left = [...voters];
    const healed: NodeId[] = [];
    while (2 * healed.length <= voters.length) healed.push(...left.splice(random.int(left.length), 1));
    return healed;
  }

  /** L1: a leader that all of them follow, and that stays. Gives how long it took until it led. */
  async #stableLeader(who: string, nodes: () => SimNode[]): Promise<number> {
    const { cluster, electionTimeoutMs } = this.#host;
    const { world } = cluster;
    const begunMs = world.nowMs;
    const leader = (): NodeId | null => {
      const among = nodes();
      const id = among[0]?.engine?.leaderId ?? null;
      // One of them: what a leader that is cut off by now has sent may go on arriving for a while.
      const isOneOfThem = among.some((node) => node.id === id);
      return isOneOfThem && among.every(({ engine }) => engine?.leaderId === id) ? id : null;
    };
    for (;;) {
      const left = begunMs + LIVENESS_BOUNDS.leader * electionTimeoutMs - world.nowMs;
      await this.#until(`L1 a stable leader of ${who}`, 0, () => leader() !== null, left);
      const ledMs = world.nowMs;
      const found = leader();
      let kept = true;
      await this.#untilOver(LIVENESS_BOUNDS.stable * electionTimeoutMs, () => {
        kept &&= leader() === found;
        return !kept;
      });
      if (kept) return ledMs - begunMs;
    }
  }

  /** A majority is enough to be served. */
  async #answers(healed: readonly NodeId[]): Promise<void> {
    const { clients, requestTimeoutMs } = this.#host;
    let answered = 0;
    let isOver = false;
    // Again and again: the crash of a run of crash points may come as late as this.
    const ask = async (id: NodeId): Promise<void> => {
      while (!isOver && !(await this.#ask(id))) await clients.sleep(100);
      answered++;
    };
    for (const id of healed) void ask(id);
    const limitMs = requestTimeoutMs * 2;
    await this.#until("L3 a majority serves", 0, () => answered === healed.length, limitMs);
    isOver = true;
  }

  async #ask(id: NodeId): Promise<boolean> {
    const { cluster, clients } = this.#host;
    const { status } = await clients.request(cluster.node(id), "fresh", async (engine) => {
      const { header } = await engine.range({ key: Uint8Array.of(1) }, { caller: TRUSTED });
      return { revision: header.revision, value: null };
    });
    return status === "ok";
  }

  /** What stops by itself is started again, as a supervisor would. */
  #keepUp(): void {
    const { machines, faults, cluster } = this.#host;
    for (const node of machines.all()) if (!this.#resting.has(node.id)) machines.boot(node);
    // A member that was added, and nobody told the operator.
    if (this.#resting.size === 0) for (const id of this.#memberIds()) faults.provide(id);
    cluster.world.schedule(100, null, () => {
      if (!this.#host.isOver()) this.#keepUp();
    });
  }

  /** Those that the newest configuration names. */
  #members(): SimNode[] {
    const ids = this.#memberIds();
    return this.#host.machines.all().filter(({ id }) => ids.includes(id));
  }

  #memberIds(): NodeId[] {
    const { voters, votersOutgoing, learners } = this.#host.config();
    return [...voters, ...votersOutgoing, ...learners];
  }

  #isConverged(): boolean {
    const statuses = this.#members().map(({ engine }) => engine?.status());
    const first = statuses[0];
    if (first === undefined) return false;
    return statuses.every(
      (status) =>
        status?.appliedIndex === first.appliedIndex &&
        status.commitIndex === first.appliedIndex &&
        status.lastIndex === first.appliedIndex,
    );
  }

  /** A disk that was slow may have yet to write the terms of many elections. */
  #highestTerm(): number {
    const terms = this.#host.machines
      .all()
      .flatMap(({ disk, engine }) => [disk.durable.hardState?.term ?? 0, engine?.status().term ?? 0]);
    return Math.max(0, ...terms);
  }

  async #until(rule: string, timeouts: number, condition: () => boolean, ms = 0): Promise<void> {
    const limitMs = timeouts * this.#host.electionTimeoutMs + ms;
    if (await this.#untilOver(limitMs, condition)) return;
    if (!this.#host.isOver()) this.#host.report(rule, `not within ${limitMs} ms: ${this.#describe()}`);
    throw new Late();
  }

  async #untilOver(limitMs: number, condition: () => boolean): Promise<boolean> {
    const { world } = this.#host.cluster;
    const endMs = world.nowMs + limitMs;
    // Everyone's own timers keep the world moving; this one makes sure of it.
    world.schedule(Math.max(0, limitMs), null, () => {});
    while (!condition()) {
      if (this.#host.isOver() || world.nowMs >= endMs || !(await world.step())) return condition();
    }
    return true;
  }

  #describe(): string {
    return this.#host.machines
      .all()
      .map((node) => {
        const status = node.engine?.status();
        if (status === undefined) return `${node.id} down`;
        const { role, term, leaderId, commitIndex, appliedIndex, lastIndex } = status;
        return `${node.id} ${role} of ${term}, follows ${leaderId}, ${appliedIndex}/${commitIndex}/${lastIndex}`;
      })
      .join("; ");
  }
}
