import type { KvEngine, Member, NodeTuning } from "../../../../src/core/node/index.ts";
import type { NodeId, RaftOptions } from "../../../../src/core/raft/index.ts";
import { Network } from "./network.ts";
import { SharedSnapshots } from "./shared-snapshots.ts";
import { type NodeSettings, SimNode } from "./sim-node.ts";
import { World } from "./world.ts";

export interface ClusterOptions {
  readonly seed?: number;
  /** Founding voters, with ids 1 to this. */
  readonly founders?: number;
  readonly raft?: Partial<Omit<RaftOptions, "nodeId">>;
  readonly tuning?: Partial<NodeTuning>;
  /** The stores have one commit for hard state and entries. Default: true. */
  readonly hasCommit?: boolean;
  /** All keep their snapshots in one place, and read those of the others there. Default: no. */
  readonly sharedSnapshots?: boolean;
}

/** N nodes of one group, their disks and their network, in one world. */
export class Cluster {
  readonly world: World;
  readonly network: Network;
  readonly nodes: Map<NodeId, SimNode> = new Map();
  readonly shared: SharedSnapshots | null;
  readonly #founders: readonly Member[];
  readonly #settings: NodeSettings;

  constructor(options: ClusterOptions = {}) {
    this.world = new World(options.seed ?? 1);
    this.network = new Network(this.world);
    this.shared = options.sharedSnapshots === true ? new SharedSnapshots() : null;
    this.#settings = {
      raft: options.raft ?? {},
      tuning: options.tuning ?? {},
      disk: { hasCommit: options.hasCommit ?? true },
    };
    this.#founders = Array.from({ length: options.founders ?? 3 }, (_, i) => memberOf(BigInt(i + 1)));
    for (const { id } of this.#founders) this.#add(id, this.#founders);
  }

  #add(id: NodeId, founders: readonly Member[] | null): SimNode {
    const node = new SimNode(this.world, this.network, id, founders, this.#settings);
    this.nodes.set(id, node);
    this.shared?.add(node.disk, `n${id}`);
    return node;
  }

  /** A machine for a member that was added; it waits to be started. */
  addJoiner(id: NodeId): SimNode {
    return this.#add(id, null);
  }

  node(id: NodeId): SimNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  engine(id: NodeId): KvEngine {
    const { engine } = this.node(id);
    if (engine === null) throw new Error(`node ${id} is not up`);
    return engine;
  }

  /** Starts nodes, all by default, and lets them get as far as having recovered. */
  async start(ids: readonly NodeId[] = [...this.nodes.keys()]): Promise<void> {
    await this.world.complete("the start", Promise.all(ids.map((id) => this.node(id).start())));
  }

  /** Starts nodes, and runs until there is a leader that all of them follow. */
  async startAndElect(ids?: readonly NodeId[]): Promise<KvEngine> {
    await this.start(ids);
    return await this.elected(ids);
  }

  /** Runs until one node leads and all others given, all that are up by default, follow it. */
  async elected(ids?: readonly NodeId[], limitMs?: number): Promise<KvEngine> {
    const followsOne = (): boolean => {
      const leader = this.leader();
      // One that is being removed leads on until the others are known to know; that is not whom they elect.
      if (leader === null || ids?.includes(leader.nodeId) === false) return false;
      const engines = ids?.map((id) => this.node(id).engine) ?? this.up();
      return engines.every((engine) => engine?.leaderId === leader.nodeId);
    };
    await this.world.until("an election", followsOne, limitMs);
    return this.leader()!;
  }

  /** Runs until every member that is up has told the group its client URLs. */
  async announced(): Promise<void> {
    for (const engine of this.up()) {
      for (let waited = 0; !(await this.#knowsAll(engine)); waited += 20) {
        if (waited > 10_000) throw new Error("the members do not learn each other's addresses");
        await this.world.runFor(20);
      }
    }
  }

  async #knowsAll(engine: KvEngine): Promise<boolean> {
    const { members } = await this.world.complete("the members", engine.memberList());
    const addressed = members.filter(({ clientUrls }) => clientUrls.length > 0).map(({ id }) => id);
    return this.up().every(({ nodeId }) => addressed.includes(nodeId));
  }

  up(): KvEngine[] {
    return [...this.nodes.values()].filter((node) => node.isUp).map((node) => node.engine!);
  }

  /** The node that leads in the newest term, if any does. */
  leader(): KvEngine | null {
    const leaders = this.up().filter((engine) => engine.status().role === "leader");
    leaders.sort((a, b) => b.status().term - a.status().term);
    return leaders[0] ?? null;
  }

  followers(): KvEngine[] {
    const leader = this.leader();
    return this.up().filter((engine) => engine !== leader);
  }

  /** Everybody else's id. */
  others(id: NodeId): NodeId[] {
    return [...this.nodes.keys()].filter((other) => other !== id);
  }

  /** Runs until all nodes that are up have applied the same, and more than nothing. */
  async converged(limitMs?: number): Promise<void> {
    const same = (): boolean => {
      const statuses = this.up().map((engine) => engine.status());
      const [first] = statuses;
      return (
        first !== undefined &&
        statuses.every(
          ({ appliedIndex, commitIndex, lastIndex }) =>
            appliedIndex === first.appliedIndex && commitIndex === appliedIndex && lastIndex === appliedIndex,
        )
      );
    };
    await this.world.until("all replicas the same", same, limitMs);
  }

  /** The hashes of the states of all that are up, without repetitions. */
  stateHashes(): string[] {
    return [...new Set(this.up().map((engine) => engine.status().stateHash()))];
  }

  /** Power loss: every machine at once. */
  crashAll(): void {
    for (const node of this.nodes.values()) node.crash();
  }
}

export function memberOf(id: NodeId): Member {
  return { id, name: `n${id}`, peerUrls: [`http://n${id}:2380`], clientUrls: [], isLearner: false };
}
