import { expect, test } from "vitest";
import { drawScenario } from "./draw.ts";
import type { Action, Scenario } from "./scenario.ts";
import { runScenario } from "./simulation.ts";

// What is not promised must be seen to fail when it is asked for: a checker that passes it would pass anything.

function scenario(actions: readonly Action[]): Scenario {
  const { options } = drawScenario(1, {
    founders: 3,
    quiesceAfterMs: 0,
    requestTimeoutMs: 5000,
    durationMs: 9000,
    wildClocks: true,
  });
  return { seed: 1, options, actions };
}

function request(
  at: number,
  id: number,
  node: number | "leader",
  op: Readonly<Record<string, string>>,
): Action {
  return { at, do: "op", work: "register", id, node, op: { key: "r", ...op } };
}

/** The first leader's clock crawls, it is cut off, and two seconds later somebody else leads and takes a write. */
function deposed(policy: string): Action[] {
  const actions: Action[] = [
    request(100, 1, "leader", { type: "put" }),
    { at: 1000, do: "clockRate", node: "leader", rate: 0.02 },
    { at: 1100, do: "partition", side: ["leader"] },
  ];
  for (let at = 3000, id = 10; at < 6000; at += 100) {
    for (const node of [1, 2, 3]) actions.push(request(at, id++, node, { type: "put" }));
    for (const node of [1, 2, 3]) actions.push(request(at + 50, id++, node, { type: "get", policy }));
  }
  return actions;
}

test("lease reads with a clock beyond the drift bound are stale, and the checkers say so", async () => {
  const { problems } = await runScenario(scenario(deposed("lease")), { checks: { leaseReads: true } });
  expect(problems.map(({ kind }) => kind)).toContain("checker");
  expect(problems.map(({ rule }) => rule)).toContain("S12 stale read");
});

test("linearizable reads do not care about clocks", async () => {
  const { problems, requests } = await runScenario(scenario(deposed("linearizable")));
  expect(problems).toEqual([]);
  expect(requests.ok).toBeGreaterThan(50);
});

const LAGGARD: readonly Action[] = [
  request(100, 1, "leader", { type: "put" }),
  { at: 500, do: "partition", side: [1] },
  ...[1, 2, 3].map((node) => request(3000, 10 + node, node, { type: "put" })),
  ...[1, 2, 3].map((node) => request(4000, 20 + node, node, { type: "get", policy: "eventual" })),
];

test("eventual reads are not linearizable, and the checkers say so", async () => {
  const { problems } = await runScenario(scenario(LAGGARD), { checks: { eventualAsLinearizable: true } });
  expect(problems.map(({ rule }) => rule)).toContain("S12 stale read");
});

test("eventual reads show a prefix of what happened", async () => {
  expect((await runScenario(scenario(LAGGARD))).problems).toEqual([]);
});

/** Two that take the lock one after the other, the first of which works longer than its lease lives. */
function contended(fenced: string): Action[] {
  const hold = (at: number, id: number, workMs: number): Action => ({
    at,
    do: "op",
    work: "lock",
    id,
    node: "leader",
    op: { name: "k", ttlMs: 500, workMs, fenced },
  });
  return [hold(1000, 1, 3000), hold(2000, 2, 10)];
}

test("a lock without its fencing token lets two write, and the checker says so", async () => {
  const { problems } = await runScenario(scenario(contended("no")));
  expect(problems.map(({ rule }) => rule)).toEqual(["lock: two holders"]);
});

test("with the fencing token, whoever lost the lock writes nothing", async () => {
  expect((await runScenario(scenario(contended("yes")))).problems).toEqual([]);
});
