import type { KvCommand, KvResult } from "../../../src/core/kv/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

/**
 * How much earlier than its time a lease may end: clocks jump within a run, each time by less than the drift bound,
 * but any number of times.
 */
const JUMPS_MS = 150;

/** A lease with a key, as its client knows it. Times are the world's. */
interface Tenant {
  readonly lease: bigint;
  readonly ttlMs: number;
  /** When the newest renewal that was answered with success had been sent. */
  sentMs: number;
}

/** Lives on leases: grants, renews and revokes them. None may end before its time after an answered renewal (S17). */
export class LeaseWorkload implements Workload {
  readonly name = "lease";
  readonly #clients: Clients;
  readonly #checksTimes: boolean;
  /** Who lives in which place now. */
  readonly #places: Map<string, Tenant> = new Map();
  readonly #tenants: Map<bigint, Tenant> = new Map();
  /** When leases were ended for not being renewed. */
  readonly #ended: Map<bigint, number> = new Map();
  readonly #problems: Map<bigint, Problem> = new Map();

  /** @param checksTimes off when clocks leave the drift bound: then a lease may end early. */
  constructor(clients: Clients, checksTimes: boolean) {
    this.#clients = clients;
    this.#checksTimes = checksTimes;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const place = String(op["place"]);
    const tenant = this.#places.get(place);
    if (tenant === undefined) await this.#settle(node, id, place, Number(op["ttlMs"]));
    else if (op["type"] === "renew") await this.#renew(node, place, tenant);
    else await this.#leave(node, place, tenant);
  }

  async #settle(node: SimNode, id: number, place: string, ttlMs: number): Promise<void> {
    const sentMs = this.#clients.nowMs;
    const ending = await this.#clients.request(node, "write", async (engine) => {
      const { id: lease } = await engine.leaseGrant({ ttlMs });
      const { header } = await engine.put({ key: bytesOf(`${place}/${id}`), lease });
      return { revision: header.revision, value: lease };
    });
    if (ending.status !== "ok") return;
    const tenant = { lease: ending.value, ttlMs, sentMs };
    this.#places.set(place, tenant);
    this.#tenants.set(tenant.lease, tenant);
    this.#check(tenant);
  }

  async #renew(node: SimNode, place: string, tenant: Tenant): Promise<void> {
    const sentMs = this.#clients.nowMs;
    // A renewal says nothing about how fresh a state is.
    const ending = await this.#clients.request(node, "stale", async (engine) => {
      const { ttlMs, header } = await engine.leaseKeepAlive(tenant.lease);
      return { revision: header.revision, value: ttlMs };
    });
    if (ending.status !== "ok") return;
    if (ending.value === 0) {
      this.#moveOut(place, tenant);
      return;
    }
    tenant.sentMs = Math.max(tenant.sentMs, sentMs);
    this.#check(tenant);
  }

  async #leave(node: SimNode, place: string, tenant: Tenant): Promise<void> {
    this.#moveOut(place, tenant);
    await this.#clients.request(node, "write", async (engine) => {
      const { header } = await engine.leaseRevoke({ id: tenant.lease });
      return { revision: header.revision, value: null };
    });
  }

  #moveOut(place: string, tenant: Tenant): void {
    if (this.#places.get(place) === tenant) this.#places.delete(place);
  }

  applied(command: KvCommand, result: KvResult): void {
    if (command.type !== "leaseExpire" || result.type !== "leaseExpire") return;
    for (const lease of result.expired) {
      this.#ended.set(lease, this.#clients.nowMs);
      const tenant = this.#tenants.get(lease);
      if (tenant !== undefined) this.#check(tenant);
    }
  }

  /** Either may come first: that it ended, or the answer to what had been sent before. */
  #check({ lease, ttlMs, sentMs }: Tenant): void {
    const endedMs = this.#ended.get(lease);
    if (!this.#checksTimes || endedMs === undefined || endedMs >= sentMs + ttlMs - JUMPS_MS) return;
    const detail = `lease ${lease} of ${ttlMs} ms, granted or renewed at ${sentMs}, ended at ${endedMs}`;
    this.#problems.set(lease, { kind: "checker", rule: "S17 lease ended early", detail });
  }

  async finish(): Promise<void> {}

  check(): Problem[] {
    return [...this.#problems.values()];
  }
}

export function drawLease(random: Prng, epoch: number): OpSpec {
  return {
    type: random.chance(0.95) ? "renew" : "leave",
    place: `l${epoch}/${random.int(3)}`,
    ttlMs: random.pick([1000, 2000, 4000]),
  };
}
