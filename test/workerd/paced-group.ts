import { MemoryStorage } from "../../src/adapters/memory/index.ts";
import {
  type Clock,
  KvEngine,
  type Member,
  type NodeTuning,
  type StorageEngine,
  type TransportHandler,
} from "../../src/core/node/index.ts";

/** Time that passes when it is told to, and lets whatever follows from each moment come to its end. */
class SteppedClock {
  readonly #settle: () => Promise<void>;
  nowMs = 0;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  /** As one node sees it. */
  readonly clock: Clock = {
    nowMs: () => this.nowMs,
    wallMs: () => 1_700_000_000_000 + this.nowMs,
    setTimer: (delayMs, callback) => {
      const timer = { atMs: this.nowMs + delayMs, callback };
      this.#timers.push(timer);
      return () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      };
    },
  };

  /** @param settle resolves when what is under way has come to its end, writes included, which take real time. */
  constructor(settle: () => Promise<void>) {
    this.#settle = settle;
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await this.#settle();
      const nextMs = Math.min(...this.#timers.map(({ atMs }) => atMs));
      if (nextMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
      this.#timers = this.#timers.filter((timer) => !due.includes(timer));
      for (const { callback } of due) callback();
    }
    this.nowMs = endMs;
  }
}

/** Each heartbeat that a follower answers costs it a row: more of them than the distances ask for cost for nothing. */
const BETWEEN_REGIONS = {
  electionTimeoutMs: 3000,
  heartbeatIntervalMs: 500,
  clockDriftBoundMs: 500,
} as const;

/** A real group of nodes in one place, without a network, in stepped time. */
export class PacedGroup {
  readonly #time: SteppedClock;
  readonly #handlers = new Map<bigint, TransportHandler>();
  #engines: KvEngine[] = [];

  /** @param sync resolves when what was written to storage before is durable. */
  private constructor(sync: () => Promise<void>) {
    this.#time = new SteppedClock(async () => {
      for (let round = 0; round < 2; round++) {
        await sync();
        // What followed from that, in promises.
        for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      }
    });
  }

  static async start(
    storages: readonly StorageEngine[],
    sync: () => Promise<void>,
    tuning: Partial<NodeTuning>,
  ): Promise<PacedGroup> {
    const group = new PacedGroup(sync);
    const founders = storages.map((_, i): Member => {
      const id = BigInt(i + 1);
      return { id, name: `n${id}`, peerUrls: [`http://n${id}`], clientUrls: [], isLearner: false };
    });
    group.#engines = await Promise.all(
      storages.map((storage, i) => group.#startNode(BigInt(i + 1), founders, storage, tuning)),
    );
    return group;
  }

  #startNode(
    nodeId: bigint,
    founders: readonly Member[],
    storage: StorageEngine,
    tuning: Partial<NodeTuning>,
  ): Promise<KvEngine> {
    const { clock } = this.#time;
    let ids = nodeId << 32n;
    return KvEngine.start({
      identity: { clusterId: 1n, groupId: "g", nodeId },
      founders,
      self: { name: `n${nodeId}`, clientUrls: [] },
      storage,
      clock,
      // Node 1 is the first to want an election.
      random: { next: () => Number(nodeId - 1n) / founders.length, id: () => ++ids },
      logger: {
        log: (level, message, fields) => {
          if (level === "warn" || level === "error") console.error(`n${nodeId} ${message}`, fields);
        },
      },
      transport: {
        send: (to, frame) => {
          const copy = frame.slice();
          clock.setTimer(1, () => this.#handlers.get(to)?.receive(nodeId, copy));
        },
        setPeers: () => {},
        start: (handler) => void this.#handlers.set(nodeId, handler),
        stop: async () => void this.#handlers.delete(nodeId),
      },
      raft: BETWEEN_REGIONS,
      tuning,
    });
  }

  /** Brings leadership to a node. */
  async lead(node: number): Promise<void> {
    const wanted = this.#engines[node - 1]!;
    for (let waitedMs = 0; wanted.leaderId === null; waitedMs += 100) {
      if (waitedMs > 20_000) throw new Error("nobody is elected");
      await this.#time.advance(100);
    }
    const leader = this.#engines.find(({ nodeId }) => nodeId === wanted.leaderId)!;
    if (leader !== wanted) {
      const handedOver = leader.transferLeadership(wanted.nodeId);
      await this.#time.advance(1000);
      await handedOver;
    }
    // Whatever the new leader has to tell has been told.
    await this.#time.advance(2000);
  }

  /** One put after another, `everyMs`, at each of the nodes in turn. */
  async puts(count: number, everyMs: number): Promise<void> {
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < count; i++) {
      const key = new TextEncoder().encode(`key ${i % 100}`);
      all.push(this.#engines[i % this.#engines.length]!.put({ key, value: new Uint8Array(1000) }));
      await this.#time.advance(everyMs);
    }
    await this.#time.advance(200);
    await Promise.all(all);
  }

  idle(ms: number): Promise<void> {
    return this.#time.advance(ms);
  }

  async stop(): Promise<void> {
    const stopped = Promise.all(this.#engines.map((engine) => engine.stop({ transferLeadership: false })));
    await this.#time.advance(100);
    await stopped;
  }
}

/** Nodes beside the one that is looked at. */
export function memories(count: number): StorageEngine[] {
  return Array.from({ length: count }, () => new MemoryStorage());
}
