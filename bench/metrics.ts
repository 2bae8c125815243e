// What it costs to measure: two members alike, of which one serves /metrics. Calls are made within their processes, so
// that what differs is the driver's measurements and the histograms they go to; and no disk evens it out.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemberProcess } from "./embedded.ts";
import { type Measured, medianOf } from "./measure.ts";
import type { Report } from "./report.ts";
import { freePorts } from "./servers.ts";
import { CALLERS, type Pace } from "./workload.ts";

const OPERATION = "put";

export async function benchMetrics(report: Report, pace: Pace): Promise<void> {
  report.title("embedded, one member, in memory: with metrics and without", "callers");
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const [port] = await freePorts(1);
  const systems = [
    {
      name: "measured",
      member: new MemberProcess(),
      options: { listenClientUrls: `http://127.0.0.1:${port}` },
    },
    { name: "plain", member: new MemberProcess(), options: {} },
  ];
  try {
    for (const { name, member, options } of systems) {
      await member.order({
        type: "start",
        dir: join(dir, name),
        options: { env: {}, storage: "memory:", ...options },
      });
      await member.order({ type: "fill" });
    }
    for (const callers of CALLERS) {
      if (!pace.selects({ operation: OPERATION, callers, target: "alone" })) continue;
      const [measured, plain] = await takeTurns(
        systems.map(({ member }) => member),
        pace,
        callers,
      );
      const row = { section: "metrics", target: "alone", operation: OPERATION, callers } as const;
      const throughput = measured!.perSecond / plain!.perSecond;
      report.row({ ...row, system: "plain", measured: plain! });
      report.row({ ...row, system: "measured", measured: measured!, ratio: { to: "plain", throughput } });
    }
  } finally {
    await Promise.all(systems.map(({ member }) => member.end()));
    await rm(dir, { recursive: true, force: true });
  }
}

/** Round by round, since what else the machine does changes with time; each goes first as often. */
async function takeTurns(
  members: readonly MemberProcess[],
  pace: Pace,
  callers: number,
): Promise<Measured[]> {
  const { warmupMs, durationMs, rounds } = pace;
  const found: Measured[][] = members.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < members.length; turn++) {
      const who = (round + turn) % members.length;
      const loop = { callers, warmupMs, durationMs };
      found[who]!.push(await members[who]!.order<Measured>({ type: "run", operation: OPERATION, loop }));
    }
  }
  return found.map(medianOf);
}
