import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import { type BankRead, checkBank } from "../checkers/bank.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { getOp, putOp, textOf, unchanged } from "./kv-requests.ts";
import type { CheckOptions, Workload } from "./workload.ts";

const ACCOUNTS = ["a0", "a1", "a2", "a3", "a4"];
const INITIAL = 100;

/** Money moves between accounts, two keys in one transaction; there is never more or less of it. */
export class BankWorkload implements Workload {
  readonly name = "bank";
  readonly #clients: Clients;
  readonly #options: CheckOptions;
  readonly #reads: BankRead[] = [];
  #opened = false;

  constructor(clients: Clients, options: CheckOptions) {
    this.#clients = clients;
    this.#options = options;
  }

  async prelude(node: SimNode): Promise<void> {
    const success = ACCOUNTS.map((account) => putOp(account, String(INITIAL)));
    const ending = await this.#clients.request(node, "write", async (engine) => {
      const { revision } = await engine.txn({ compare: [unchanged(ACCOUNTS[0]!, 0)], success, failure: [] });
      return { revision, value: null };
    });
    this.#opened = ending.status === "ok";
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    if (!this.#opened) return;
    if (op["type"] === "read") return await this.#read(node, id, op["policy"] as "linearizable" | "lease");
    await this.#transfer(node, String(op["from"]), String(op["to"]), Number(op["amount"]));
  }

  async #read(node: SimNode, id: number, policy: "linearizable" | "lease"): Promise<void> {
    const isFresh = policy === "linearizable" || this.#options.leaseReads;
    const ending = await this.#clients.request(node, isFresh ? "fresh" : "stale", async (engine) => {
      const request = { compare: [], success: ACCOUNTS.map(getOp), failure: [] };
      const { revision, responses } = await engine.txn(request, { consistency: policy });
      const balances = new Map<string, number>();
      ACCOUNTS.forEach((account, i) => {
        const answer = responses[i]!;
        const kv = answer.type === "range" ? answer.response.kvs[0] : undefined;
        if (kv !== undefined) balances.set(account, Number(textOf(kv.value)));
      });
      return { revision, value: balances };
    });
    if (ending.status !== "ok") return;
    const { callAt, returnAt, value } = ending;
    // A stale replica may not have heard of the bank yet.
    if (!isFresh && value.size === 0) return;
    this.#reads.push({ client: id, callAt, returnAt, balances: value });
  }

  async #transfer(node: SimNode, from: string, to: string, amount: number): Promise<void> {
    const before = await this.#clients.request(node, "fresh", async (engine) => {
      const { revision, responses } = await engine.txn({
        compare: [],
        success: [getOp(from), getOp(to)],
        failure: [],
      });
      const kvs = responses.map((answer) => (answer.type === "range" ? answer.response.kvs[0] : undefined));
      return { revision, value: kvs };
    });
    if (before.status !== "ok") return;
    const [payer, payee] = before.value;
    if (payer === undefined || payee === undefined) return;
    const left = Number(textOf(payer.value)) - amount;
    if (left < 0) return;
    await this.#clients.request(node, "write", async (engine) => {
      const { revision } = await engine.txn({
        compare: [unchanged(from, payer.modRevision), unchanged(to, payee.modRevision)],
        success: [putOp(from, String(left)), putOp(to, String(Number(textOf(payee.value)) + amount))],
        failure: [],
      });
      return { revision, value: null };
    });
  }

  async finish(node: SimNode): Promise<void> {
    if (this.#opened) await this.#read(node, -1, "linearizable");
  }

  check(): Problem[] {
    if (!this.#opened) return [];
    const total = ACCOUNTS.length * INITIAL;
    const { verdict, problems } = checkBank(this.#reads, { accounts: ACCOUNTS, total });
    if (verdict === "ok") return [];
    const rule = verdict === "violation" ? "bank" : "bank undecided";
    return [{ kind: "checker", rule, detail: problems.slice(0, 3).join("\n") }];
  }
}

export function drawBank(random: Prng): OpSpec {
  if (random.chance(0.4)) return { type: "read", policy: random.pick(["linearizable", "lease"]) };
  const from = random.pick(ACCOUNTS);
  const to = random.pick(ACCOUNTS.filter((account) => account !== from));
  return { type: "transfer", from, to, amount: 1 + random.int(20) };
}
