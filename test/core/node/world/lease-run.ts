import { EngineError } from "../../../../src/core/errors/index.ts";
import type { NodeId } from "../../../../src/core/raft/index.ts";
import { Prng } from "../../raft/harness/prng.ts";
import { bytes } from "../support.ts";
import { Cluster } from "./cluster.ts";
import { CALM } from "./network.ts";
import type { SimNode } from "./sim-node.ts";

const ELECTION_MS = 150;
/** The most by which one clock runs faster than another here, and what the nodes are told of it. */
const DRIFT_RATIO = 0.2;
const RAFT = {
  electionTimeoutMs: ELECTION_MS,
  heartbeatIntervalMs: 30,
  clockDriftBoundMs: ELECTION_MS * DRIFT_RATIO,
} as const;

/** One key on a lease of its own, as its client knows it. Times are the world's. */
interface Tenant {
  readonly key: Uint8Array;
  readonly lease: bigint;
  readonly ttlMs: number;
  readonly revision: number;
  /** When the newest renewal that succeeded was sent: until that and the TTL the key may not go. */
  sentMs: number;
  /** Sent, answered or not: the key may live on for so long after it. */
  lastTriedMs: number;
  goneMs: number | null;
  /** Was told that the lease is gone. */
  isTold: boolean;
  revoked: boolean;
}

export interface LeaseRunResult {
  readonly wrong: readonly string[];
  /** How many went by themselves, and how many renewals succeeded. */
  readonly expired: number;
  readonly renewals: number;
  /** The longest that a key stayed after its time, in the peace at the end. */
  readonly latestMs: number;
}

/**
 * Leases under faults: crashes, cuts, pauses, disks that are slow, clocks that drift. No key may go before its
 * client's last renewal and the TTL; and all go in the end.
 */
export class LeaseRun {
  readonly #cluster: Cluster;
  readonly #random: Prng;
  readonly #tenants: Tenant[] = [];
  readonly #wrong: string[] = [];
  #renewals = 0;
  #keys = 0;

  constructor(seed: number) {
    this.#random = new Prng(seed);
    this.#cluster = new Cluster({
      seed,
      raft: RAFT,
      tuning: { requestTimeoutMs: 1000, snapshotEntries: 40 },
    });
  }

  async run(virtualMs: number): Promise<LeaseRunResult> {
    const { world, nodes } = this.#cluster;
    for (const node of nodes.values()) this.#boot(node);
    while (world.nowMs < virtualMs) {
      await world.runFor(1 + this.#random.int(10));
      await this.#look();
      if (this.#random.chance(0.05)) this.#settleDown();
      if (this.#random.chance(0.3)) this.#renewOne();
      if (this.#random.chance(0.04)) this.#mischief();
    }
    const latestMs = await this.#peace();
    const expired = this.#tenants.filter(({ goneMs, revoked }) => goneMs !== null && !revoked).length;
    return { wrong: this.#wrong, expired, renewals: this.#renewals, latestMs };
  }

  get #now(): number {
    return this.#cluster.world.nowMs;
  }

  #anyUp(): SimNode | null {
    const up = [...this.#cluster.nodes.values()].filter((node) => node.isUp);
    return up.length === 0 ? null : this.#random.pick(up);
  }

  /** What may fail here does not matter: it only must end as an error of the engine. */
  #fork(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof EngineError)) this.#wrong.push(`an error of the wrong kind: ${String(error)}`);
    });
  }

  #settleDown(): void {
    const engine = this.#anyUp()?.engine;
    if (engine === undefined || engine === null) return;
    const ttlMs = this.#random.pick([100, 400, 1500]);
    const key = bytes(`t${++this.#keys}`);
    const sentMs = this.#now;
    const begin = async (): Promise<void> => {
      const { id: lease } = await engine.leaseGrant({ ttlMs });
      const { header } = await engine.put({ key, lease });
      const tenant = { key, lease, ttlMs, revision: header.revision, sentMs, lastTriedMs: this.#now };
      this.#tenants.push({ ...tenant, goneMs: null, isTold: false, revoked: false });
    };
    this.#fork(begin());
  }

  #renewOne(): void {
    const engine = this.#anyUp()?.engine;
    const live = this.#tenants.filter(({ isTold }) => !isTold);
    if (engine === undefined || engine === null || live.length === 0) return;
    const tenant = this.#random.pick(live);
    if (this.#random.chance(0.03)) {
      tenant.revoked = true;
      return this.#fork(engine.leaseRevoke({ id: tenant.lease }));
    }
    const sentMs = this.#now;
    tenant.lastTriedMs = sentMs;
    this.#fork(
      engine.leaseKeepAlive(tenant.lease).then(({ ttlMs }) => {
        if (ttlMs > 0) {
          this.#renewals++;
          tenant.sentMs = Math.max(tenant.sentMs, sentMs);
          // It may have gone after it was renewed, and before the answer came: but then not early.
          if (tenant.goneMs !== null) this.#check(tenant);
        } else {
          tenant.isTold = true;
        }
      }),
    );
  }

  /** Notes which keys have gone from some replica that once had them. */
  async #look(): Promise<void> {
    for (const engine of this.#cluster.up()) {
      const all = { key: bytes("t"), rangeEnd: bytes("u"), keysOnly: true };
      const { kvs, header } = await engine.range(all, { consistency: "eventual" });
      const present = new Set(kvs.map(({ lease }) => lease));
      for (const tenant of this.#tenants) {
        const { goneMs, revision, lease } = tenant;
        if (goneMs !== null || header.revision < revision || present.has(lease)) continue;
        tenant.goneMs = this.#now;
        this.#check(tenant);
      }
    }
  }

  #check({ lease, ttlMs, sentMs, goneMs, revoked }: Tenant): void {
    if (revoked || goneMs! >= sentMs + ttlMs) return;
    this.#wrong.push(`lease ${lease} of ${ttlMs} ms, renewed at ${sentMs}, was gone at ${goneMs}`);
  }

  #boot(node: SimNode): void {
    if (node.life?.isAlive === true) return;
    // Between any two clocks no more than the bound.
    node.clockRate = 0.91 + this.#random.next() * 0.18;
    this.#fork(node.start());
  }

  #mischief(): void {
    const { network, nodes, world } = this.#cluster;
    const node = this.#random.pick([...nodes.values()]);
    switch (this.#random.int(7)) {
      case 0:
        return node.crash();
      case 1:
      case 2:
        for (const each of nodes.values()) this.#boot(each);
        return;
      case 3: {
        const leader = this.#cluster.leader()?.nodeId ?? node.id;
        const others = this.#cluster.others(leader);
        if (this.#random.chance(0.5)) return network.partition([leader], others);
        return network.cut(leader, this.#random.pick<NodeId>(others));
      }
      case 4:
        return network.heal();
      case 5:
        node.pause();
        world.schedule(this.#random.int(6 * ELECTION_MS), null, () => node.resume());
        return;
      default:
        if (node.isUp) this.#fork(node.engine!.transferLeadership(this.#random.pick([...nodes.values()]).id));
    }
  }

  /** Everybody is well again: everything goes, though not before its time. Returns how late the last was. */
  async #peace(): Promise<number> {
    const { network, nodes, world } = this.#cluster;
    network.heal();
    network.conditions = CALM;
    for (const node of nodes.values()) {
      node.resume();
      this.#boot(node);
    }
    await world.runFor(1500);
    await this.#cluster.elected(undefined, 40 * ELECTION_MS);
    const calmMs = this.#now;
    let latestMs = 0;
    while (this.#tenants.some(({ goneMs }) => goneMs === null)) {
      await world.runFor(5);
      await this.#look();
      if (this.#now - calmMs > 10_000) {
        this.#wrong.push("leases that nobody renews do not end");
        break;
      }
    }
    for (const { goneMs, lastTriedMs, ttlMs } of this.#tenants) {
      // From the last that could have prolonged it: a renewal, or the new leader of the peace.
      if (goneMs !== null && goneMs > calmMs)
        latestMs = Math.max(latestMs, goneMs - Math.max(lastTriedMs, calmMs) - ttlMs);
    }
    return latestMs;
  }
}
