import type { Compare, KvCommand, KvResult } from "../../../src/core/kv/index.ts";
import { type Engine, lock, type LockResponse, unlock } from "../../../src/core/node/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf, textOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

/** What the lock protects: a key that says which holder wrote last. Not among the lock's own, or it would hold it. */
const PROTECTED = "protected/";
/** Lives as long as its lease. */
const WITNESS = "witness/";

/**
 * Takes a lock, works for a while without looking after its lease, and writes its fencing token to what the lock
 * protects. With the token as a condition no holder may write after a later one; without it, some will. Who is quick
 * takes it again, when what gave it back the first time arrives once more, and must still have it.
 */
export class LockWorkload implements Workload {
  readonly name = "lock";
  readonly #clients: Clients;
  /** The largest token that was written to each protected key. */
  readonly #written: Map<string, number> = new Map();
  readonly #problems: Problem[] = [];

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, _id: number, op: OpSpec): Promise<void> {
    await this.#clients.request(node, "write", async (engine) => {
      const revision = await this.#hold(engine, String(op["name"]), op);
      return { revision, value: null };
    });
  }

  async #hold(engine: Engine, name: string, op: OpSpec): Promise<number> {
    const { id: lease } = await engine.leaseGrant({ ttlMs: Number(op["ttlMs"]) });
    const held = await lock(engine, { name: bytesOf(name), lease, tryLock: true });
    await this.#clients.sleep(Number(op["workMs"]));
    const token = held.fencingToken;
    await engine.txn({
      compare: op["fenced"] === "no" ? [] : [stillHas(held)],
      success: [{ type: "put", request: { key: bytesOf(PROTECTED + name), value: bytesOf(String(token)) } }],
      failure: [],
    });
    const { header } = await unlock(engine, held);
    if (op["workMs"] === 0) await this.#holdAgain(engine, name, held);
    return header.revision;
  }

  async #holdAgain(engine: Engine, name: string, before: LockResponse): Promise<void> {
    const { lease } = before;
    const witness = bytesOf(WITNESS + lease);
    await engine.put({ key: witness, value: bytesOf(name), lease });
    const held = await lock(engine, { name: bytesOf(name), lease, tryLock: true });
    await unlock(engine, before);
    const { succeeded, responses } = await engine.txn({
      compare: [stillHas(held)],
      success: [],
      failure: [{ type: "range", request: { key: witness } }],
    });
    const [seen] = responses;
    if (!succeeded && seen?.type === "range" && seen.response.kvs.length > 0) {
      const detail = `${name}: token ${held.fencingToken} was taken away by who gave back ${before.fencingToken}`;
      this.#problems.push({ kind: "checker", rule: "lock: taken away", detail });
    }
    await unlock(engine, held);
  }

  applied(command: KvCommand, result: KvResult): void {
    if (command.type !== "txn" || result.type !== "txn" || !result.response.succeeded) return;
    const [op] = command.request.success;
    if (op?.type !== "put" || op.request.value === undefined) return;
    const key = textOf(op.request.key);
    if (!key.startsWith(PROTECTED)) return;
    const token = Number(textOf(op.request.value));
    const newest = this.#written.get(key) ?? 0;
    if (token < newest) {
      const detail = `${key}: the holder with token ${token} wrote after the one with ${newest}`;
      this.#problems.push({ kind: "checker", rule: "lock: two holders", detail });
    }
    this.#written.set(key, Math.max(newest, token));
  }

  async finish(): Promise<void> {}

  check(): Problem[] {
    return this.#problems;
  }
}

function stillHas({ key, fencingToken }: LockResponse): Compare {
  return { key, target: "create", result: "equal", createRevision: fencingToken };
}

export function drawLock(random: Prng, epoch: number): OpSpec {
  return {
    name: `k${epoch}/${random.int(2)}`,
    ttlMs: random.pick([300, 1000]),
    workMs: random.pick([0, 50, 600, 1500]),
  };
}
