// The engine in the process that uses it: alone, and as one of three.

import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Measured } from "./measure.ts";
import type { Order } from "./member.ts";
import type { Report } from "./report.ts";
import { endProcess, freePorts } from "./servers.ts";
import { CALLERS, OPERATIONS, type Pace } from "./workload.ts";

/** A process of bench/member.ts. */
export class MemberProcess {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(new URL("./member.ts", import.meta.url));
  }

  /** One order at a time. */
  order<T>(order: Order): Promise<T> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error(`the member's process ended at ${order.type}`));
      this.#child.once("exit", onExit);
      this.#child.once("message", (reply: { ok: boolean; value: T; error: string }) => {
        this.#child.removeListener("exit", onExit);
        if (reply.ok) resolve(reply.value);
        else reject(new Error(`${order.type}: ${reply.error}`));
      });
      this.#child.send(order);
    });
  }

  async end(): Promise<void> {
    await endProcess(this.#child);
  }
}

export async function benchEmbedded(report: Report, pace: Pace): Promise<void> {
  report.title("embedded, one member, SQLite: calls within its process", "callers");
  await withMembers(1, (members) => measure(report, pace, "alone", members[0]!));
  report.title(
    "embedded, three processes, SQLite: calls within the leader's process, or a follower's",
    "callers",
  );
  await withMembers(3, async (members) => {
    const leads = await Promise.all(members.map((member) => member.order<boolean>({ type: "leads" })));
    const leader = members[leads.indexOf(true)];
    const follower = members[leads.indexOf(false)];
    if (leader === undefined || follower === undefined) throw new Error("no leader");
    await measure(report, pace, "leader", leader);
    await measure(report, pace, "follower", follower);
  });
}

async function measure(report: Report, pace: Pace, target: string, member: MemberProcess): Promise<void> {
  await member.order({ type: "fill" });
  // What is measured first must not pay for what is compiled when it is first used.
  for (const operation of OPERATIONS) {
    const loop = { callers: 32, warmupMs: 0, durationMs: 300 };
    await member.order({ type: "run", operation, loop });
  }
  for (const operation of OPERATIONS) {
    for (const callers of CALLERS) {
      if (!pace.selects({ operation, callers, target })) continue;
      const measured = await member.order<Measured>({
        type: "run",
        operation,
        loop: { callers, warmupMs: pace.warmupMs, durationMs: pace.durationMs },
      });
      report.row({ section: "embedded", system: "d-engine", target, operation, callers, measured });
    }
  }
}

async function withMembers(count: number, run: (members: MemberProcess[]) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const members = Array.from({ length: count }, () => new MemberProcess());
  const ports = await freePorts(count);
  const initialCluster = Object.fromEntries(ports.map((port, i) => [`n${i}`, `http://127.0.0.1:${port}`]));
  try {
    await Promise.all(
      members.map((member, i) => {
        const options = count === 1 ? { env: {} } : { env: {}, name: `n${i}`, initialCluster };
        return member.order({ type: "start", dir: join(dir, `n${i}`), options });
      }),
    );
    await run(members);
  } finally {
    await Promise.all(members.map((member) => member.end()));
    await rm(dir, { recursive: true, force: true });
  }
}
