import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertValidConfig, isJoint, isVoter, members } from "../../../src/core/raft/cluster-config.ts";
import { changeConfig } from "../../../src/core/raft/conf-change.ts";
import type { ClusterConfig, ConfChange, ConfChangeStep, NodeId } from "../../../src/core/raft/index.ts";
import { simpleConfig } from "../../../src/core/raft/index.ts";
import { change, quorumsOf, simple } from "./arbitraries.ts";

const NO_CONTEXT = new Uint8Array(0);
const LEAVE: ConfChange = { steps: [], transition: "auto", context: NO_CONTEXT };

function asked(
  transition: ConfChange["transition"],
  ...steps: [ConfChangeStep["type"], NodeId][]
): ConfChange {
  return { steps: steps.map(([type, node]) => ({ type, node })), transition, context: NO_CONTEXT };
}

function changed(config: ClusterConfig, by: ConfChange): ClusterConfig {
  const result = changeConfig(config, by);
  if ("refused" in result) throw new Error(`refused: ${result.refused}`);
  return result;
}

function refusal(config: ClusterConfig, by: ConfChange): string {
  const result = changeConfig(config, by);
  return "refused" in result ? result.refused : "";
}

/** Configurations as they follow each other when these changes are asked for, refused ones skipped. */
function history(start: ClusterConfig, changes: readonly ConfChange[]): ClusterConfig[] {
  const configs = [start];
  for (const by of changes) {
    const next = changeConfig(configs.at(-1)!, by);
    if (!("refused" in next)) configs.push(next);
  }
  return configs;
}

const changes = fc.array(
  fc.oneof({ weight: 3, arbitrary: change }, { weight: 1, arbitrary: fc.constant(LEAVE) }),
  { maxLength: 8 },
);

/** What each node is, as somebody would say it who has never heard of joint consensus. */
type Roles = Map<NodeId, "voter" | "learner">;

function rolesIn(config: ClusterConfig): Roles {
  const roles: Roles = new Map();
  for (const node of [...config.learners, ...config.learnersNext]) roles.set(node, "learner");
  for (const node of config.voters) roles.set(node, "voter");
  return roles;
}

function modelled(before: Roles, steps: readonly ConfChangeStep[]): Roles {
  const after: Roles = new Map(before);
  for (const { type, node } of steps) {
    if (type === "remove") after.delete(node);
    else after.set(node, type === "addVoter" ? "voter" : "learner");
  }
  return after;
}

const votersOf = (roles: Roles): NodeId[] =>
  [...roles].filter(([, r]) => r === "voter").map(([node]) => node);
const byId = (roles: Roles): [NodeId, string][] => [...roles].sort(([a], [b]) => (a < b ? -1 : 1));

describe("changeConfig, against brute force", () => {
  it("makes every quorum meet every quorum of the configuration before it (thesis §4.1)", () => {
    fc.assert(
      fc.property(simple, changes, (start, asks) => {
        const configs = history(start, asks);
        for (let i = 1; i < configs.length; i++) {
          for (const before of quorumsOf(configs[i - 1]!)) {
            for (const after of quorumsOf(configs[i]!)) {
              const meet = before.some((node) => after.includes(node));
              expect(meet, `${before.join()} and ${after.join()} must not decide apart (change ${i})`).toBe(
                true,
              );
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it("keeps every configuration valid, with a voter, and modifies nothing it was given", () => {
    fc.assert(
      fc.property(simple, changes, (start, asks) => {
        const frozen = structuredClone(start);
        for (const config of history(start, asks)) {
          assertValidConfig(config);
          expect(config.voters.length).toBeGreaterThan(0);
          expect(new Set(members(config)).size).toBe(members(config).length);
        }
        expect(start).toEqual(frozen);
      }),
    );
  });

  it("arrives, once joint is left, at exactly the members and roles that were asked for", () => {
    fc.assert(
      fc.property(simple, change, (start, by) => {
        const entered = changeConfig(start, by);
        fc.pre(!("refused" in entered));
        const expected = modelled(rolesIn(start), by.steps);
        expect(byId(rolesIn(entered))).toEqual(byId(expected));
        const left = isJoint(entered) ? changed(entered, LEAVE) : entered;
        expect(byId(rolesIn(left))).toEqual(byId(expected));
        expect(left.learnersNext).toEqual([]);
        expect(isJoint(left)).toBe(false);
        expect(left.autoLeave).toBe(false);
      }),
    );
  });

  it("goes through joint consensus exactly when more than one voter differs, or when told to", () => {
    fc.assert(
      fc.property(simple, change, (start, by) => {
        const result = changeConfig(start, by);
        fc.pre(!("refused" in result));
        const before = votersOf(rolesIn(start));
        const after = votersOf(modelled(rolesIn(start), by.steps));
        const differ =
          before.filter((node) => !after.includes(node)).length +
          after.filter((node) => !before.includes(node)).length;
        expect(isJoint(result)).toBe(by.transition !== "auto" || differ > 1);
        expect(result.votersOutgoing).toEqual(isJoint(result) ? start.voters : []);
        expect(result.autoLeave).toBe(isJoint(result) && by.transition !== "explicit");
      }),
    );
  });

  it("refuses exactly what breaks a rule, and says which", () => {
    fc.assert(
      fc.property(simple, changes, change, (start, asks, by) => {
        const config = history(start, asks).at(-1)!;
        const nodes = by.steps.map(({ node }) => node);
        let expected = /^$/;
        if (nodes.length === 0) expected = isJoint(config) ? /^$/ : /^the configuration is not joint$/;
        else if (isJoint(config)) expected = /joint already/;
        else if (new Set(nodes).size < nodes.length) expected = /node \d+ appears twice/;
        else if (votersOf(modelled(rolesIn(config), by.steps)).length === 0)
          expected = /no voter would be left/;
        expect(refusal(config, by)).toMatch(expected);
      }),
    );
  });
});

describe("changeConfig, case by case", () => {
  const three = simpleConfig([1n, 2n, 3n]);

  it("adds a learner without touching quorums", () => {
    expect(changed(three, asked("auto", ["addLearner", 4n]))).toEqual(simpleConfig([1n, 2n, 3n], [4n]));
  });

  it("promotes a learner by addVoter", () => {
    const before = simpleConfig([1n, 2n, 3n], [4n]);
    expect(changed(before, asked("auto", ["addVoter", 4n]))).toEqual(simpleConfig([1n, 2n, 3n, 4n]));
  });

  it("demotes a voter by addLearner, at once when simple", () => {
    expect(changed(three, asked("auto", ["addLearner", 3n]))).toEqual(simpleConfig([1n, 2n], [3n]));
  });

  it("lets a demoted voter go on voting in the outgoing half, as a learner to be, while joint", () => {
    const entered = changed(three, asked("implicit", ["addLearner", 3n]));
    expect(entered).toEqual({
      voters: [1n, 2n],
      votersOutgoing: [1n, 2n, 3n],
      learners: [],
      learnersNext: [3n],
      autoLeave: true,
    });
    expect(isVoter(entered, 3n)).toBe(true);
    expect(members(entered)).toEqual([1n, 2n, 3n]);
    expect(changed(entered, LEAVE)).toEqual(simpleConfig([1n, 2n], [3n]));
  });

  it("replaces one voter by another through joint consensus, since two voters differ", () => {
    const entered = changed(three, asked("auto", ["addVoter", 4n], ["remove", 3n]));
    expect(entered).toEqual({
      voters: [1n, 2n, 4n],
      votersOutgoing: [1n, 2n, 3n],
      learners: [],
      learnersNext: [],
      autoLeave: true,
    });
    expect(changed(entered, LEAVE)).toEqual(simpleConfig([1n, 2n, 4n]));
  });

  it("stays joint until told otherwise when explicit", () => {
    expect(changed(three, asked("explicit", ["addVoter", 4n])).autoLeave).toBe(false);
  });

  it("removes a stranger without complaint and without effect", () => {
    expect(changed(three, asked("auto", ["remove", 9n]))).toEqual(three);
  });

  it.each([
    ["the last voter's removal", simpleConfig([1n]), asked("auto", ["remove", 1n]), /no voter would be left/],
    ["the last voter's demotion", simpleConfig([1n]), asked("auto", ["addLearner", 1n]), /no voter/],
    [
      "the removal of all voters together",
      three,
      asked("implicit", ["remove", 1n], ["remove", 2n], ["remove", 3n]),
      /no voter/,
    ],
    ["leaving when not joint", three, LEAVE, /not joint/],
    ["node 0", three, asked("auto", ["addVoter", 0n]), /greater than 0/],
    ["one node twice", three, asked("auto", ["addVoter", 4n], ["remove", 4n]), /node 4 appears twice/],
    ["a start from no voters", simpleConfig([]), asked("auto", ["addVoter", 1n]), /no voters/],
    ["a joint start from no voters", simpleConfig([]), asked("implicit", ["addVoter", 1n]), /no voters/],
  ] as [string, ClusterConfig, ConfChange, RegExp][])("refuses %s", (_, config, by, expected) => {
    expect(refusal(config, by)).toMatch(expected);
  });

  it("refuses a change inside a change (nested joint)", () => {
    const entered = changed(three, asked("explicit", ["addVoter", 4n]));
    expect(refusal(entered, asked("auto", ["remove", 4n]))).toMatch(/joint already/);
    expect(refusal(entered, asked("implicit", ["addLearner", 5n]))).toMatch(/joint already/);
  });
});

describe("assertValidConfig", () => {
  const valid: ClusterConfig = {
    voters: [1n, 2n],
    votersOutgoing: [2n, 3n],
    learners: [4n],
    learnersNext: [3n],
    autoLeave: true,
  };

  it.each([
    ["unsorted voters", { voters: [2n, 1n] }, "sorted"],
    ["a voter twice", { voters: [1n, 1n] }, "sorted and unique"],
    ["unsorted outgoing voters", { votersOutgoing: [3n, 2n] }, "sorted"],
    ["unsorted learners", { learners: [5n, 4n] }, "sorted"],
    ["a learner that votes", { learners: [1n] }, "not a voter"],
    ["a learner that votes in the outgoing half", { learners: [3n], learnersNext: [] }, "not an outgoing"],
    ["a future learner that does not vote now", { learnersNext: [5n] }, "is an outgoing voter"],
    ["a future learner that is to vote as well", { learnersNext: [2n] }, "not an incoming voter"],
    ["future learners without joint", { votersOutgoing: [], autoLeave: false }, "is an outgoing voter"],
    ["leaving what is not joint", { votersOutgoing: [], learnersNext: [] }, "can be left"],
  ] as [string, Partial<ClusterConfig>, string][])("refuses %s", (_, part, why) => {
    expect(() => assertValidConfig(valid)).not.toThrow();
    expect(() => assertValidConfig({ ...valid, ...part })).toThrow(why);
  });
});
