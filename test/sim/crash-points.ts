import { drawScenario } from "./draw.ts";
import type { Scenario } from "./scenario.ts";
import { type Action } from "./scenario.ts";
import { WORKLOADS } from "./workloads/index.ts";
import { Prng } from "../core/raft/harness/prng.ts";

const DURATION_MS = 12_000;

/**
 * A short run in which nearly everything happens once: elections, writes of every kind, a snapshot taken and one
 * sent, a transfer, a member that joins, is promoted and leaves. Every effect of it is a place to crash.
 */
export function crashPointScenario(seed: number): Scenario {
  const random = new Prng(seed);
  const { options } = drawScenario(seed, {
    founders: 3,
    hasCommit: seed % 2 === 0,
    tailBytes: 2000,
    snapshotEntries: 15,
    trailingEntries: 0,
    snapshotChunkBytes: 200,
    quiesceAfterMs: 0,
    requestTimeoutMs: 2000,
    durationMs: DURATION_MS,
    wildClocks: false,
  });
  const actions: Action[] = [
    { at: 500, do: "crash", node: 3 },
    { at: 1500, do: "snapshot", node: "leader" },
    { at: 2500, do: "start", node: "all" },
    { at: 4000, do: "transfer", to: 2 },
    { at: 5000, do: "addMember", learner: true },
    { at: 6500, do: "promote" },
    { at: 7500, do: "removeMember", node: "leader" },
    { at: 9500, do: "transfer", to: 1 },
  ];
  // Whoever goes down comes back, as with any supervisor.
  for (let at = 2500; at < DURATION_MS; at += 1000) actions.push({ at, do: "start", node: "all" });
  const names = Object.keys(WORKLOADS);
  for (let at = 100, id = 1; at < DURATION_MS; at += 150, id++) {
    const work = names[id % names.length]!;
    const node = id % 2 === 0 ? "leader" : 1 + random.int(3);
    actions.push({ at, do: "op", work, id, node, op: WORKLOADS[work]!.draw(random, 0) });
  }
  return { seed, options, actions: actions.sort((a, b) => a.at - b.at) };
}
