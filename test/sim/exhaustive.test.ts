import { describe, expect, it } from "vitest";
import { type Bounds, PROFILES, QUIET_BOUNDS } from "./exhaustive/bounds.ts";
import { renamed } from "./exhaustive/codec.ts";
import { Model } from "./exhaustive/model.ts";
import { MUTANTS } from "./exhaustive/mutants.ts";
import { loadOpenCore } from "./exhaustive/open-core.ts";
import { Search, type SearchReport } from "./exhaustive/search.ts";
import { ShadowWalk } from "./exhaustive/shadow.ts";
import { RENAMINGS, type State, Symmetry } from "./exhaustive/symmetry.ts";
import { Visited } from "./exhaustive/visited.ts";

const LIMITS = { maxDepth: 1000, maxStates: 100_000, ignore: [] as string[] };

async function search(bounds: Bounds, limits: Partial<typeof LIMITS> = {}): Promise<SearchReport> {
  return new Search(await loadOpenCore(), bounds, { ...LIMITS, ...limits }).run();
}

async function searchWith(
  mutant: string,
  limits: Partial<typeof LIMITS> = {},
  more: Partial<Bounds> = {},
): Promise<SearchReport> {
  const { patches, bounds } = MUTANTS.find(({ name }) => name === mutant)!;
  const core = await loadOpenCore(patches);
  return new Search(core, { ...QUIET_BOUNDS, ...bounds, ...more }, { ...LIMITS, ...limits }).run();
}

describe("the exhaustive search", { timeout: 60_000 }, () => {
  it("visits a whole space and finds nothing wrong", async () => {
    const report = await search({ ...QUIET_BOUNDS, timeouts: 1, proposals: 1 });
    expect(report).toMatchObject({ ending: "exhausted", violation: null });
    expect(report.reached).toMatchObject({ leaders: 1, committed: 2, allSpent: true });
    expect(report.states).toBeGreaterThan(5000);
  });

  it("finds the same the second time", async () => {
    const bounds = PROFILES["election-crash"]!;
    expect(await search(bounds)).toEqual(await search(bounds));
  });

  it("finds nothing wrong where everything may happen, as deep as it gets in a moment", async () => {
    const report = await search(PROFILES["everything-elected"]!, { maxStates: 4000 });
    expect(report).toMatchObject({ ending: "states", violation: null });
  });

  // Those that are found at once; .ci/suites/sim.sh has the others found as well.
  it.each([
    ["vote-before-durable", "S8 durable vote"],
    ["vote-forgotten-in-term", "S7 vote"],
    ["append-ack-before-durable", "S8 durable entries"],
    ["change-before-noop", "S10 too early"],
    ["campaign-with-unapplied-change", "S10 campaign"],
  ])("finds the planted bug %s, and tells the way there", async (mutant, invariant) => {
    const { violation, depth } = await searchWith(mutant);
    expect(violation?.broken[0]).toMatch(new RegExp(`^${invariant}: node [123] `));
    expect(violation!.trace).toHaveLength(depth);
  });

  it("goes on past an invariant that is not to count, to what comes of breaking it", async () => {
    const limits = { ignore: ["S8"], maxStates: 60_000 };
    const { violation } = await searchWith("vote-before-durable", limits, { crashes: 1, timeouts: 2 });
    expect(violation?.broken[0]).toMatch(/^S7 vote/);
  });

  it("refuses to plant a bug where the text has changed, and where there is none", async () => {
    const patch = { file: "raft/leader.ts", find: "no such line", replace: "" };
    await expect(loadOpenCore([patch])).rejects.toThrow("raft/leader.ts must contain exactly once");
    await expect(loadOpenCore([{ ...patch, file: "raft/none.ts" }])).rejects.toThrow("no file raft/none.ts");
  });
});

describe("the model behind it", { timeout: 60_000 }, () => {
  it.each([
    ["remove", 0, ["applies a membership change", "crashes and restarts", "HeartbeatResult"]],
    ["joint", 0, ["applies a membership change", "times out", "AppendEntriesResult"]],
    ["demote", 1, ["TimeoutNow", "leadershipTransfer true"]],
  ] as const)(
    "does what the real core does, with clocks that run (%s)",
    async (changeKind, transfers, rare) => {
      const bounds = { maxTerm: 6, timeouts: 8, proposals: 3, changes: 2, crashes: 3, stepDowns: 3 };
      const model = new Model(await loadOpenCore(), {
        ...QUIET_BOUNDS,
        ...bounds,
        heartbeats: true,
        changeKind,
        transfers,
      });
      const told: string[] = [];
      for (let seed = 1; seed <= 4; seed++) {
        const walk = new ShadowWalk(model, seed);
        expect(walk.run(100)).toBeNull();
        told.push(...walk.told);
      }
      // Or it would have shown nothing about the rarer things.
      for (const what of rare) expect(told.join("\n")).toContain(what);
      for (let state = 0; state < model.table.size; state++)
        expect(model.table.survivesCopy(state)).toBe(true);
    },
  );

  it("takes states that differ only in names for one, and what can come of them is the same", async () => {
    const model = new Model(await loadOpenCore(), { ...QUIET_BOUNDS, crashes: 1 });
    const symmetry = new Symmetry(model.table, model.histories);
    const canonical = (state: State): string => symmetry.canonical(state).state.join();
    const successors = (state: State): State[] =>
      model.actions(state).flatMap((action) => {
        const successor = model.successor(state, action);
        return successor === null ? [] : [successor.state];
      });
    const visited = new Set<string>();
    for (let frontier = [model.initial()]; frontier.length < 150;) {
      const next = new Map<string, State>();
      for (const state of frontier) {
        visited.add(canonical(state));
        const after = new Set(successors(state).map(canonical));
        for (let renaming = 1; renaming < RENAMINGS.length; renaming++) {
          const other = symmetry.renamed(state, renaming);
          expect(canonical(other)).toBe(canonical(state));
          expect(new Set(successors(other).map(canonical))).toEqual(after);
        }
        for (const successor of successors(state)) next.set(successor.join(), successor);
      }
      frontier = [...next.values()];
    }
    expect(visited.size).toBeGreaterThan(15);
  });

  it("renames nodes wherever they are named, and keeps in order what is ordered by name", () => {
    const tree = ["o", "from", "#1", "voters", ["a", "#1", "#3"], "progress", ["m", "#2", 5, "#3", 7]];
    expect(renamed(tree, [0, 3, 1, 2])).toEqual([
      "o",
      "from",
      "#3",
      "voters",
      ["a", "#2", "#3"],
      "progress",
      ["m", "#1", 5, "#2", 7],
    ]);
  });

  it("passes over a state that another covers: same nodes and history, more messages, no more spent", () => {
    const visited = new Visited();
    expect(visited.add([1, 2, 3, 0, 0x11, 5, 7, 9], -1, 0, 0)).toBe("new");
    expect(visited.add([1, 2, 3, 0, 0x11, 5, 7, 9], -1, 0, 0)).toBe("seen");
    expect(visited.add([1, 2, 3, 0, 0x21, 5, 9], -1, 0, 0)).toBe("covered");
    expect(visited.add([1, 2, 3, 0, 0x20, 5, 9], -1, 0, 0)).toBe("new");
    expect(visited.add([1, 2, 3, 0, 0x11, 5, 8], -1, 0, 0)).toBe("new");
    expect(visited.add([1, 2, 4, 0, 0x11, 5, 7], -1, 0, 0)).toBe("new");
    expect(visited.add([1, 2, 3, 0, 0x11, 4, 5, 7, 9], -1, 0, 3)).toBe("new");
    expect([visited.isCovered(0), visited.isCovered(3)]).toEqual([false, false]);
    expect(visited.add([1, 2, 4, 0, 0x11, 5, 6, 7], -1, 0, 3)).toBe("new");
    expect(visited.isCovered(3)).toBe(true);
  });
});
