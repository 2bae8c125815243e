import { EngineError } from "../../src/core/errors/index.ts";
import type { Clock } from "../../src/core/node/index.ts";
import type { NodeId } from "../../src/core/raft/index.ts";
import type { Cluster } from "../core/node/world/cluster.ts";
import type { Life } from "../core/node/world/life.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { Prng } from "../core/raft/harness/prng.ts";
import type { Clients } from "./clients.ts";
import { DurableObject } from "./durable-objects.ts";
import type { Invariants } from "./invariants.ts";
import type { Side, Target } from "./scenario.ts";
import { SimClock } from "./sim-clock.ts";

/** For how long one that was to lose its memory, and was awake, loses it as soon as it sleeps. */
const SLEEPY_MS = 3000;

/** How long one who is asked in peace may take to answer. */
const ASKING_MS = 2000;

/** Where a node is to go down: at its effect of this number from now on. */
interface Doom {
  left: number;
  readonly side: Side;
}

export interface MachinesHost {
  report(rule: string, detail: string): void;
}

/** All machines of a run: their clocks, their power, and the moments at which they go down. */
export class Machines {
  readonly #cluster: Cluster;
  readonly #random: Prng;
  readonly #host: MachinesHost;
  readonly #clients: Clients;
  readonly #clocks: Map<NodeId, SimClock> = new Map();
  readonly #dooms: Map<NodeId, Doom> = new Map();
  readonly #writeFaults: Map<NodeId, { left: number; how: ReturnType<SimNode["disk"]["decide"]> }> =
    new Map();
  readonly #corrupt: Set<NodeId> = new Set();
  /** Where machines are Durable Objects. */
  readonly #objects: Map<NodeId, DurableObject> | null;
  /** In peace, before the faults and after them, everybody is asked for something whenever it sleeps. */
  isPeace = true;
  /** Lives with a write that will never be answered. */
  readonly #hung: WeakSet<Life> = new WeakSet();
  /** Members that were removed for certain: they may go on running, and are not started again. */
  readonly gone: Set<NodeId> = new Set();
  /** Effects of all nodes so far, and the one at which whoever causes it goes down. */
  effects = 0;
  crashPoint: { readonly effect: number; readonly side: Side } | null = null;
  crashes = 0;

  constructor(cluster: Cluster, random: Prng, clients: Clients, areObjects: boolean, host: MachinesHost) {
    this.#cluster = cluster;
    this.#objects = areObjects ? new Map() : null;
    if (areObjects) {
      cluster.network.onAbsent = (travelling) =>
        this.#objects?.get(travelling.to)?.summon(() => cluster.network.forge(travelling, 0));
    }
    this.#random = random;
    this.#clients = clients;
    this.#host = host;
  }

  /** Prepares a machine that has never been started. */
  adopt(node: SimNode, invariants: Invariants): void {
    this.#clocks.set(node.id, new SimClock(this.#cluster.world, this.#random.int(1_000_000)));
    this.#objects?.set(node.id, this.#objectOf(node, invariants));
    node.onCrash = () => {
      this.crashes++;
      this.#objects?.get(node.id)?.lost();
      this.#clients.crashed(node.id);
    };
    node.disk.onDurable = () => invariants.durable(node);
    node.disk.decide = () => {
      const doom = this.doom(node.id);
      if (doom !== null) return doom === "before" ? "crashBefore" : "crashAfter";
      const fault = this.#writeFaults.get(node.id);
      if (fault === undefined || --fault.left > 0) return "ok";
      this.#writeFaults.delete(node.id);
      if (fault.how === "hang" && node.life !== null) this.#hung.add(node.life);
      return fault.how;
    };
    node.disk.decideRead = () =>
      this.#corrupt.has(node.id)
        ? new EngineError("storageCorrupt", { detail: "a checksum does not hold" })
        : null;
  }

  #objectOf(node: SimNode, invariants: Invariants): DurableObject {
    return new DurableObject(this.#cluster.world, node, {
      boot: () => this.boot(node),
      evict: () => this.evict(node, false),
      startsRested: () => invariants.startsRested(node.id),
    });
  }

  all(): SimNode[] {
    return [...this.#cluster.nodes.values()];
  }

  /** The machine meant; numbers beyond the last begin again with the first. */
  at(target: Target): SimNode {
    const nodes = this.all();
    if (target === "leader") {
      const leader = this.#cluster.leader();
      return leader === null ? nodes[0]! : this.#cluster.node(leader.nodeId);
    }
    return nodes[(target - 1) % nodes.length]!;
  }

  clock(node: SimNode): SimClock {
    return this.#clocks.get(node.id)!;
  }

  /** One effect more: does its node go down with it? */
  doom(id: NodeId): Side | null {
    this.effects++;
    const { crashPoint } = this;
    if (crashPoint !== null && crashPoint.effect === this.effects) return crashPoint.side;
    const doom = this.#dooms.get(id);
    if (doom === undefined || --doom.left > 0) return null;
    this.#dooms.delete(id);
    return doom.side;
  }

  crashAt(node: SimNode, effect: number, side: Side): void {
    this.#dooms.set(node.id, { left: effect, side });
  }

  failWrite(node: SimNode, write: number, how: ReturnType<SimNode["disk"]["decide"]>): void {
    this.#writeFaults.set(node.id, { left: write, how });
  }

  corrupt(node: SimNode): void {
    this.#corrupt.add(node.id);
  }

  repair(node: SimNode): void {
    this.#corrupt.delete(node.id);
  }

  /** Switches a machine on, unless it runs. One that stopped by itself lies there until then. */
  boot(node: SimNode): void {
    if (this.gone.has(node.id)) return;
    if (node.life?.isAlive === true) {
      if (node.engine?.isStopped !== true) return this.#askSleeper(node);
      this.crash(node);
    }
    let life: Life | null = null;
    const object = this.#objects?.get(node.id);
    const clock = this.clock(node).forLife(() => life);
    const wall = { ...clock, wallMs: () => this.clock(node).trueWallMs() };
    const starting =
      object === undefined
        ? node.start({ clock })
        : node
            .start({ clock: polled(wall, object), ...object.begin() })
            .then(() => node.engine !== null && node.life === life && object.started(node.engine, wall));
    life = node.life;
    starting.catch((error: unknown) => {
      if (!this.#isFault(error))
        this.#host.report("a node that starts", `node ${node.id}: ${stackOf(error)}`);
    });
  }

  /** Whoever is still asleep when faults are over would not say who leads. */
  #askSleeper({ engine }: SimNode): void {
    if (this.#objects === null || !this.isPeace || engine?.replica.isAsleep !== true) return;
    engine.ready(ASKING_MS).catch(() => undefined);
  }

  /** Does this as soon as the node is there, if it is or somebody's need brings it back. */
  whenUp(node: SimNode, act: () => void): void {
    if (node.isUp) act();
    else if (!this.isPeace) this.#objects?.get(node.id)?.summon(act);
  }

  evict(node: SimNode, anyTime: boolean): void {
    const object = this.#objects?.get(node.id);
    if (object === undefined || this.isPeace || !node.isUp) return;
    if (!anyTime && node.engine?.replica.isAsleep !== true) return object.evictWhenAsleep(SLEEPY_MS);
    object.evict();
    this.crash(node);
  }

  crash(node: SimNode): void {
    this.blame(node);
    if (node.life !== null) node.crash();
  }

  /** A node may stop by itself because its disk failed, and for no other reason. */
  blame(node: SimNode): void {
    if (node.failure === null || this.#isFault(node.failure)) return;
    this.#host.report("a node stopped by itself", `node ${node.id}: ${stackOf(node.failure)}`);
  }

  #isFault(error: unknown): boolean {
    return (
      error instanceof EngineError && (error.code === "storageFailed" || error.code === "storageCorrupt")
    );
  }

  /** The end of everything that was wrong with machines. */
  heal(): void {
    this.isPeace = true;
    this.#dooms.clear();
    this.#writeFaults.clear();
    this.#corrupt.clear();
    this.#cluster.shared?.heal();
    for (const node of this.all()) {
      // Only a restart helps a node whose disk has stopped answering.
      if (node.life !== null && this.#hung.has(node.life)) this.crash(node);
      node.disk.latencyMs = () => 0;
      node.disk.readLatencyMs = () => 0;
      if (this.clock(node).rate !== 1) this.clock(node).setRate(1);
      node.resume();
    }
  }
}

/** An object looks at itself after every timer. */
function polled(clock: Clock, object: DurableObject): Clock {
  return {
    ...clock,
    setTimer: (delayMs, callback) =>
      clock.setTimer(delayMs, () => {
        callback();
        object.poll();
      }),
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
