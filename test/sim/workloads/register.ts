import type { KvCommand, KvResult, PutRequest, RequestOp, ResponseOp } from "../../../src/core/kv/index.ts";
import type { Consistency, Engine } from "../../../src/core/node/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import { type KvExpectation, type KvInput, kvModel, type KvOutput } from "../checkers/kv-model.ts";
import { checkLinearizability } from "../checkers/linearizability.ts";
import type { Clients, Ending } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { type EventualRead, checkEventualReads } from "./eventual.ts";
import { bytesOf, putOp, seen, textOf } from "./kv-requests.ts";
import { findMisplaced, type PlacedByRevision } from "./witness.ts";
import type { CheckOptions, Workload } from "./workload.ts";

const KEYS = 3;
/** How far behind the newest revision history is compacted. */
const KEPT_REVISIONS = 40;

/** Beyond it the checker gives up, which is not a pass. */
const MAX_STEPS = 2_000_000;

/** What a change did, and by when. */
interface Effect {
  readonly output: KvOutput;
  readonly revision: number;
  readonly by: number;
}

/** Single keys: put, get under every policy, delete, compare-and-swap by value and by revision; and compaction. */
export class RegisterWorkload implements Workload {
  readonly name = "register";
  readonly #clients: Clients;
  readonly #options: CheckOptions;
  readonly #history: PlacedByRevision[] = [];
  readonly #eventual: EventualRead[] = [];
  readonly #keys: Set<string> = new Set();
  /** What each change did and by when, by the value it wrote, whatever its client was told. */
  readonly #effects: Map<string, Effect> = new Map();

  constructor(clients: Clients, options: CheckOptions) {
    this.#clients = clients;
    this.#options = options;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const key = String(op["key"]);
    this.#keys.add(key);
    switch (op["type"]) {
      case "get":
        return await this.#get(node, id, key, op["policy"] as Consistency);
      case "put":
        return await this.#change(node, id, { type: "put", key, value: `v${id}` });
      case "delete":
        return await this.#change(node, id, { type: "delete", key });
      case "cas":
        return await this.#cas(node, id, key, op["by"] === "value");
      case "compact":
        await this.#clients.request(node, "write", async (engine) => {
          const revision = this.#clients.floor - KEPT_REVISIONS;
          const { header } = await engine.compact({ revision: Math.max(1, revision) });
          return { revision: header.revision, value: null };
        });
        return;
      default:
        throw new Error(`no such request: ${String(op["type"])}`);
    }
  }

  async #get(node: SimNode, id: number, key: string, policy: Consistency): Promise<void> {
    const isFresh = policy === "linearizable" || (policy === "lease" && this.#options.leaseReads);
    const isHeldTo = isFresh || (policy === "eventual" && this.#options.eventualAsLinearizable);
    const { life } = node;
    const ending = await this.#clients.request(node, isHeldTo ? "fresh" : "stale", async (engine) => {
      const { kvs, header } = await engine.range({ key: bytesOf(key) }, { consistency: policy });
      return { revision: header.revision, value: { kv: seen(kvs[0]), revision: header.revision } };
    });
    if (ending.status !== "ok") return;
    const { callAt, returnAt, value } = ending;
    this.#eventual.push({ node: node.id, life, key, ...value, callAt, returnAt, isFresh });
    if (!isHeldTo) return;
    const output: KvOutput = { type: "get", kv: value.kv };
    const input: KvInput = { type: "get", key };
    const operation = { client: id, callAt, returnAt, status: "ok", input, output } as const;
    this.#history.push({ operation, revision: value.revision });
  }

  async #cas(node: SimNode, id: number, key: string, byValue: boolean): Promise<void> {
    const before = await this.#clients.request(node, "stale", async (engine) => {
      const { kvs, header } = await engine.range({ key: bytesOf(key) }, { consistency: "eventual" });
      return { revision: header.revision, value: seen(kvs[0]) };
    });
    if (before.status !== "ok") return;
    const expected: KvExpectation = byValue
      ? { value: before.value?.value ?? null }
      : { modRevision: before.value?.modRevision ?? 0 };
    await this.#change(node, id, { type: "cas", key, expected, value: `v${id}` });
  }

  async #change(node: SimNode, id: number, input: KvInput): Promise<void> {
    const ending = await this.#clients.request<Changed>(node, "write", async (engine) => {
      const changed = await change(engine, input, `d${id}`);
      return { revision: changed.revision, value: changed };
    });
    this.#record(id, input, ending);
  }

  #record(client: number, input: KvInput, ending: Ending<Changed>): void {
    const { callAt } = ending;
    if (ending.status === "ok") {
      const { returnAt, value } = ending;
      const operation = { client, callAt, returnAt, status: "ok", input, output: value.output } as const;
      this.#history.push({ operation, revision: value.revision });
    } else
      this.#history.push({ operation: { client, callAt, status: ending.status, input }, revision: null });
  }

  applied(command: KvCommand, result: KvResult): void {
    if (command.type === "put" && result.type === "put") {
      const { revision } = result;
      this.#tookEffect(command.request, { type: "put", revision }, revision);
    }
    if (command.type !== "txn" || result.type !== "txn" || !result.response.succeeded) return;
    const { success } = command.request;
    const { responses, revision } = result.response;
    const isDeletion = success.some(({ type }) => type === "deleteRange");
    const output: KvOutput = isDeletion
      ? deletionOutput(responses, revision)
      : { type: "cas", swapped: true, revision };
    for (const op of success) if (op.type === "put") this.#tookEffect(op.request, output, revision);
  }

  #tookEffect({ value }: PutRequest, output: KvOutput, revision: number): void {
    if (value !== undefined) this.#effects.set(textOf(value), { output, revision, by: this.#clients.now });
  }

  /**
   * The history with less left open, so that a verdict is cheap: a change took effect before any replica had applied
   * it, and of one that nobody answered the log tells whether it did. A swap that found something else counts as
   * failed.
   */
  #resolved(): PlacedByRevision[] {
    return this.#history.map((placed): PlacedByRevision => {
      const { operation } = placed;
      const { input, status, client, callAt } = operation;
      if (status === "failed" || input.type === "get") return placed;
      const effect = this.#effects.get(input.type === "delete" ? `d${client}` : input.value);
      if (effect === undefined) {
        if (status === "ok") return placed;
        return { operation: { client, callAt, status: "failed", input }, revision: null };
      }
      const { output, revision, by } = effect;
      if (status === "ok") {
        const returnAt = Math.min(operation.returnAt, by);
        return { operation: { ...operation, returnAt }, revision: placed.revision };
      }
      return { operation: { client, callAt, status: "ok", returnAt: by, input, output }, revision };
    });
  }

  async finish(node: SimNode): Promise<void> {
    for (const key of this.#keys) if (key !== "undefined") await this.#get(node, -1, key, "linearizable");
  }

  check(): Problem[] {
    const history = this.#resolved();
    const problems = checkEventualReads(
      this.#eventual,
      this.#history.map(({ operation }) => operation),
    );
    const misplaced = findMisplaced(history);
    if (misplaced === null) return problems;
    // Something is wrong; the search, which knows nothing of the log, may tell it better.
    const operations = history.map(({ operation }) => operation);
    const result = checkLinearizability(kvModel(), operations, { maxSteps: MAX_STEPS });
    const detail = result.verdict === "violation" ? result.explanation : misplaced;
    const rule = result.verdict === "violation" ? "linearizability" : "revisions follow time";
    problems.push({ kind: "checker", rule, detail });
    return problems;
  }
}

interface Changed {
  /** Of the store, just after. */
  readonly revision: number;
  readonly output: KvOutput;
}

/** @param mark written beside a deletion, so that the log tells whose it was. */
async function change(engine: Engine, input: KvInput, mark: string): Promise<Changed> {
  switch (input.type) {
    case "put": {
      const { header } = await engine.put({ key: bytesOf(input.key), value: bytesOf(input.value) });
      return { revision: header.revision, output: { type: "put", revision: header.revision } };
    }
    case "delete": {
      const deletion: RequestOp = { type: "deleteRange", request: { key: bytesOf(input.key) } };
      const success = [deletion, putOp(`${input.key}/deleter`, mark)];
      const { revision, responses } = await engine.txn({ compare: [], success, failure: [] });
      const output = deletionOutput(responses, revision);
      return { revision, output };
    }
    case "cas": {
      const key = bytesOf(input.key);
      const { expected } = input;
      const { succeeded, revision } = await engine.txn({
        compare: [
          "modRevision" in expected
            ? { key, result: "equal", target: "mod", modRevision: expected.modRevision }
            : expected.value === null
              ? { key, result: "equal", target: "version", version: 0 }
              : { key, result: "equal", target: "value", value: bytesOf(expected.value) },
        ],
        success: [putOp(input.key, input.value)],
        failure: [],
      });
      const output: KvOutput = succeeded
        ? { type: "cas", swapped: true, revision }
        : { type: "cas", swapped: false };
      return { revision, output };
    }
    case "get":
      throw new Error("a get changes nothing");
  }
}

function deletionOutput(responses: readonly ResponseOp[], revision: number): KvOutput {
  const deleted = responses.some(({ type, response }) => type === "deleteRange" && response.deleted > 0);
  return deleted ? { type: "delete", deleted: true, revision } : { type: "delete", deleted: false };
}

export function drawRegister(random: Prng, epoch: number): OpSpec {
  const key = `r${epoch}-${random.int(KEYS)}`;
  const kind = random.next();
  if (kind < 0.4) {
    const policy = random.pick(["linearizable", "linearizable", "lease", "lease", "eventual"]);
    return { type: "get", key, policy };
  }
  if (kind < 0.8) return { type: "put", key };
  if (kind < 0.86) return { type: "delete", key };
  if (kind < 0.99) return { type: "cas", key, by: random.pick(["value", "revision"]) };
  return { type: "compact" };
}
