import type { Vars } from "../../runtimes/workers/local-cluster.ts";
import { call, type Endpoint, status } from "../support/api.ts";
import { leaderOf } from "../support/cluster.ts";
import type { Run } from "../support/program.ts";
import { sleep, until } from "../support/waiting.ts";
import { deployed, type Deployment, front, harm, object } from "./deployment.ts";

/** What befalls the objects of one group, one thing after another. */
export class ObjectNemesis {
  readonly #run: Run;
  readonly #deployment: Deployment;
  #nodes: readonly string[] = ["n1", "n2", "n3"];
  #deployments = 0;

  constructor(run: Run, deployment: Deployment) {
    this.#run = run;
    this.#deployment = deployment;
  }

  /** Those that are voters now. */
  get objects(): readonly Endpoint[] {
    return this.#nodes.map((node) => object(this.#deployment, node));
  }

  async leaderAborted(moment: "written" | "durable"): Promise<void> {
    const leader = await this.#leader();
    this.#run.observe(`${leader} leads, and is aborted in its next write, when that is ${moment}`);
    const term = await this.#term();
    await harm(this.#deployment, leader, `abort-when=${moment}`);
    // Only a leader that was really lost makes a new term.
    await until(30, "an election", async () => (await this.#term()) > term);
  }

  async allAborted(): Promise<void> {
    await this.#calm();
    this.#run.observe("all three are aborted at once");
    await Promise.all(this.#nodes.map((node) => harm(this.#deployment, node, "abort")));
  }

  async slowed(ms: number): Promise<void> {
    const leader = await this.#leader();
    const follower = this.#nodes.find((node) => node !== leader)!;
    for (const node of [follower, leader]) {
      this.#run.observe(
        `${node}, ${node === leader ? "the leader" : "a follower"}, takes ${ms} ms longer for each request`,
      );
      await harm(this.#deployment, node, `delay=${ms}`);
      await sleep(3000);
      await harm(this.#deployment, node, "delay=0");
    }
  }

  /** As while a deployment changes what is said between members: one of them and the others do not understand. */
  async estranged(): Promise<void> {
    const leader = await this.#leader();
    this.#run.observe(`${leader} leads, and is of another version than the others`);
    const term = await this.#term();
    await harm(this.#deployment, leader, "estranged=yes");
    await until(30, "an election", async () => (await this.#term()) > term);
    const outcome = await call(object(this.#deployment, leader), "kv/range", { key: "YQ==" });
    this.#run.require(outcome.status !== "ok", `${leader} alone answers no linearizable read`);
    await harm(this.#deployment, leader, "estranged=no");
  }

  async restarted(): Promise<void> {
    await this.#calm();
    this.#run.observe("the runtime ends and is started again");
    await this.#deployment.restart();
  }

  async deployed(vars: Vars): Promise<void> {
    await this.#calm();
    await this.#deploy(vars);
  }

  async #deploy(vars: Vars): Promise<void> {
    const name = `number ${++this.#deployments}`;
    this.#run.observe(`deployment ${name} restarts all objects: ${JSON.stringify(vars)}`);
    await this.#deployment.deploy({ ...vars, DEPLOYMENT: name });
    const answers = async (): Promise<boolean> => (await deployed(this.#deployment)) === name;
    try {
      await until(20, "the deployment to answer", answers);
    } catch {
      // `wrangler dev` overlooks now and then that its configuration has changed.
      this.#run.observe("the runtime overlooks it, and is started again");
      await this.#deployment.restart();
      await until(20, "the deployment to answer", answers);
    }
  }

  /** A node whose storage is gone is refused as the one it was, and another takes its place. */
  async replaced(lost: string, next: string): Promise<void> {
    await this.#calm();
    this.#run.observe(`the storage of ${lost} is lost`);
    await harm(this.#deployment, lost, "lose");
    const refusal = await until(30, `${lost} to be refused`, async () => {
      const outcome = await call(object(this.#deployment, lost), "kv/range", { key: "YQ==" });
      return outcome.status !== "ok" && outcome.problem.includes("has run before") ? outcome.problem : null;
    });
    this.#run.require(refusal.includes("D_ENGINE_REMOVED_NODES"), `${lost} does not come back: ${refusal}`);
    this.#nodes = this.#nodes.map((node) => (node === lost ? next : node));
    await this.#deploy({ D_ENGINE_NODES: this.#nodes.join(","), D_ENGINE_REMOVED_NODES: lost });
    const wanted = [...this.#nodes].sort().join(" ");
    await until(60, `the members to be ${wanted}`, async () => (await this.#voters()) === wanted);
    this.#run.observe(`the voters are ${wanted}`);
  }

  /** Every member knows its leader again, and clients have worked for a moment. */
  async #calm(): Promise<void> {
    await this.#leader();
    await sleep(1000);
  }

  async #leader(): Promise<string> {
    return (await leaderOf(this.objects, 60)).name;
  }

  async #term(): Promise<number> {
    const seen = await Promise.all(this.objects.map((each) => status(each)));
    return Math.max(0, ...seen.map((each) => each?.term ?? 0));
  }

  async #voters(): Promise<string> {
    const outcome = await call(front(this.#deployment), "cluster/member/list", {});
    if (outcome.status !== "ok") return outcome.problem;
    const { members = [] } = outcome.reply as {
      readonly members?: readonly { readonly name?: string; readonly isLearner?: boolean }[];
    };
    return members
      .map(({ name = "?", isLearner }) => (isLearner === true ? `${name}?` : name))
      .sort()
      .join(" ");
  }
}
