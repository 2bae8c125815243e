import type { Transport, TransportHandler } from "../../../../src/core/node/index.ts";
import type { NodeId } from "../../../../src/core/raft/index.ts";
import type { Prng } from "../../raft/harness/prng.ts";
import type { Life } from "./life.ts";
import type { World } from "./world.ts";

export interface NetworkConditions {
  /** Each frame takes between these; a wide range reorders. */
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  readonly dropRate: number;
  readonly duplicateRate: number;
  /** How often a sender is told that a frame could not be delivered, when it could not. */
  readonly unreachableRate: number;
}

export const CALM: NetworkConditions = {
  minDelayMs: 1,
  maxDelayMs: 3,
  dropRate: 0,
  duplicateRate: 0,
  unreachableRate: 0,
};

/** A frame about to travel; a test may look at it and decide. */
export interface Travelling {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly frame: Uint8Array;
}

/**
 * What to do with a frame: let it go its way, lose it, keep it for later, deliver it after given delays, or deliver
 * another in its place.
 */
export type FrameVerdict = "pass" | "drop" | "hold" | readonly number[] | Uint8Array;

interface Port {
  readonly life: Life;
  readonly handler: TransportHandler;
  readonly afterInput: () => void;
}

/** The network between the nodes: loses, repeats, delays and reorders frames, and is cut in one direction or both. */
export class Network {
  conditions: NetworkConditions = CALM;
  /** Asked for every frame first. */
  onFrame: (travelling: Travelling) => FrameVerdict = () => "pass";
  /** Told of every frame that finds nobody where it arrives. */
  onAbsent: (travelling: Travelling) => void = () => {};
  readonly #world: World;
  readonly #random: Prng;
  readonly #ports: Map<NodeId, Port> = new Map();
  readonly #cuts: Set<string> = new Set();
  readonly #peers: Map<NodeId, ReadonlyMap<NodeId, readonly string[]>> = new Map();
  readonly #observers: ((travelling: Travelling) => void)[] = [];
  #held: Travelling[] = [];
  framesSent = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.fork();
  }

  /** The transport of one node's life. */
  transport(node: NodeId, life: Life, afterInput: () => void = () => {}): Transport {
    return {
      send: (to, frame) => {
        if (life.isAlive) this.#send({ from: node, to, frame });
      },
      setPeers: (peers) => {
        if (life.isAlive) this.#peers.set(node, peers);
      },
      start: (handler) => {
        if (life.isAlive) this.#ports.set(node, { life, handler, afterInput });
      },
      stop: () => {
        if (this.#ports.get(node)?.life === life) this.#ports.delete(node);
        return Promise.resolve();
      },
    };
  }

  /** Shows every frame that is sent. */
  observe(observer: (travelling: Travelling) => void): void {
    this.#observers.push(observer);
  }

  /** The addresses that a node was told last. */
  peersOf(node: NodeId): ReadonlyMap<NodeId, readonly string[]> | undefined {
    return this.#peers.get(node);
  }

  // Cuts

  /** Frames from `from` to `to` are lost from now on. */
  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Nothing passes between the two sides, either way. */
  partition(one: readonly NodeId[], other: readonly NodeId[]): void {
    for (const a of one) {
      for (const b of other) {
        this.cut(a, b);
        this.cut(b, a);
      }
    }
  }

  heal(): void {
    this.#cuts.clear();
  }

  // Frames

  #send(travelling: Travelling): void {
    this.framesSent++;
    for (const observe of this.#observers) observe(travelling);
    const verdict = this.onFrame(travelling);
    if (verdict === "hold") this.#held.push(travelling);
    else if (verdict === "pass") this.#passOn(travelling);
    else if (verdict instanceof Uint8Array) this.#passOn({ ...travelling, frame: verdict });
    else if (verdict !== "drop") for (const delayMs of verdict) this.#deliverAfter(delayMs, travelling);
  }

  #passOn(travelling: Travelling): void {
    const { dropRate, duplicateRate, unreachableRate } = this.conditions;
    const { from, to } = travelling;
    const isCut = (this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`)) || !this.#ports.has(to);
    if (isCut || this.#random.chance(dropRate)) {
      if (this.#random.chance(unreachableRate)) this.#tellUnreachable(travelling);
      return;
    }
    this.#deliverAfter(this.#delay(), travelling);
    if (this.#random.chance(duplicateRate)) this.#deliverAfter(this.#delay() * 3, travelling);
  }

  #delay(): number {
    const { minDelayMs, maxDelayMs } = this.conditions;
    return minDelayMs + this.#random.int(maxDelayMs - minDelayMs + 1);
  }

  #deliverAfter(delayMs: number, { from, to, frame }: Travelling): void {
    this.#world.schedule(delayMs, null, () => {
      const port = this.#ports.get(to);
      if (port?.life.isAlive !== true) return this.onAbsent({ from, to, frame });
      port.life.run(() => {
        // It may have been shut down while it was paused.
        if (this.#ports.get(to) !== port) return;
        this.#world.note(frame);
        port.handler.receive(from, frame);
        port.afterInput();
      });
    });
  }

  #tellUnreachable({ from, to }: Travelling): void {
    this.#world.schedule(this.#delay(), null, () => {
      const port = this.#ports.get(from);
      port?.life.run(() => port.handler.unreachable(to));
    });
  }

  /** Delivers a frame that nobody sent. */
  forge(travelling: Travelling, delayMs: number = 1): void {
    this.#deliverAfter(delayMs, travelling);
  }

  /** Sends what was held on its way, to arrive in the order in which it was held. */
  releaseHeld(): number {
    const held = this.#held;
    this.#held = [];
    held.forEach((travelling, i) => this.#deliverAfter(i, travelling));
    return held.length;
  }
}
