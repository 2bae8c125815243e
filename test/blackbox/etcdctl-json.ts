// The README's walk-through, as it is printed: every command of its `console` blocks, in the package as npm installs it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { status } from "./support/api.ts";
import { workDir } from "./support/cluster.ts";
import { execute } from "./support/command.ts";
import { installedPackage } from "./support/installed-package.ts";
import { program, type Run } from "./support/program.ts";
import { looksLike, readmeSteps, type Step } from "./support/read-me.ts";
import { until } from "./support/waiting.ts";

type Command = Extract<Step, { type: "command" }>;

await program("etcdctl-json", 170, async (run) => {
  const dir = await workDir(run);
  await installedPackage(run, dir);
  const reader = await reading(run, dir);
  let commands = 0;
  for (const step of readmeSteps()) {
    if (step.type === "command") {
      await reader.command(step);
      commands++;
    }
    if (step.type === "directive") await reader.directive(step.text);
  }
  run.require(commands >= 25, `${commands} commands of the README print what it says`);
});

interface Reader {
  command(step: Command): Promise<void>;
  directive(text: string): Promise<void>;
}

/** Somebody who follows the README in a shell. */
async function reading(run: Run, cwd: string): Promise<Reader> {
  const servers = new Map<
    string,
    { readonly command: string; readonly url: string; process: ChildProcess | null }
  >();
  /** Variables that commands have set, for those after them. */
  const settings: string[] = [];

  const start = (name: string): void => {
    const server = servers.get(name)!;
    // A group of its own, so that a signal reaches npx and the server that it has started.
    server.process = spawn("bash", ["-c", server.command], { cwd, stdio: "ignore", detached: true });
  };
  const kill = async (name: string): Promise<void> => {
    const server = servers.get(name)!;
    if (server.process === null) return;
    const exited = once(server.process, "exit");
    process.kill(-server.process.pid!, "SIGKILL");
    await exited;
    server.process = null;
  };
  run.cleanUp(() => Promise.all([...servers.keys()].map(kill)));

  const waitForLeader = async (): Promise<void> => {
    await until(40, "all servers to know a leader", async () => {
      const running = [...servers.values()].filter((server) => server.process !== null);
      const seen = await Promise.all(running.map((server) => status(server)));
      return seen.every((each) => typeof each?.leaderId === "string" && each.leaderId === seen[0]?.leaderId);
    });
    await namesKnown(servers.values());
  };

  const directives: Readonly<Record<string, () => Promise<void>>> = {
    "wait for a leader": waitForLeader,
    "kill n1": () => kill("n1"),
    "kill all, start all": async () => {
      const names = [...servers.keys()];
      await Promise.all(names.map(kill));
      names.forEach(start);
      await waitForLeader();
    },
  };

  return {
    async command({ command, printed, line }) {
      const serve = /^npx d-engine serve .*--name[= ](\S+).*--listen-client-urls[= ](\S+).* &$/.exec(command);
      if (serve !== null) {
        const [, name, url] = serve as unknown as [string, string, string];
        servers.set(name, { command: `exec ${command.replace(/ &$/, "")}`, url, process: null });
        start(name);
        return;
      }
      const shell = [...settings, command].join("\n");
      const { exitCode, stdout, stderr } = await execute("bash", ["-c", shell], { cwd });
      if (exitCode !== 0 || !looksLike(printed, stdout)) {
        throw new Error(
          `README.md:${line}: ${command}\nended with ${exitCode} and printed\n${stdout}${stderr}\ninstead of\n${printed}`,
        );
      }
      if (/^(export )?\w+=/.test(command)) settings.push(command);
      run.observe(`$ ${command.length > 100 ? `${command.slice(0, 97)}...` : command}`);
    },
    async directive(text) {
      const act = directives[text];
      if (act === undefined) throw new Error(`the README says "run: ${text}"`);
      await act();
    },
  };
}

/** A moment after the election every member has told its name and its client URLs. */
async function namesKnown(servers: Iterable<{ readonly url: string }>): Promise<void> {
  for (const { url } of servers) {
    await until(20, `the members' names at ${url}`, async () => {
      const response = await fetch(`${url}/members`).catch(() => null);
      if (response === null) return true;
      const { members } = (await response.json()) as { members: { name: string }[] };
      return members.every(({ name }) => name !== "");
    });
  }
}
