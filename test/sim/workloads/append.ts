import type { ResponseOp } from "../../../src/core/kv/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { ListOperation, Transaction } from "../checkers/list-append.ts";
import { checkSerializability } from "../checkers/serializability.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { getOp, putOp, textOf, unchanged } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

const LISTS = 3;

interface ListState {
  readonly values: readonly string[];
  readonly modRevision: number;
}

/** Transactions that append to some lists and read others, several keys in one step. */
export class AppendWorkload implements Workload {
  readonly name = "append";
  readonly #clients: Clients;
  readonly #history: Transaction[] = [];
  readonly #lists: Set<string> = new Set();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const append = op["append"] as readonly string[];
    const read = op["read"] as readonly string[];
    const lists = [...append, ...read];
    if (lists.length === 0) return;
    for (const list of lists) this.#lists.add(list);
    const before = await this.#read(node, id, lists);
    if (append.length === 0 || before === null) return;
    await this.#append(node, id, append, read, before);
  }

  /** A transaction of its own, and what the next one rests on. */
  async #read(node: SimNode, id: number, lists: readonly string[]): Promise<Map<string, ListState> | null> {
    const ending = await this.#clients.request(node, "fresh", async (engine) => {
      const { revision, responses } = await engine.txn({
        compare: [],
        success: lists.map(getOp),
        failure: [],
      });
      return { revision, value: stateOf(lists, responses) };
    });
    if (ending.status !== "ok") return null;
    const { callAt, returnAt, value } = ending;
    const operations = lists.map((key): ListOperation => readOf(key, value));
    this.#history.push({ client: `${id} reads`, callAt, returnAt, status: "ok", operations });
    return value;
  }

  async #append(
    node: SimNode,
    id: number,
    append: readonly string[],
    read: readonly string[],
    before: ReadonlyMap<string, ListState>,
  ): Promise<void> {
    const lists = [...append, ...read];
    const value = String(id);
    const ending = await this.#clients.request(node, "write", async (engine) => {
      const { revision, succeeded, responses } = await engine.txn({
        compare: lists.map((key) => unchanged(key, before.get(key)!.modRevision)),
        success: [
          ...append.map((key) => putOp(key, [...before.get(key)!.values, value].join())),
          ...lists.map(getOp),
        ],
        failure: lists.map(getOp),
      });
      const reads = succeeded ? responses.slice(append.length) : responses;
      return { revision, value: { succeeded, after: stateOf(lists, reads) } };
    });
    const { callAt } = ending;
    const appends = append.map((key): ListOperation => ({ type: "append", key, value }));
    if (ending.status !== "ok") {
      this.#history.push({ client: id, callAt, status: ending.status, operations: appends });
      return;
    }
    const { returnAt } = ending;
    const { succeeded, after } = ending.value;
    const reads = (state: ReadonlyMap<string, ListState>): ListOperation[] =>
      lists.map((key) => readOf(key, state));
    const operations = succeeded ? [...reads(before), ...appends, ...reads(after)] : reads(after);
    this.#history.push({ client: id, callAt, returnAt, status: "ok", operations });
  }

  async finish(node: SimNode): Promise<void> {
    for (const list of this.#lists) await this.#read(node, -1, [list]);
  }

  check(): Problem[] {
    if (this.#history.length === 0) return [];
    const result = checkSerializability(this.#history);
    if (result.verdict === "ok") return [];
    const rule = result.verdict === "violation" ? "serializability" : "serializability undecided";
    return [{ kind: "checker", rule, detail: result.explanation }];
  }
}

function stateOf(lists: readonly string[], responses: readonly ResponseOp[]): Map<string, ListState> {
  return new Map(lists.map((list, i) => [list, listOf(responses[i]!)]));
}

function listOf(answer: ResponseOp): ListState {
  if (answer.type !== "range") throw new Error("a range is answered as one");
  const kv = answer.response.kvs[0];
  if (kv === undefined) return { values: [], modRevision: 0 };
  return { values: textOf(kv.value).split(","), modRevision: kv.modRevision };
}

function readOf(key: string, state: ReadonlyMap<string, ListState>): ListOperation {
  return { type: "read", key, values: state.get(key)!.values };
}

export function drawAppend(random: Prng, epoch: number): OpSpec {
  const all = Array.from({ length: LISTS }, (_, i) => `l${epoch}-${i}`);
  const append = all.filter(() => random.chance(0.5));
  const read = all.filter((list) => !append.includes(list) && random.chance(0.6));
  return { append, read };
}
