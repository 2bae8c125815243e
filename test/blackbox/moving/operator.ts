import { CLIENT_TOKEN, PEER_SECRET } from "../../runtimes/workers/local-cluster.ts";
import { type Endpoint, status } from "../support/api.ts";
import { dEngine, dEngineOk } from "../support/command.ts";
import { addMember } from "../support/member-add.ts";
import type { Run } from "../support/program.ts";
import type { Flags } from "../support/server.ts";
import { until } from "../support/waiting.ts";

/** Changes a group's members as an operator does, by the command line. */
export class Operator {
  readonly #run: Run;
  /** Where the commands are sent; every endpoint answers for the group. */
  at: Endpoint;

  constructor(run: Run, at: Endpoint) {
    this.#run = run;
    this.at = at;
  }

  /**
   * Adds a learner, has it started, and promotes it as soon as that is allowed.
   *
   * @param start is given what `member add` printed as settings.
   */
  async add(name: string, peerUrl: string, start?: (settings: Flags) => Promise<unknown>): Promise<void> {
    const { id, settings } = await addMember(name, peerUrl, this.#whereabouts);
    await start?.(settings);
    await until(60, `${name} to be promoted`, async () => {
      const { exitCode, stderr } = await dEngine("member", "promote", id, ...this.#whereabouts);
      // The second is said after a promotion whose answer was lost.
      return exitCode === 0 || /can only promote a learner member$/m.test(stderr);
    });
    this.#run.observe(`${name} was added, caught up and was promoted`);
  }

  async remove(name: string, id: string): Promise<void> {
    await until(60, `${name} to be removed`, async () => {
      const { exitCode, stderr } = await dEngine("member", "remove", id, ...this.#whereabouts);
      return exitCode === 0 || stderr.includes("member not found");
    });
    this.#run.observe(`${name} was removed`);
  }

  /** Requires that the voters are these and no others. */
  async expectVoters(members: readonly Endpoint[]): Promise<void> {
    const known = await until(30, "all members to say who they are", async () => {
      const seen = await Promise.all(members.map((member) => status(member)));
      return seen.every((each) => each !== null) ? seen.map((each) => each!.nodeId) : null;
    });
    const listed = await dEngineOk("member", "list", ...this.#whereabouts);
    const rows = listed.trimEnd().split("\n").slice(1);
    this.#run.require(
      rows.length === members.length &&
        rows.every(
          (row) => row.endsWith("voter") && known.some((id) => row.startsWith(BigInt(id).toString(16))),
        ),
      `the voters are ${members.map(({ name }) => name).join(", ")}`,
    );
  }

  get #whereabouts(): readonly string[] {
    return [`--endpoints=${this.at.url}`, `--token=${CLIENT_TOKEN}`];
  }
}

/** The settings of a process in the same group as objects. */
export const SHARED_FLAGS: Readonly<Record<string, string>> = {
  "peer-secret": PEER_SECRET,
  "client-token": CLIENT_TOKEN,
  "snapshot-count": "1000",
  "log-level": "warn",
};
