import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf, prefix, textOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

/** Names in use at a time: each is sent so often that repetitions meet all that can befall a group. */
const NAMES = 12;

/** One write under its idempotency key, sent by many, at many members. */
interface Named {
  /** What each of those who were told that it was done was told. */
  readonly revisions: Set<number>;
  /** Its key's version in the end: how often it was put. */
  version: number;
}

/** Sends the same writes again and again under their idempotency keys: each is done once, and answered alike. */
export class OnceWorkload implements Workload {
  readonly name = "once";
  readonly #clients: Clients;
  readonly #writes: Map<string, Named> = new Map();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, _id: number, op: OpSpec): Promise<void> {
    const name = String(op["name"]);
    const ending = await this.#clients.request(node, "stale", async (engine) => {
      // Half of them are sent as transactions: these are repeated by other ways than puts.
      const put = { key: bytesOf(name), value: bytesOf(name) };
      const { header } =
        op["type"] === "txn"
          ? await engine.txn(
              { compare: [], success: [{ type: "put", request: put }], failure: [] },
              { idempotencyKey: name },
            )
          : await engine.put(put, { idempotencyKey: name });
      return { revision: header.revision, value: header.revision };
    });
    if (ending.status === "ok") this.#named(name).revisions.add(ending.value);
  }

  #named(name: string): Named {
    const known = this.#writes.get(name) ?? { revisions: new Set<number>(), version: 0 };
    this.#writes.set(name, known);
    return known;
  }

  async finish(node: SimNode): Promise<void> {
    const ending = await this.#clients.request(node, "fresh", async (engine) => {
      const { kvs, header } = await engine.range(prefix("o/"));
      return { revision: header.revision, value: kvs };
    });
    if (ending.status !== "ok") return;
    for (const { key, version, modRevision } of ending.value) {
      const named = this.#named(textOf(key));
      named.version = version;
      named.revisions.add(modRevision);
    }
  }

  check(): Problem[] {
    return [...this.#writes]
      .filter(([, { revisions, version }]) => version > 1 || revisions.size > 1)
      .map(([name, { revisions, version }]) => ({
        kind: "checker",
        rule: "named write done twice",
        detail: `${name} was put ${version} times, and told to be of revisions ${[...revisions].join(", ")}`,
      }));
  }
}

export function drawOnce(random: Prng, epoch: number): OpSpec {
  const number = random.int(NAMES);
  return { type: number % 2 === 0 ? "put" : "txn", name: `o/${epoch}/${number}` };
}
