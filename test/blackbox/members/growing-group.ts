import { join } from "node:path";
import { status } from "../support/api.ts";
import { dEngine, dEngineOk } from "../support/command.ts";
import { addMember } from "../support/member-add.ts";
import type { Run } from "../support/program.ts";
import { type Flags, Server } from "../support/server.ts";
import { until } from "../support/waiting.ts";

/** The servers of one group, and what an operator does to them. */
export class GrowingGroup {
  readonly #run: Run;
  readonly #dir: string;
  readonly #ports: readonly number[];
  /** Members that take requests. */
  running: Server[] = [];

  constructor(run: Run, dir: string, ports: readonly number[]) {
    this.#run = run;
    this.#dir = dir;
    this.#ports = ports;
  }

  server(number: number, flags: Flags): Server {
    const name = `n${number}`;
    const server = new Server(this.#dir, name, `http://127.0.0.1:${this.#ports[2 * number - 2]}`, {
      "data-dir": join(this.#dir, name),
      "listen-peer-urls": this.#peerUrl(number),
      ...flags,
    });
    this.#run.cleanUp(() => server.signal("SIGKILL"));
    return server;
  }

  #peerUrl(number: number): string {
    return `http://127.0.0.1:${this.#ports[2 * number - 1]}`;
  }

  get #endpoints(): string {
    return `--endpoints=${this.running.map(({ url }) => url).join(",")}`;
  }

  /** Adds a learner, starts it with what `add` printed, and promotes it as soon as that is allowed. */
  async join(number: number): Promise<Server> {
    const name = `n${number}`;
    const { id, settings } = await addMember(name, this.#peerUrl(number), [this.#endpoints]);
    const server = this.server(number, settings);
    const early = await dEngine("member", "promote", id, this.#endpoints);
    this.#run.require(
      early.exitCode === 1 && early.stderr.includes("in sync with leader"),
      `${name} is not promoted before it has started`,
    );
    await server.start();
    const learner = await status(server);
    if (learner?.role !== "learner") throw new Error(`${name} is ${learner?.role}, not a learner`);
    await until(30, `${name} to be promoted`, async () => {
      const { exitCode, stderr } = await dEngine("member", "promote", id, this.#endpoints);
      if (exitCode !== 0 && !stderr.includes("in sync with leader")) throw new Error(stderr);
      return exitCode === 0;
    });
    this.running.push(server);
    this.#run.observe(`${name} was added as a learner, caught up and was promoted`);
    return server;
  }

  async remove(id: string): Promise<void> {
    const printed = await dEngineOk("member", "remove", id, this.#endpoints);
    if (printed !== `Member ${id} was removed\n`) throw new Error(printed);
  }

  /** With one of three away, none of the others may go. */
  async refusesToRemove(present: string): Promise<void> {
    const { exitCode, stderr } = await dEngine("member", "remove", await this.idOf(present), this.#endpoints);
    this.#run.require(
      exitCode !== 0 && stderr.includes("etcdserver: unhealthy cluster"),
      `${present} is not removed while a member is away: ${stderr.trim()}`,
    );
  }

  async idOf(name: string): Promise<string> {
    const row = (await memberRows(this.running[0]!)).find((each) => each.name === name);
    if (row === undefined) throw new Error(`there is no member ${name}`);
    return row.id;
  }

  /** `member list` says so at each of them: started voters, with their URLs. */
  async expectMembers(servers: readonly Server[]): Promise<void> {
    const expected = servers
      .map(({ name, url, flags }) => `${name} started voter ${flags["listen-peer-urls"]} ${url}`)
      .sort();
    for (const server of servers) {
      await until(20, `${server.name} to list ${expected.join("; ")}`, async () => {
        const rows = await memberRows(server);
        const listed = rows.map(
          (row) => `${row.name} ${row.status} ${row.vote} ${row.peerUrls} ${row.clientUrls}`,
        );
        return String(listed.sort()) === String(expected);
      });
    }
    this.#run.require(true, `"member list" is right at all: ${servers.map(({ name }) => name).join(", ")}`);
  }
}

/** One line of `member list`. */
interface MemberRow {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly peerUrls: string;
  readonly clientUrls: string;
  readonly vote: string;
}

async function memberRows({ url }: Server): Promise<readonly MemberRow[]> {
  const [, ...lines] = (await dEngineOk("member", "list", `--endpoints=${url}`)).trimEnd().split("\n");
  return lines.map((line) => {
    const [id, status, name, peerUrls, clientUrls, vote] = line.trim().split(/ {2,}/) as string[];
    return {
      id: id!,
      status: status!,
      name: name!,
      peerUrls: peerUrls!,
      clientUrls: clientUrls!,
      vote: vote!,
    };
  });
}
