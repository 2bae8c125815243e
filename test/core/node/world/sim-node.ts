import {
  type Clock,
  KvEngine,
  type Member,
  type NodeOptions,
  type NodeTuning,
} from "../../../../src/core/node/index.ts";
import type { NodeId, RaftOptions } from "../../../../src/core/raft/index.ts";
import type { Prng } from "../../raft/harness/prng.ts";
import { mountDisk } from "./disk-mount.ts";
import { Disk, type DiskOptions } from "./disk.ts";
import { Life } from "./life.ts";
import type { Network } from "./network.ts";
import { clockOf, loggerOf, randomOf } from "./surroundings.ts";
import type { World } from "./world.ts";

export const CLUSTER_ID = 0xc1n;
export const GROUP_ID = "group";

/** Small, so that watches fall behind, and history is read in many pages. */
const SMALL_PAGES = { maxEvents: 5, maxBytes: 1 << 20, maxScanned: 16, maxWaiting: 4 };

/** What every node of a cluster is started with. */
export interface NodeSettings {
  readonly raft: Partial<Omit<RaftOptions, "nodeId">>;
  readonly tuning: Partial<NodeTuning>;
  readonly disk: DiskOptions;
}

/** One machine: its disk stays, its node comes and goes. */
export class SimNode {
  readonly id: NodeId;
  readonly disk: Disk;
  /** Log lines of all its lives. */
  readonly lines: string[] = [];
  readonly #world: World;
  readonly #network: Network;
  readonly #random: Prng;
  #settings: NodeSettings;
  #founders: readonly Member[] | null;
  #life: Life | null = null;
  #engine: KvEngine | null = null;
  /** Why it could not start, or stopped by itself; null while all is well. */
  failure: unknown = null;
  /** How fast its clock runs from the next start on. */
  clockRate = 1;
  /** For how long its clock has stood still, because the machine was suspended. */
  #suspendedMs = 0;
  #pausedAtMs = 0;
  clientUrls: readonly string[];
  /** Told when it crashes, whoever made it. */
  onCrash: () => void = () => {};
  /** Runs after each frame, in the same turn. */
  afterInput: () => void = () => {};

  constructor(
    world: World,
    network: Network,
    id: NodeId,
    founders: readonly Member[] | null,
    settings: NodeSettings,
  ) {
    this.#world = world;
    this.#network = network;
    this.id = id;
    this.#founders = founders;
    this.#settings = settings;
    this.#random = world.random.fork();
    this.disk = new Disk(world, settings.disk);
    this.clientUrls = [`http://n${id}:2379`];
  }

  /** The running engine; null while the node is down or still starting. */
  get engine(): KvEngine | null {
    return this.#engine;
  }

  get life(): Life | null {
    return this.#life;
  }

  get isUp(): boolean {
    return this.#engine !== null && !this.#engine.isStopped;
  }

  /** What the next start will be given. */
  configure(settings: Partial<NodeSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
  }

  /** Begins to start; `engine` is there when it has. Rejects with why it could not. */
  async start(overrides: Partial<NodeOptions> = {}): Promise<void> {
    const { life, options } = this.begin();
    try {
      const engine = await KvEngine.start({ ...options, ...overrides });
      if (!life.isAlive) return;
      this.#engine = engine;
      engine.onFailure((error) => {
        this.failure = error;
      });
    } catch (error) {
      this.failure = error;
      await options.storage.close();
      this.#life = null;
      throw error;
    }
  }

  /** A new life, and what a node needs to live it. */
  begin(): { readonly life: Life; readonly options: NodeOptions } {
    if (this.#life?.isAlive === true) throw new Error(`node ${this.id} runs already`);
    const life = new Life();
    this.#life = life;
    this.failure = null;
    const { raft, tuning } = this.#settings;
    const options: NodeOptions = {
      identity: { clusterId: CLUSTER_ID, groupId: GROUP_ID, nodeId: this.id },
      founders: this.#founders,
      self: { name: `n${this.id}`, clientUrls: this.clientUrls },
      storage: mountDisk(this.disk, life, () => this.crash()),
      transport: this.#network.transport(this.id, life, () => this.afterInput()),
      clock: this.#clockThatStops(clockOf(this.#world, life, this.#random.int(1_000_000), this.clockRate)),
      random: randomOf(this.#random.fork()),
      logger: loggerOf(this.#world, this.id, this.lines),
      raft,
      tuning,
      watch: { page: SMALL_PAGES },
    };
    return { life, options };
  }

  /** The process is gone at once, and with it whatever its disk had not made durable. */
  crash(): void {
    this.#life?.end();
    this.#life = null;
    this.#engine = null;
    this.disk.crash();
    this.#world.note(`crash ${this.id}`);
    this.onCrash();
  }

  /** Stops it as an operator would. */
  async stop(options: { transferLeadership?: boolean } = {}): Promise<void> {
    const life = this.#life;
    await this.#engine?.stop(options);
    life?.end();
    if (this.#life === life) {
      this.#life = null;
      this.#engine = null;
    }
  }

  #clockThatStops(clock: Clock): Clock {
    const before = this.#suspendedMs;
    return { ...clock, nowMs: () => clock.nowMs() - (this.#suspendedMs - before) };
  }

  pause(): void {
    this.#pausedAtMs = this.#world.nowMs;
    this.#life?.pause();
  }

  /** The whole machine goes on, and its clock knows nothing of the time since it was paused. */
  wakeUp(): void {
    this.#suspendedMs += (this.#world.nowMs - this.#pausedAtMs) * this.clockRate;
    this.resume();
  }

  resume(): void {
    for (const work of this.#life?.resume() ?? []) this.#world.schedule(0, this.#life, work);
  }
}
