import { describe, expect, it } from "vitest";
import { foundCluster, founderId } from "../../../../src/runtimes/http/peer/index.ts";

const members = [
  { name: "n1", peerUrls: ["http://a:1", "http://b:1"] },
  { name: "n2", peerUrls: ["http://c:1"] },
  { name: "n3", peerUrls: ["http://d:1"] },
];

describe("foundCluster", () => {
  it("gives every founder the same ids, in whatever order it was told", async () => {
    const one = await foundCluster(members, "token");
    const other = await foundCluster(
      [members[2]!, { name: "n1", peerUrls: ["http://b:1", "http://a:1"] }, members[1]!],
      "token",
    );
    expect(other).toEqual(one);
    expect(one.founders.map(({ name }) => name).sort()).toEqual(["n1", "n2", "n3"]);
    expect(founderId(one, "n2")).toBe(one.founders.find(({ name }) => name === "n2")!.id);
  });

  it("stays the same over releases: a cluster's ids are on its disks", async () => {
    const { clusterId, founders } = await foundCluster(members, "token");
    expect(clusterId.toString(16)).toBe("29d08e8236ac5296");
    expect(founders.map(({ id, name }) => `${name} ${id.toString(16)}`)).toEqual([
      "n1 1fd8a8c136d8a45d",
      "n2 2e131ae3f3c98a16",
      "n3 55e0ee6c9bdee209",
    ]);
  });

  it("gives other ids to other tokens, members and URLs", async () => {
    const foundings = await Promise.all([
      foundCluster(members, "token"),
      foundCluster(members, "another"),
      foundCluster(members.slice(1), "token"),
      foundCluster([...members.slice(0, 2), { name: "n3", peerUrls: ["http://e:1"] }], "token"),
      // What moves from one URL to the next must not give the same bytes.
      foundCluster([{ name: "n1", peerUrls: ["http://a:1http://b:1"] }, ...members.slice(1)], "token"),
    ]);
    const ids = foundings.map(({ clusterId }) => clusterId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).not.toContain(0n);
  });

  it("refuses to look for a stranger", async () => {
    const founding = await foundCluster(members, "t");
    expect(() => founderId(founding, "n9")).toThrow(/no founder is named n9/);
  });
});
