import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

describe("d-engine compact, hashkv, endpoint and move-leader", () => {
  const engines: EmbeddedEngine[] = [];
  let urls: readonly string[];

  beforeAll(async () => {
    const ports = await freePorts(6);
    const peers = ports.slice(3).map((port) => `http://127.0.0.1:${port}`);
    urls = ports.slice(0, 3).map((port) => `http://127.0.0.1:${port}`);
    const initialCluster = peers.map((url, i) => `n${i}=${url}`).join(",");
    const started = urls.map(async (url, i) =>
      EmbeddedEngine.start(await tempDir(), {
        logLevel: "error",
        name: `n${i}`,
        initialCluster,
        listenPeerUrls: peers[i]!,
        listenClientUrls: url,
        env: {},
      }),
    );
    engines.push(...(await Promise.all(started)));
    for (const engine of engines) await engine.waitReady(30_000);
    for (let i = 0; i < 20; i++) await engines[0]!.client().put(`k${i % 7}`, `value ${i}`);
  });
  afterAll(async () => {
    for (const engine of engines) await engine.stop();
    await removeTempDirs();
  });

  async function cli(args: readonly string[], endpoints: readonly string[] = urls) {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: endpoints.join(",") });
    const exitCode = await run(args, terminal);
    return { exitCode, output: terminal.output, errors: terminal.errors };
  }

  function rows(output: string): readonly (readonly string[])[] {
    const [, ...lines] = output.trimEnd().split("\n");
    return lines.map((line) => line.split(/\s{2,}/));
  }

  it("compares the members' hashes, before and after a compaction", async () => {
    const before = await cli(["hashkv", "--rev=15"]);
    expect(before.exitCode).toBe(0);
    const hashes = rows(before.output).map(([, ...rest]) => rest.join(" "));
    expect(new Set(hashes).size).toBe(1);
    expect(hashes[0]).toMatch(/^\d+ 15 0$/);
    expect(await cli(["compact", "15", "--physical"])).toMatchObject({
      exitCode: 0,
      output: "compacted revision 15\n",
    });
    const json = await cli(["endpoint", "hashkv", "--rev=15", "--json"], urls.slice(0, 1));
    const [{ hashkv }] = JSON.parse(json.output) as [{ readonly hashkv: object }];
    expect(hashkv).toMatchObject({ hash: Number(hashes[0]!.split(" ")[0]), hash_revision: "15" });
    expect(await cli(["compact", "15"])).toMatchObject({ exitCode: 1 });
    expect(await cli(["compact", "99999"])).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: mvcc: required revision is a future revision\n",
    });
    const gone = await cli(["hashkv", "--rev=14"], urls.slice(0, 1));
    expect([gone.exitCode, gone.output]).toEqual([1, expect.stringContaining("has been compacted")]);
  });

  it("says which endpoints are well", async () => {
    const [dead] = await freePorts(1);
    const all = await cli(["endpoint", "health"]);
    expect([all.exitCode, rows(all.output).map(([, verdict]) => verdict)]).toEqual([
      0,
      ["healthy", "healthy", "healthy"],
    ]);
    const some = await cli(["endpoint", "health"], [urls[0]!, `http://127.0.0.1:${dead}`]);
    expect([some.exitCode, some.output]).toEqual([4, expect.stringContaining("ECONNREFUSED")]);
    expect((await cli(["endpoint", "status"])).output).toBe((await cli(["status"])).output);
  });

  it("hands leadership over, and says why not", async () => {
    const leads = ({ engine }: EmbeddedEngine): boolean =>
      engine.status().leaderId === engine.status().nodeId;
    const leader = engines.find(leads)!;
    const other = engines.find((each) => !leads(each))!;
    const [from, to] = [leader, other].map(({ engine }) => engine.status().nodeId.toString(16));
    expect(await cli(["move-leader", "abc"])).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: bad leader transferee\n",
    });
    const followerUrl = urls[engines.indexOf(other)]!;
    const elsewhere = await cli(["move-leader", to!], [followerUrl]);
    expect([elsewhere.exitCode, elsewhere.errors]).toEqual([
      1,
      expect.stringContaining("the leader is not among the endpoints"),
    ]);
    expect(await cli(["move-leader", to!])).toEqual({
      exitCode: 0,
      output: `Leadership transferred from ${from} to ${to}\n`,
      errors: "",
    });
    expect(leads(other)).toBe(true);
    // The API's own word for it, asked of a follower.
    const response = await fetch(`${urls[engines.indexOf(leader)]}/v3/maintenance/transfer-leadership`, {
      method: "POST",
      body: JSON.stringify({ targetID: String(leader.engine.status().nodeId) }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { message: "etcdserver: not leader" },
    ]);
  });

  it("says in etcd's words why the members stay as they are", async () => {
    const [url] = urls;
    const ask = async (path: string, body: object): Promise<readonly [number, string]> => {
      const response = await fetch(`${url}/v3/cluster/member/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      const { code, message } = (await response.json()) as {
        readonly code: number;
        readonly message: string;
      };
      return [code, message];
    };
    const members = async (): Promise<string> => (await cli(["member", "list"], [url!])).output;
    const before = await members();
    const ids = engines.map(({ engine }) => String(engine.status().nodeId));
    const [, , dead] = engines;
    const taken = new URL(/http:\S+/.exec(before)![0]).origin;

    expect(await ask("promote", { ID: "12345" })).toEqual([5, "etcdserver: member not found"]);
    expect(await ask("promote", { ID: ids[1] })).toEqual([
      9,
      "etcdserver: can only promote a learner member",
    ]);
    expect(await ask("remove", { ID: "12345" })).toEqual([5, "etcdserver: member not found"]);
    expect(await ask("update", { ID: "12345", peerURLs: ["http://127.0.0.1:9"] })).toEqual([
      5,
      "etcdserver: member not found",
    ]);
    for (const peerURLs of [[], ["ftp://a:1"], ["http://a:1/path"], ["nowhere"]]) {
      for (const path of ["add", "update"]) {
        expect(await ask(path, { ID: ids[0], peerURLs })).toEqual([
          3,
          "etcdserver: given member URLs are invalid",
        ]);
      }
    }
    expect(await ask("add", { peerURLs: [taken] })).toEqual([9, "etcdserver: Peer URLs already exists"]);

    // With one of three gone, there must be neither four voters nor two of whom one is not there.
    await dead!.stop();
    // Longer than the election timeout, for as long as which the leader takes a member for there.
    await sleep(2000);
    const refusal = [14, "etcdserver: unhealthy cluster"];
    expect(await ask("remove", { ID: ids[1] })).toEqual(refusal);
    expect(await ask("add", { peerURLs: ["http://127.0.0.1:9"] })).toEqual(refusal);
    expect(await members()).toBe(before);
  });

  it.each([
    [["compact"], "<revision> is missing"],
    [["compact", "x"], "must be a whole number"],
    [["endpoint"], "endpoint takes status, health, hashkv"],
    [["endpoint", "health", "--rev=1"], "--rev belongs to"],
    [["move-leader", "nobody"], "is not a member id"],
  ])("refuses %j", async (args, problem) => {
    const { exitCode, errors } = await cli(args);
    expect(exitCode).toBe(2);
    expect(errors).toContain(problem);
  });
});
