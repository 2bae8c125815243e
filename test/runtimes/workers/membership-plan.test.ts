import { describe, expect, it } from "vitest";
import type { Member } from "../../../src/core/node/index.ts";
import { nextMembershipStep } from "../../../src/runtimes/workers/membership-plan.ts";
import { parseNodes } from "../../../src/runtimes/workers/node-list.ts";

const member = (id: bigint, name: string, more: Partial<Member> = {}): Member => ({
  id,
  name,
  peerUrls: [`https://${name}.d-engine.internal:443`],
  clientUrls: [],
  isLearner: false,
  ...more,
});

const step = (nodes: string, members: readonly Member[], removed: readonly string[] = []): string => {
  const next = nextMembershipStep(parseNodes(nodes), removed, members);
  if (next === null) return "nothing";
  return `${next.type} ${next.type === "remove" ? next.name : next.node.name}`;
};

describe("the next step towards the configured nodes", () => {
  it("is to add what is missing, and to promote it before the next one is added", () => {
    expect(step("n1,n2,n3", [member(1n, "n1")])).toBe("add n2");
    expect(step("n1,n2,n3", [member(1n, "n1"), member(2n, "n2", { isLearner: true })])).toBe("promote n2");
    expect(step("n1,n2,n3", [member(1n, "n1"), member(2n, "n2")])).toBe("add n3");
    expect(step("n1,n2", [member(1n, "n1"), member(2n, "n2")])).toBe("nothing");
  });

  it("knows a member that has not told its name yet by its URL", () => {
    expect(step("n1,n2", [member(1n, "n1"), member(2n, "n2", { name: "" })])).toBe("nothing");
  });

  it("removes nobody who is only forgotten", () => {
    expect(step("n1,n4", [member(1n, "n1"), member(2n, "n2"), member(4n, "n4")])).toBe("nothing");
  });

  it("removes who is named, after its successor votes", () => {
    const three = [member(1n, "n1"), member(2n, "n2"), member(3n, "n3")];
    expect(step("n1,n4,n3", three, ["n2"])).toBe("add n4");
    expect(step("n1,n4,n3", [...three, member(4n, "n4", { isLearner: true })], ["n2"])).toBe("promote n4");
    expect(step("n1,n4,n3", [...three, member(4n, "n4")], ["n2"])).toBe("remove n2");
    expect(step("n1,n4,n3", [three[0]!, three[2]!, member(4n, "n4")], ["n2"])).toBe("nothing");
  });

  it("removes who is named although it is configured still, or never told its name, but never the last one", () => {
    expect(step("n1,n2", [member(1n, "n1"), member(2n, "n2")], ["n2"])).toBe("remove n2");
    expect(step("n1", [member(1n, "n1"), member(2n, "n2", { name: "" })], ["n2"])).toBe("remove n2");
    expect(step("n1", [member(1n, "n1")], ["n1"])).toBe("nothing");
  });

  it("gives a member the URL that it is reached under from now on", () => {
    const members = [member(1n, "n1"), member(2n, "n2")];
    expect(step("n1=https://x.example:443,n2", members)).toBe("update n1");
    const moved = member(1n, "n1", { peerUrls: ["https://x.example:443"] });
    expect(step("n1@weur=https://x.example:443,n2", [moved, members[1]!])).toBe("nothing");
  });
});
