// What the engine does in a second, and how long a caller waits:
//
//     npm run bench                             everything, some three minutes
//     npm run bench -- embedded http            some sections: embedded, http, etcd, grpc, memory, metrics
//     npm run bench -- http --only "put 64"     some rows
//     npm run bench -- http --versus ../other   against another checkout of d-engine
//
// 8-byte keys, 256-byte values. Servers, clients and whatever else runs share the machine, so a throughput says
// little by itself; the systems of one row take turns, and their ratio says more. The CPU column is what the servers
// together spend on a request, which other programs on the machine disturb least.

import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { benchEmbedded } from "./embedded.ts";
import { benchGrpc } from "./grpc.ts";
import { benchHttp } from "./http.ts";
import { benchMemory } from "./memory.ts";
import { benchMetrics } from "./metrics.ts";
import { Report } from "./report.ts";
import { engineProgram, etcdProgram, type Program } from "./servers.ts";
import { type Pace, selector } from "./workload.ts";

const SECTIONS = ["embedded", "http", "etcd", "grpc", "memory", "metrics"];

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "0.7" },
      rounds: { type: "string", default: "3" },
      only: { type: "string", default: "" },
      versus: { type: "string" },
      json: { type: "string" },
    },
  });
  const unknown = positionals.find((section) => !SECTIONS.includes(section));
  if (unknown !== undefined) throw new Error(`no section ${unknown}; there are ${SECTIONS.join(", ")}`);
  const wants = (section: string): boolean => positionals.length === 0 || positionals.includes(section);
  const seconds = Number(values.seconds);
  const pace: Pace = {
    selects: selector(values.only),
    warmupMs: 200,
    durationMs: seconds * 1000,
    rounds: Number(values.rounds),
  };
  if (!(seconds > 0) || !(pace.rounds >= 1))
    throw new Error("--seconds and --rounds must be positive numbers");

  const report = new Report();
  if (wants("embedded")) await benchEmbedded(report, pace);
  if (wants("http") || wants("etcd")) {
    await benchHttp(report, pace, programs(report, wants("etcd"), values.versus));
  }
  if (wants("grpc")) await benchGrpc(report, pace, programs(report, true, values.versus));
  if (wants("memory")) await benchMemory(report);
  if (wants("metrics")) await benchMetrics(report, pace);
  if (values.json !== undefined) report.save(values.json);
}

function programs(report: Report, withEtcd: boolean, versus: string | undefined): Program[] {
  const all = [engineProgram("d-engine", fileURLToPath(new URL("..", import.meta.url)))];
  if (versus !== undefined) all.push(engineProgram("other", versus));
  if (!withEtcd) return all;
  const etcd = etcdProgram();
  if (etcd === null) report.note("no etcd on the PATH: d-engine is measured alone");
  else all.push(etcd);
  return all;
}

await main();
