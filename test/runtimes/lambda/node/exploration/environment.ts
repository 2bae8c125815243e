import { EngineError } from "../../../../../src/core/errors/index.ts";
import type { TxnResponse } from "../../../../../src/core/kv/index.ts";
import type { Consistency, Random } from "../../../../../src/core/node/index.ts";
import { LambdaEngine } from "../../../../../src/runtimes/lambda/node/lambda-engine.ts";
import { LambdaNode } from "../../../../../src/runtimes/lambda/node/lambda-node.ts";
import type { Process, World } from "../../../../adapters/object-store/exploration/world.ts";
import type { Prng } from "../../../../core/raft/harness/prng.ts";
import type { Operation } from "../../../../sim/checkers/history.ts";
import type { KvInput, KvOutput, SeenValue } from "../../../../sim/checkers/kv-model.ts";
import { bytesOf, putOp, textOf } from "../../../../sim/workloads/kv-requests.ts";
import { callLease, look } from "./lease-calls.ts";
import type { LeaseLedger } from "./lease-ledger.ts";

/** What clients saw, in the order of the calls. */
export type History = Operation<KvInput, KvOutput>[];

export interface EnvironmentOptions {
  readonly keys: number;
  readonly snapshotEntries: number;
  /** Invocations at the same time. */
  readonly concurrency: number;
  /** Of the platform, from the call on. */
  readonly timeoutMs: number;
  /** How likely it is frozen after an invocation, and for how many of the world's steps at most. */
  readonly freeze: number;
  readonly freezeSteps: number;
  /** Null: no client asks for leases. Reads then need no owner. */
  readonly leases: LeaseLedger | null;
}

/** How many of the requests are about leases, where there are any. */
const LEASE_SHARE = 0.5;

/**
 * One execution environment: a process with a LambdaNode in its memory, invoked again and again, which runs only while
 * an invocation does.
 */
export class Environment {
  readonly process: Process;
  readonly node: LambdaNode;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #random: Random;
  readonly #options: EnvironmentOptions;
  readonly #history: History;
  /** What the running invocations have been asked for, to be closed as unknown when the process dies. */
  readonly #open: Set<{
    readonly call: Pick<History[number], "client" | "callAt">;
    readonly input: KvInput;
  }> = new Set();
  /** Requests about leases. */
  #leaseCalls = 0;
  failure: Error | null = null;
  answered = 0;
  lastError: unknown = null;

  constructor(world: World, history: History, options: EnvironmentOptions, prng: Prng) {
    this.#world = world;
    this.#history = history;
    this.#options = options;
    this.#prng = prng;
    this.process = world.spawn();
    const { clock, random, store } = world.surroundings(this.process);
    this.#random = { next: () => prng.next(), id: () => random.id() };
    this.node = new LambdaNode({
      openStore: async () => store,
      groupId: "default",
      name: "n1",
      clock,
      random: this.#random,
      logger: world.logger((level, message, fields) =>
        world.tell(
          () => `${this.process.id}: ${level} ${message} ${JSON.stringify(fields?.["error"] ?? "")}`,
        ),
      ),
      snapshotEntries: options.snapshotEntries,
    });
  }

  get running(): number {
    return this.#open.size + this.#leaseCalls;
  }

  get isFree(): boolean {
    return (
      this.process.alive &&
      this.process.stalledUntil <= this.#world.step &&
      this.running < this.#options.concurrency
    );
  }

  /** An invocation with one request of a client. */
  invoke(client: number): void {
    const { leases } = this.#options;
    const invocation =
      leases !== null && this.#prng.chance(LEASE_SHARE)
        ? this.#invokeLease(leases, (engine) => callLease({ ...this.#leaseSite(leases), engine }, this.#prng))
        : this.#invoke(client, this.#draw(client));
    invocation.catch((error: Error) => (this.failure ??= error));
  }

  /** A look at a lease, for the end. */
  lookAtLease(leases: LeaseLedger, id: bigint): void {
    const act = (engine: LambdaEngine): Promise<void> => look({ ...this.#leaseSite(leases), engine }, id);
    this.#invokeLease(leases, act).catch((error: Error) => (this.failure ??= error));
  }

  /** A read of a key, for the end. */
  read(client: number, key: string): void {
    this.#invoke(client, { type: "get", key }).catch((error: Error) => (this.failure ??= error));
  }

  /** The process is gone: what it was doing may have been done. */
  died(): void {
    for (const { call, input } of this.#open) this.#history.push({ ...call, input, status: "unknown" });
    this.#open.clear();
    this.#leaseCalls = 0;
  }

  #draw(client: number): KvInput {
    const prng = this.#prng;
    const key = `k${prng.int(this.#options.keys)}`;
    const kind = prng.next();
    if (kind < 0.4) return { type: "get", key };
    if (kind < 0.7) return { type: "put", key, value: `v${client}` };
    const last = this.#lastSeen(key);
    return { type: "cas", key, expected: { modRevision: last }, value: `v${client}` };
  }

  /** What a client would expect to find: the newest revision that anybody was told of. */
  #lastSeen(key: string): number {
    let newest = 0;
    for (const operation of this.#history) {
      if (operation.input.key !== key || operation.status !== "ok") continue;
      newest = Math.max(newest, revisionOf(operation.output));
    }
    return newest;
  }

  async #invoke(client: number, input: KvInput): Promise<void> {
    const world = this.#world;
    const { clock } = this.node;
    const deadlineMs = clock.nowMs() + this.#options.timeoutMs;
    const call = { client, callAt: world.step };
    const open = { call, input };
    this.#open.add(open);
    world.tell(() => `${this.process.id}: ${client} begins ${JSON.stringify(input)}`);
    const engine = new LambdaEngine(this.node, this.#random, deadlineMs);
    const policy = this.#prng.chance(0.5) ? "linearizable" : "lease";
    const ending = await perform(engine, input, policy).then(
      (output) => ({ status: "ok", returnAt: world.step, output }) as const,
      (error: unknown) => {
        if (!(error instanceof EngineError)) throw error;
        this.lastError = error;
        return { status: error.maybeApplied ? "unknown" : "failed" } as const;
      },
    );
    world.tell(
      () => `${this.process.id}: ${client} ends ${JSON.stringify(ending)} ${String(this.lastError)}`,
    );
    this.#open.delete(open);
    if (ending.status === "ok") this.answered++;
    // A read that failed says nothing.
    if (ending.status !== "unknown" || input.type !== "get")
      this.#history.push({ ...call, input, ...ending });
    await this.#end(deadlineMs);
  }

  #leaseSite(ledger: LeaseLedger): { readonly ledger: LeaseLedger; readonly nowMs: () => number } {
    return { ledger, nowMs: () => this.#world.nowMs };
  }

  async #invokeLease(leases: LeaseLedger, act: (engine: LambdaEngine) => Promise<void>): Promise<void> {
    this.#leaseCalls++;
    const deadlineMs = this.node.clock.nowMs() + this.#options.timeoutMs;
    try {
      await act(new LambdaEngine(this.node, this.#random, deadlineMs));
      this.#world.tell(() => `${this.process.id}: a request about a lease is answered`);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      this.lastError = error;
      this.#world.tell(() => `${this.process.id}: a request about a lease ends: ${error.message}`);
    }
    if (leases.problem !== null) throw new Error(leases.problem);
    // Unless it died meanwhile, when nobody waits for it any more.
    this.#leaseCalls = Math.max(0, this.#leaseCalls - 1);
    await this.#end(deadlineMs);
  }

  async #end(deadlineMs: number): Promise<void> {
    await this.node.rest(deadlineMs);
    if (this.running === 0 && this.#prng.chance(this.#options.freeze)) this.#freeze();
  }

  #freeze(): void {
    const steps = 1 + this.#prng.int(this.#options.freezeSteps);
    this.process.stalledUntil = this.#world.step + steps;
    this.#world.tell(() => `${this.process.id} is frozen for ${steps} steps`);
  }
}

function revisionOf(output: KvOutput): number {
  if (output.type === "get") return output.kv?.modRevision ?? 0;
  return "revision" in output ? output.revision : 0;
}

async function perform(engine: LambdaEngine, input: KvInput, consistency: Consistency): Promise<KvOutput> {
  const key = bytesOf(input.key);
  switch (input.type) {
    case "get": {
      const { kvs } = await engine.range({ key }, { consistency });
      const kv = kvs[0];
      const seen: SeenValue | null =
        kv === undefined
          ? null
          : { value: textOf(kv.value), modRevision: kv.modRevision, version: kv.version };
      return { type: "get", kv: seen };
    }
    case "put": {
      const { header } = await engine.put({ key, value: bytesOf(input.value) });
      return { type: "put", revision: header.revision };
    }
    case "cas": {
      if (!("modRevision" in input.expected)) throw new Error("by revision");
      const { modRevision } = input.expected;
      const found: TxnResponse = await engine.txn({
        compare: [{ key, result: "equal", target: "mod", modRevision }],
        success: [putOp(input.key, input.value)],
        failure: [],
      });
      return found.succeeded
        ? { type: "cas", swapped: true, revision: found.revision }
        : { type: "cas", swapped: false };
    }
    case "delete":
      throw new Error("not drawn");
  }
}
