import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import { checkSet, type SetAdd, type SetRead } from "../checkers/set.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf, prefix, textOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

/** Adds elements, each a key of its own, and reads the whole set: whatever was acknowledged stays. */
export class SetWorkload implements Workload {
  readonly name = "set";
  readonly #clients: Clients;
  readonly #sets: Map<string, { readonly adds: SetAdd[]; readonly reads: SetRead[] }> = new Map();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const set = String(op["set"]);
    if (op["type"] === "add") await this.#add(node, id, set);
    else await this.#read(node, id, set);
  }

  #of(set: string): { readonly adds: SetAdd[]; readonly reads: SetRead[] } {
    let found = this.#sets.get(set);
    if (found === undefined) {
      found = { adds: [], reads: [] };
      this.#sets.set(set, found);
    }
    return found;
  }

  async #add(node: SimNode, id: number, set: string): Promise<void> {
    const { adds } = this.#of(set);
    const ending = await this.#clients.request(node, "write", async (engine) => {
      const { header } = await engine.put({ key: bytesOf(`${set}${id}`) });
      return { revision: header.revision, value: null };
    });
    const { callAt } = ending;
    if (ending.status === "ok")
      adds.push({ client: id, callAt, returnAt: ending.returnAt, status: "ok", element: id });
    else adds.push({ client: id, callAt, status: ending.status, element: id });
  }

  async #read(node: SimNode, id: number, set: string): Promise<void> {
    const { reads } = this.#of(set);
    const ending = await this.#clients.request(node, "fresh", async (engine) => {
      const { kvs, header } = await engine.range(prefix(set));
      const elements = kvs.map(({ key }) => Number(textOf(key).slice(set.length)));
      return { revision: header.revision, value: elements };
    });
    if (ending.status !== "ok") return;
    const { callAt, returnAt, value } = ending;
    reads.push({ client: id, callAt, returnAt, elements: value });
  }

  async finish(node: SimNode): Promise<void> {
    for (const set of this.#sets.keys()) await this.#read(node, -1, set);
  }

  check(): Problem[] {
    const problems: Problem[] = [];
    for (const { adds, reads } of this.#sets.values()) {
      if (!adds.some(({ status }) => status === "ok")) continue;
      const { verdict, explanation } = checkSet(adds, reads);
      if (verdict === "ok") continue;
      const rule = verdict === "violation" ? "set" : "set undecided";
      problems.push({ kind: "checker", rule, detail: explanation });
    }
    return problems;
  }
}

export function drawSet(random: Prng, epoch: number): OpSpec {
  return { type: random.chance(0.75) ? "add" : "read", set: `s${epoch}/` };
}
