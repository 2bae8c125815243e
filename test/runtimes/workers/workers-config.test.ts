import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nearestFirst } from "../../../src/runtimes/workers/nearest.ts";
import { objectOfUrl, parseNodes } from "../../../src/runtimes/workers/node-list.ts";
import { parseObjectName } from "../../../src/runtimes/workers/object-address.ts";
import { VERSION } from "../../../src/runtimes/workers/version.ts";
import { mayUseGroup, workersConfig } from "../../../src/runtimes/workers/workers-config.ts";

const problemOf = (env: object): string => {
  try {
    workersConfig(env);
    return "none";
  } catch (error) {
    return (error as Error).message;
  }
};

describe("workersConfig", () => {
  it("has a default for everything but the secrets", () => {
    expect(workersConfig({})).toMatchObject({
      nodes: [{ name: "n1", object: { locationHint: null } }],
      defaultGroup: "default",
      groups: [],
      peerSecret: null,
      clientToken: null,
      heartbeatIntervalMs: 500,
      electionTimeoutMs: 2500,
      sleepAfterMs: 10_000,
      lingerMs: 0,
      quotaBytes: 32 << 20,
      defaultConsistency: "linearizable",
    });
  });

  it.each([
    [{ ETCD_ELECTION_TIMEOUT: "100", ETCD_HEARTBEAT_INTERVAL: "50" }, "at least three times"],
    [
      { ETCD_ELECTION_TIMEOUT: "1e3" },
      'ETCD_ELECTION_TIMEOUT must be a whole number between 30 and 600000, not "1e3"',
    ],
    [{ ETCD_QUOTA_BACKEND_BYTES: "2g" }, "ETCD_QUOTA_BACKEND_BYTES must be"],
    [{ D_ENGINE_SLEEP_AFTER: "-1" }, "D_ENGINE_SLEEP_AFTER must be"],
    [{ D_ENGINE_DEFAULT_CONSISTENCY: "strong" }, "must be one of linearizable, lease, eventual"],
    [{ D_ENGINE_GROUP: "a/b" }, "D_ENGINE_GROUP is no name of a group"],
    [{ D_ENGINE_GROUPS: "a,b/*" }, 'D_ENGINE_GROUPS: "b/*" is no name of a group'],
    [{ D_ENGINE_CLIENT_TOKEN: "short" }, "at least 16 characters are needed, 5 are given"],
    [{ D_ENGINE_PEER_SECRET: "short" }, "D_ENGINE_PEER_SECRET: at least 16 characters"],
    [{ D_ENGINE_CLIENT_TOKEN: "with spaces in between" }, "printable ASCII without spaces"],
    [{ D_ENGINE_NODES: {} }, "D_ENGINE_NODES must be text"],
  ])("refuses %o", (env, problem) => {
    expect(problemOf(env)).toContain(problem);
  });

  it("allows the groups that it names, and no name that could mean something else", () => {
    const config = workersConfig({ D_ENGINE_GROUPS: "orders,team-*" });
    for (const group of ["default", "orders", "team-1", "team-"])
      expect(mayUseGroup(config, group)).toBe(true);
    for (const group of ["", "order", "orders2", "team", "team-/x", "..", ".", "a b", "t".repeat(65)]) {
      expect([group, mayUseGroup(config, group)]).toEqual([group, false]);
    }
    expect(mayUseGroup(workersConfig({ D_ENGINE_GROUPS: "*" }), "anything.goes")).toBe(true);
    expect(mayUseGroup(workersConfig({ D_ENGINE_GROUPS: "*" }), "../default")).toBe(false);
  });
});

describe("nodes", () => {
  it("are objects unless they have nothing but a URL", () => {
    expect(parseNodes("n1@weur, n2 ,n3=http://10.0.0.3:2380,n4@=https://x.example:443")).toEqual([
      { name: "n1", object: { locationHint: "weur" }, peerUrl: "https://n1.d-engine.internal:443" },
      { name: "n2", object: { locationHint: null }, peerUrl: "https://n2.d-engine.internal:443" },
      { name: "n3", object: null, peerUrl: "http://10.0.0.3:2380" },
      { name: "n4", object: { locationHint: null }, peerUrl: "https://x.example:443" },
    ]);
  });

  it.each([
    ["", "does not begin with a name"],
    ["N1", "does not begin with a name"],
    ["n1,n1", "is not its own"],
    ["n1=http://a:1,n2=http://a:1", "is not its own"],
    ["n1@mars", '"mars" is no place'],
    ["n1=http://a", "is not a URL like"],
    ["n1=http://a:1/path", "is not a URL like"],
    ["n1=http://u@a:1", "is not a URL like"],
    [Array.from({ length: 10 }, (_, i) => `n${i}`).join(","), "9 nodes at most"],
  ])("%s is refused", (text, problem) => {
    expect(() => parseNodes(text)).toThrow(problem);
  });

  it("are found by the URLs that members have in their books", () => {
    const nodes = parseNodes("n1@weur=https://x.example:443,n2,n3=http://10.0.0.3:2380");
    expect(objectOfUrl(nodes, "https://x.example:443")).toBe("n1");
    expect(objectOfUrl(nodes, "https://n1.d-engine.internal:443")).toBe("n1");
    // Of a node that the configuration does not name any more.
    expect(objectOfUrl(nodes, "https://n9.d-engine.internal:443")).toBe("n9");
    expect(objectOfUrl(nodes, "http://10.0.0.3:2380")).toBeNull();
    expect(objectOfUrl(nodes, "https://a/b.d-engine.internal:443")).toBeNull();
  });

  it("are tried nearest first", () => {
    const nodes = parseNodes("n1@weur,n2@enam,n3@apac,n4");
    const order = (latitude?: string, longitude?: string): string =>
      nearestFirst(nodes, { ...(latitude && { latitude }), ...(longitude && { longitude }) })
        .map(({ name }) => name)
        .join(" ");
    expect(order("48.8", "2.3")).toBe("n1 n2 n3 n4");
    expect(order("40.7", "-74")).toBe("n2 n1 n3 n4");
    expect(order("35.7", "139.7")).toMatch(/^n3 /);
    expect(order()).toBe("n1 n2 n3 n4");
    expect(order("nowhere", "2")).toBe("n1 n2 n3 n4");
  });
});

it("an object's name is taken apart only if it is one", () => {
  expect(parseObjectName("team-1/n1")).toEqual({ group: "team-1", node: "n1" });
  for (const name of ["", "n1", "/n1", "g/", "g/N1", "g/n1/n2", "../n1"]) {
    expect(() => parseObjectName(name)).toThrow("no name of a group's node");
  }
});

it("the version is the package's", () => {
  const file = new URL("../../../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
