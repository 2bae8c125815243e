import { call, type Endpoint, status } from "../support/api.ts";
import { leaderOf } from "../support/cluster.ts";
import type { Run } from "../support/program.ts";
import type { Server } from "../support/server.ts";
import { sleep, until } from "../support/waiting.ts";
import { type Deployment, harm } from "./deployment.ts";

/** What befalls a group of one object and some processes. */
export class MixedNemesis {
  readonly #run: Run;
  readonly #deployment: Deployment;
  readonly #object: Endpoint;
  readonly #members: readonly Endpoint[];
  readonly #servers: readonly Server[];

  /** @param members the object first, then the processes. */
  constructor(run: Run, deployment: Deployment, members: readonly Endpoint[], servers: readonly Server[]) {
    this.#run = run;
    this.#deployment = deployment;
    this.#object = members[0]!;
    this.#members = members;
    this.#servers = servers;
  }

  /** The object leads, and ends in its next write to the log. */
  async objectAborted(): Promise<void> {
    await this.objectLeads();
    const term = await this.#term();
    this.#run.observe(`${this.#object.name}, the object, leads and is aborted in mid-write`);
    await harm(this.#deployment, this.#object.name, "abort-when=written");
    await until(30, "an election", async () => (await this.#term()) > term);
  }

  /** The object leads, and the runtime with it ends. */
  async runtimeRestarted(): Promise<void> {
    await this.objectLeads();
    this.#run.observe(`${this.#object.name}, the object, leads, and its runtime ends and is started again`);
    await this.#deployment.restart();
  }

  /** A process leads, and is killed. */
  async processKilled(): Promise<void> {
    const leader = await this.#leader(this.#servers);
    const server = this.#servers.find(({ name }) => name === leader.name)!;
    this.#run.observe(`${leader.name}, a process, leads and is killed`);
    await server.signal("SIGKILL");
    const left = this.#members.filter(({ name }) => name !== leader.name);
    await leaderOf(left, 60);
    await sleep(1000);
    await server.start();
  }

  async objectLeads(): Promise<void> {
    await this.#leader([this.#object]);
  }

  /** Hands leadership over to one of these, unless one has it. */
  async #leader(candidates: readonly Endpoint[]): Promise<Endpoint> {
    return await until(60, "leadership to be handed over", async () => {
      const leader = await leaderOf(this.#members, 60);
      const candidate = candidates.find(({ name }) => name === leader.name);
      if (candidate !== undefined) return candidate;
      const target = await status(candidates[0]!);
      await call(leader, "maintenance/transfer-leadership", { targetID: target?.nodeId });
      return null;
    });
  }

  async #term(): Promise<number> {
    const seen = await Promise.all(this.#members.map((each) => status(each)));
    return Math.max(0, ...seen.map((each) => each?.term ?? 0));
  }
}
