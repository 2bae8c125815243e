import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MEASUREMENTS, STATUS_GAUGES } from "../../../src/runtimes/http/status-metrics.ts";
import type { Measurement } from "../../../src/core/node/index.ts";
import { EmbeddedEngine, EmbeddedStateMachine } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

afterAll(removeTempDirs);

const DASHBOARD = new URL("../../../examples/grafana/d-engine.json", import.meta.url);

/** Names of all series that Prometheus makes of the text. */
function seriesOf(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    for (const suffix of suffixes) names.add(`${name!}${suffix}`);
  }
  return names;
}

function valueOf(text: string, series: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no ${series}`);
  return Number(line.slice(series.length + 1));
}

describe("metrics of a server", () => {
  let text = "";

  beforeAll(async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const engine = await EmbeddedEngine.start(await tempDir(), { env: {}, listenClientUrls: url });
    try {
      await engine.waitReady(30_000);
      await engine.client().put("k", "v");
      await engine.engine.leaseGrant({ ttlSeconds: 60 });
      await fetch(`${url}/kv/k`);
      text = await (await fetch(`${url}/metrics`)).text();
    } finally {
      await engine.stop();
    }
  });

  it("tell what the node has measured since it started", () => {
    for (const measurement of ["proposeToCommit", "proposeToApply", "logFlush", "applyBatch"] as const) {
      const { name } = MEASUREMENTS[measurement];
      expect(valueOf(text, `${name}_count`)).toBeGreaterThanOrEqual(2);
      expect(valueOf(text, `${name}_sum`)).toBeGreaterThan(0);
    }
    expect(valueOf(text, MEASUREMENTS.elections.name)).toBe(1);
    expect(valueOf(text, MEASUREMENTS.leaderChanges.name)).toBe(1);
    expect(valueOf(text, MEASUREMENTS.rejectedProposals.name)).toBe(0);
  });

  it("tell how the node stands", () => {
    const commit = valueOf(text, "d_engine_commit_index");
    expect(commit).toBeGreaterThan(2);
    expect(valueOf(text, "d_engine_applied_index")).toBe(commit);
    expect(valueOf(text, "d_engine_log_last_index")).toBe(commit);
    expect(valueOf(text, "etcd_server_proposals_committed_total")).toBe(commit);
    expect(valueOf(text, "etcd_server_has_leader")).toBe(1);
    expect(valueOf(text, "etcd_server_proposals_pending")).toBe(0);
    expect(valueOf(text, "d_engine_leases")).toBe(1);
    expect(valueOf(text, "d_engine_watch_lag_revisions")).toBe(0);
    expect(valueOf(text, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
  });

  it("are those that the dashboard shows, which leaves out nothing that a node measures", async () => {
    const dashboard = await readFile(DASHBOARD, "utf8");
    const shown = [...dashboard.matchAll(/\b(?:d_engine|etcd|process|nodejs)_[a-z0-9_]+/g)].map(
      ([name]) => name,
    );
    const series = seriesOf(text);
    expect(shown.filter((name) => !series.has(name))).toEqual([]);
    // Those under etcd's names say the same as others, but for the quota.
    const gauges = STATUS_GAUGES.map(([name]) => name).filter((name) => name.startsWith("d_engine_"));
    const measured = Object.values(MEASUREMENTS).map(({ name }) => name);
    const missing = [...measured, ...gauges, "etcd_server_quota_backend_bytes"].filter(
      (name) => !shown.some((each) => each.startsWith(name)),
    );
    expect(missing).toEqual([]);
    // Each thing that is asked for is a word of PromQL, or one of these names.
    const { panels } = JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] };
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThan(25);
    expect(queries.filter((query) => !shown.some((name) => query.includes(name)))).toEqual([]);
  });
});

describe("an observer of one's own", () => {
  const WRITTEN = ["proposeToCommit", "proposeToApply", "logFlush", "applyBatch", "elections"];

  it.each(["without a server", "beside the server's metrics"])("is told, %s", async (where) => {
    const seen = new Map<Measurement, number>();
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const engine = await EmbeddedEngine.start(await tempDir(), {
      env: {},
      ...(where === "without a server" ? {} : { listenClientUrls: url }),
      observer: (measurement, value) => seen.set(measurement, (seen.get(measurement) ?? 0) + value),
    });
    try {
      await engine.waitReady(30_000);
      await engine.client().put("k", "v");
      expect([...seen.keys()]).toEqual(expect.arrayContaining(WRITTEN));
      expect(seen.get("elections")).toBe(1);
      if (where === "without a server") return;
      const text = await (await fetch(`${url}/metrics`)).text();
      expect(valueOf(text, MEASUREMENTS.elections.name)).toBe(1);
    } finally {
      await engine.stop();
    }
  });

  it("may fail: that is logged, and the node works on", async () => {
    const logged: string[] = [];
    const machine = {
      applyChunk: (commands: readonly unknown[]) => commands.map(() => "applied"),
      snapshot: () => ({ chunks: () => [], release: () => undefined }),
      restore: () => Promise.resolve(),
    };
    const member = await EmbeddedStateMachine.start(await tempDir(), machine, {
      env: {},
      logger: { log: (_level, message) => logged.push(message) },
      observer: () => {
        throw new Error("no room");
      },
    });
    try {
      await member.waitReady(30_000);
      expect(await member.propose(new Uint8Array(1))).toBe("applied");
      expect(logged).toContain("the observer failed");
    } finally {
      await member.stop();
    }
  });
});
