import { ANONYMOUS } from "../../src/core/kv/index.ts";
import { simpleConfig } from "../../src/core/raft/index.ts";
import { Cluster } from "../core/node/world/cluster.ts";
import type { SharedSnapshots } from "../core/node/world/shared-snapshots.ts";
import { Prng } from "../core/raft/harness/prng.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { Invariants } from "./invariants.ts";
import { checkLiveness, type LivenessReport } from "./liveness.ts";
import { Machines } from "./machines.ts";
import { watch } from "./probe.ts";
import type { Problem, ProblemKind } from "./problem.ts";
import type { Action, Scenario, ScenarioOptions, Side } from "./scenario.ts";
import { type CheckOptions, makeWorkloads, type Workload } from "./workloads/index.ts";

/** A run stops soon after its first problem; more than this are not kept. */
const MAX_PROBLEMS = 20;
/** Election timeouts that the first leader may take, all being well. */
const FIRST_LEADER_TIMEOUTS = 30;

export interface RunOptions {
  /** Hold clients to more, or less, than the scenario says. */
  readonly checks?: Partial<CheckOptions>;
  /** Whoever causes this effect, counted over all nodes from the start, goes down with it. */
  readonly crashPoint?: { readonly effect: number; readonly side: Side };
}

export interface RunResult {
  readonly seed: number;
  readonly problems: readonly Problem[];
  /** Of everything: frames, disks, log lines, answers. */
  readonly hash: string;
  /** Events of the world, steps of all cores, effects on the outside. */
  readonly events: number;
  readonly steps: number;
  readonly effects: number;
  readonly virtualMs: number;
  readonly crashes: number;
  readonly requests: { readonly ok: number; readonly failed: number; readonly unknown: number };
  readonly liveness: LivenessReport | null;
}

/** Runs a scenario from beginning to end: a prelude in peace, the faults, the recovery, and the reckoning. */
export async function runScenario(scenario: Scenario, options: RunOptions = {}): Promise<RunResult> {
  return await new Simulation(scenario, options).run();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #options: ScenarioOptions;
  readonly #cluster: Cluster;
  readonly #clients: Clients;
  readonly #machines: Machines;
  readonly #faults: Faults;
  readonly #invariants: Invariants;
  readonly #workloads: ReadonlyMap<string, Workload>;
  readonly #problems: Problem[] = [];
  #liveness: LivenessReport | null = null;
  #done = false;

  constructor(scenario: Scenario, run: RunOptions) {
    this.#scenario = scenario;
    const { options, seed } = scenario;
    this.#options = options;
    const random = new Prng(seed ^ 0x51a);
    this.#cluster = clusterOf(seed, options);
    this.#clients = new Clients(this.#cluster.world, options.users === true);
    const report = (rule: string, detail: string): void => this.#report("safety", rule, detail);
    const areObjects = options.objects === true;
    this.#machines = new Machines(this.#cluster, random.fork(), this.#clients, areObjects, { report });
    this.#machines.crashPoint = run.crashPoint ?? null;
    const cluster = this.#cluster;
    this.#invariants = new Invariants(
      {
        cluster,
        report,
        doom: (id) => this.#machines.doom(id),
        crash: (id) => this.#machines.crash(cluster.node(id)),
        clockMs: (id) => this.#machines.clock(cluster.node(id)).nowMs(),
        hasTameClocks: !options.wildClocks,
        applied: (command, result) => {
          const [asked, caller] =
            command.type === "as" ? [command.request.command, command.request.caller] : [command, ANONYMOUS];
          for (const workload of this.#workloads.values()) workload.applied?.(asked, result, caller);
        },
      },
      simpleConfig([...cluster.nodes.keys()]),
      options.maxUncommittedBytes,
      options.maxInflightMessages,
    );
    this.#faults = new Faults(cluster, this.#machines, this.#clients, random.fork(), {
      joined: (node) => this.#machines.adopt(node, this.#invariants),
      crashed: (error) => this.#report("crash", "an error of the wrong kind", textOf(error)),
    });
    for (const node of cluster.nodes.values()) this.#machines.adopt(node, this.#invariants);
    const checks: CheckOptions = {
      leaseReads: !options.wildClocks,
      eventualAsLinearizable: false,
      ...run.checks,
    };
    this.#workloads = makeWorkloads(this.#clients, checks, options.users === true);
  }

  #report(kind: ProblemKind, rule: string, detail: string): void {
    if (this.#problems.length >= MAX_PROBLEMS) return;
    this.#problems.push({ kind, rule, detail: `${Math.round(this.#cluster.world.nowMs)} ms: ${detail}` });
  }

  get #failed(): boolean {
    return this.#problems.length > 0 || this.#clients.problems.length > 0;
  }

  async run(): Promise<RunResult> {
    watch(this.#invariants);
    const onRejection = (error: unknown): void => this.#report("crash", "unhandled rejection", textOf(error));
    process.on("unhandledRejection", onRejection);
    try {
      await this.#runAll();
    } catch (error) {
      this.#report("crash", "the simulation threw", textOf(error));
    } finally {
      this.#done = true;
      watch(null);
      process.off("unhandledRejection", onRejection);
    }
    const { world } = this.#cluster;
    world.note(`${this.#invariants.steps} ${this.#problems.length}`);
    return {
      seed: this.#scenario.seed,
      problems: [...this.#problems, ...this.#clients.problems],
      hash: world.hash,
      events: world.executed,
      steps: this.#invariants.steps,
      effects: this.#machines.effects,
      virtualMs: world.nowMs,
      crashes: this.#machines.crashes,
      requests: { ...this.#clients.counts },
      liveness: this.#liveness,
    };
  }

  async #runAll(): Promise<void> {
    const { world } = this.#cluster;
    if (!(await this.#prelude())) return;
    this.#machines.isPeace = false;
    const begunMs = world.nowMs;
    for (const action of this.#scenario.actions) world.schedule(action.at, null, () => this.#act(action));
    const endMs = begunMs + this.#options.durationMs;
    while (world.nowMs < endMs && !this.#failed) await world.runFor(Math.min(500, endMs - world.nowMs));
    for (const node of this.#machines.all()) this.#machines.blame(node);
    if (this.#failed) return;
    await this.#recover();
    if (this.#failed) return;
    for (const workload of this.#workloads.values()) await this.#finish(workload);
    for (const node of this.#machines.all()) this.#machines.blame(node);
    if (this.#failed) return;
    for (const workload of this.#workloads.values()) this.#problems.push(...workload.check());
  }

  /** A first leader, and what the workloads need to be there. */
  async #prelude(): Promise<boolean> {
    let isBegun = false;
    const keepUp = (): void => {
      if (isBegun || this.#done) return;
      for (const node of this.#machines.all()) this.#machines.boot(node);
      this.#cluster.world.schedule(this.#options.electionTimeoutMs, null, keepUp);
    };
    keepUp();
    const isLed = (): boolean =>
      this.#machines.all().every(({ engine }) => (engine?.leaderId ?? null) !== null);
    const limitMs = FIRST_LEADER_TIMEOUTS * this.#options.electionTimeoutMs;
    if (!(await this.#until(limitMs, isLed))) {
      if (!this.#failed) this.#report("liveness", "L1 a first leader", `not within ${limitMs} ms`);
      return false;
    }
    for (const workload of this.#workloads.values()) {
      await this.#complete(
        workload.prelude?.(this.#machines.at("leader")),
        this.#options.requestTimeoutMs * 2,
      );
    }
    isBegun = true;
    return !this.#failed;
  }

  async #until(limitMs: number, condition: () => boolean): Promise<boolean> {
    const { world } = this.#cluster;
    const endMs = world.nowMs + limitMs;
    await world.runFor(0);
    while (!condition())
      if (this.#failed || world.nowMs >= endMs || !(await world.step())) return condition();
    return true;
  }

  #act(action: Action): void {
    if (this.#failed) return;
    if (action.do !== "op") return this.#faults.act(action);
    const { work, node, id, op } = action;
    const workload = this.#workloads.get(work);
    if (workload === undefined) throw new Error(`no such workload: ${work}`);
    const target = this.#machines.at(node);
    this.#machines.whenUp(target, () => {
      workload
        .run(target, id, op)
        .catch((error: unknown) => this.#report("crash", "an error of the wrong kind", textOf(error)));
    });
  }

  async #recover(): Promise<void> {
    const { electionTimeoutMs, requestTimeoutMs } = this.#options;
    this.#liveness = await checkLiveness({
      cluster: this.#cluster,
      machines: this.#machines,
      faults: this.#faults,
      clients: this.#clients,
      random: new Prng(this.#scenario.seed ^ 0x11fe),
      electionTimeoutMs,
      requestTimeoutMs,
      config: () => this.#invariants.config,
      isChanging: () => this.#faults.operating > 0 || this.#invariants.isChanging(),
      report: (rule, detail) => this.#report("liveness", rule, detail),
      isOver: () => this.#failed || this.#done,
    });
  }

  /** The last reads; in peace they succeed. */
  async #finish(workload: Workload): Promise<void> {
    const finishing = workload.finish(this.#machines.at("leader"));
    if (await this.#complete(finishing, 20 * this.#options.requestTimeoutMs)) return;
    if (!this.#failed) this.#report("liveness", "L3 every request ends", `${workload.name}: the last reads`);
  }

  /** Whether the work ended in time. */
  async #complete(work: Promise<void> | undefined, limitMs: number): Promise<boolean> {
    if (work === undefined) return true;
    let done = false;
    const ended = work.finally(() => {
      done = true;
    });
    if (!(await this.#until(limitMs, () => done))) return false;
    await ended;
    return true;
  }
}

function clusterOf(seed: number, options: ScenarioOptions): Cluster {
  const { electionTimeoutMs, heartbeatIntervalMs, clockDriftBoundMs, tailBytes, maxAppendBytes } = options;
  const { maxInflightMessages, maxUncommittedBytes, quiesceAfterMs } = options;
  const { requestTimeoutMs, snapshotEntries, trailingEntries, snapshotChunkBytes, maxInflightReadys } =
    options;
  const cluster = new Cluster({
    seed,
    founders: options.founders,
    hasCommit: options.hasCommit,
    sharedSnapshots: options.sharedSnapshots === true,
    raft: {
      electionTimeoutMs,
      heartbeatIntervalMs,
      clockDriftBoundMs,
      tailBytes,
      maxAppendBytes,
      maxInflightMessages,
      maxUncommittedBytes,
      quiesceAfterMs,
      commitNewsDelayMs: options.commitNewsDelayMs ?? 0,
    },
    tuning: {
      requestTimeoutMs,
      snapshotEntries,
      trailingEntries,
      snapshotChunkBytes,
      maxInflightReadys,
      ...(options.quotaBytes === undefined ? {} : { quotaBytes: options.quotaBytes }),
    },
  });
  if (cluster.shared !== null) trouble(cluster.shared, new Prng(seed ^ 0x5a4));
  return cluster;
}

/** Each run has its own share of reads of others' snapshots that go wrong. */
function trouble(shared: SharedSnapshots, random: Prng): void {
  const rate = random.pick([0, 0.05, 0.5]);
  shared.latencyMs = () => random.int(100);
  shared.decide = () => (random.chance(rate) ? random.pick(["fail", "hang", "changed"]) : "ok");
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
