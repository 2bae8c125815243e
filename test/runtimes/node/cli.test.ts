import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const MAIN = fileURLToPath(new URL("../../../src/runtimes/node/cli/main.ts", import.meta.url));

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly peerUrl: string;
  readonly exited: Promise<number | null>;
  readonly log: Promise<string>;
}

/** Whatever becomes of a test, its servers do not outlive it. */
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

function spawnCli(args: readonly string[], env: Record<string, string> = {}, prefix: readonly string[] = []) {
  const [program, ...rest] = [...prefix, process.execPath, MAIN, ...args];
  const child = spawn(program!, rest, {
    env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  return { child, exited, output: text(child.stdout), log: text(child.stderr) };
}

async function serve(dataDir: string, prefix: readonly string[] = []): Promise<Served> {
  const [port, peerPort] = await freePorts(2);
  const url = `http://127.0.0.1:${port}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const flags = [`--listen-client-urls=${url}`, `--listen-peer-urls=${peerUrl}`, `--data-dir=${dataDir}`];
  const started = spawnCli(["serve", ...flags, "--log-format=json"], { ETCD_NAME: "n1" }, prefix);
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(200), {
    timeout: 30_000,
    interval: 50,
  });
  return { ...started, url, peerUrl };
}

describe("d-engine against a running server", () => {
  let server: Served;
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await tempDir();
    server = await serve(dataDir);
  });
  afterAll(async () => {
    server.child.kill("SIGKILL");
    await server.exited;
    await removeTempDirs();
  });

  async function cli(args: readonly string[], input?: Uint8Array) {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url }, input);
    const exitCode = await run(args, terminal);
    return { exitCode, output: terminal.output, bytes: terminal.bytes, errors: terminal.errors };
  }

  it("puts, gets and removes a value", async () => {
    expect(await cli(["put", "k", "v"])).toMatchObject({ exitCode: 0, output: "revision 2\n" });
    expect(await cli(["get", "k"])).toMatchObject({ exitCode: 0, output: "v\n" });
    for (const how of ["linearizable", "lease", "eventual"]) {
      expect(await cli(["get", "k", "--consistency", how])).toMatchObject({ exitCode: 0, output: "v\n" });
    }
    expect(await cli(["put", "k", "w"])).toMatchObject({ output: "revision 3\n" });
    expect(await cli(["get", "k", "--rev=2"])).toMatchObject({ exitCode: 0, output: "v\n" });
    expect(await cli(["del", "k"])).toMatchObject({ exitCode: 0, output: "1\n" });
    expect(await cli(["del", "k"])).toMatchObject({ exitCode: 3, output: "0\n" });
    expect(await cli(["get", "k"])).toMatchObject({ exitCode: 3, output: "" });
  });

  it("takes and gives bytes as they are", async () => {
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    await cli(["put", "binary", "-"], value);
    const { bytes } = await cli(["get", "binary"]);
    expect([...bytes]).toEqual([...value, 10]);
  });

  it("lists and removes prefixes", async () => {
    for (const [key, value] of [
      ["p/a", "1"],
      ["p/b", "2"],
      ["p/c", "3"],
      ["q", "4"],
    ] as const) {
      await cli(["put", key, value]);
    }
    expect(await cli(["get", "p/", "--prefix"])).toMatchObject({ output: "p/a\n1\np/b\n2\np/c\n3\n" });
    expect(await cli(["get", "p/", "--prefix", "--keys-only", "--limit=2"])).toMatchObject({
      output: "p/a\np/b\n",
    });
    expect(await cli(["get", "nothing", "--prefix"])).toMatchObject({ exitCode: 0, output: "" });
    expect(await cli(["del", "p/", "--prefix"])).toMatchObject({ exitCode: 0, output: "3\n" });
    expect(await cli(["get", "q"])).toMatchObject({ output: "4\n" });
  });

  it("grants, renews, shows and ends leases as etcdctl does", async () => {
    expect(await cli(["lease", "grant", "60", "--id=abc"])).toMatchObject({
      exitCode: 0,
      output: "lease abc granted with TTL(60s)\n",
    });
    expect((await cli(["lease", "grant", "60", "--id=abc"])).exitCode).toBe(1);
    await cli(["put", "leased", "v", "--lease=abc"]);
    expect(await cli(["lease", "keep-alive", "abc", "--once"])).toMatchObject({
      exitCode: 0,
      output: "lease abc keepalived with TTL(60s)\n",
    });
    expect((await cli(["lease", "timetolive", "abc", "--keys"])).output).toMatch(
      /^lease abc granted with TTL\(60s\), remaining\((59|60)s\), attached keys\(\[leased\]\)\n$/,
    );
    expect((await cli(["lease", "list"])).output).toBe("found 1 leases\nabc\n");
    expect(await cli(["lease", "revoke", "abc"])).toMatchObject({ output: "lease abc revoked\n" });
    expect((await cli(["get", "leased"])).exitCode).toBe(3);
    expect(await cli(["lease", "timetolive", "abc"])).toMatchObject({
      exitCode: 3,
      output: "lease abc already expired\n",
    });
    expect(await cli(["lease", "keep-alive", "abc"])).toMatchObject({
      exitCode: 3,
      output: "lease abc expired or revoked.\n",
    });
    for (const wrong of [[], ["give"], ["grant"], ["grant", "x"], ["revoke", "0"], ["revoke", "xyz"]]) {
      expect((await cli(["lease", ...wrong])).exitCode).toBe(2);
    }
  });

  it("puts keys and grants leases that live for milliseconds", async () => {
    await cli(["put", "short", "v", "--ttl-ms=50"]);
    await vi.waitFor(async () => expect((await cli(["get", "short"])).exitCode).toBe(3), { timeout: 30_000 });
    expect((await cli(["lease", "grant", "--ttl-ms=250"])).output).toMatch(/granted with TTL\(250ms\)\n$/);
  });

  it("runs a command while it holds a lock, and exits as that does", async () => {
    const script = `process.stdout.write(process.env.D_ENGINE_LOCK_KEY.split("/")[0]); process.exit(process.env.D_ENGINE_LOCK_TOKEN > 1 ? 7 : 1)`;
    const env = { D_ENGINE_ENDPOINTS: server.url };
    const ran = spawnCli(["lock", "job", "--", process.execPath, "-e", script], env);
    expect([await ran.exited, await ran.output]).toEqual([7, "job"]);
    const { kvs = [] } = JSON.parse((await cli(["get", "job/", "--prefix", "--json"])).output);
    expect(kvs).toEqual([]);
    const none = spawnCli(["lock", "job", "--", "/no/such/program"], env);
    expect([await none.exited, await none.log]).toEqual([127, expect.stringContaining("cannot run")]);
  });

  it("holds a lock until it is interrupted, or its lease is revoked", async () => {
    const holder = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url });
    const held = run(["lock", "held"], holder);
    await vi.waitFor(() => expect(holder.output).toMatch(/^held\/[0-9a-f]+\n$/), { timeout: 30_000 });
    expect(await cli(["lock", "held", "--try", "--", "true"])).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("the lock is held by another"),
    });
    const waiter = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url });
    const waited = run(["lock", "held", "--ttl=2"], waiter);
    await vi.waitFor(
      async () => {
        const { count } = JSON.parse((await cli(["get", "held/", "--prefix", "--json"])).output);
        expect(count).toBe("2");
      },
      { timeout: 30_000 },
    );
    holder.interruption.abort();
    expect(await held).toBe(0);
    await vi.waitFor(() => expect(waiter.output).toMatch(/^held\//), { timeout: 30_000 });
    await cli(["lease", "revoke", waiter.output.trim().split("/")[1]!]);
    expect([await waited, waiter.errors]).toEqual([1, expect.stringContaining("the lease has ended")]);
  });

  it("leaves the line when it is interrupted in it", async () => {
    const holder = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url });
    const held = run(["lock", "line"], holder);
    await vi.waitFor(() => expect(holder.output).not.toBe(""), { timeout: 30_000 });
    const waiter = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url });
    const waited = run(["lock", "line"], waiter);
    const inLine = async (): Promise<string> =>
      JSON.parse((await cli(["get", "line/", "--prefix", "--json"])).output).count;
    await vi.waitFor(async () => expect(await inLine()).toBe("2"), { timeout: 30_000 });
    waiter.interruption.abort();
    expect([await waited, waiter.output]).toEqual([1, ""]);
    expect(await inLine()).toBe("1");
    holder.interruption.abort();
    await held;
  });

  it("leads, and shows who does", async () => {
    const onlooker = spawnCli(["elect", "chair", "--listen"], { D_ENGINE_ENDPOINTS: server.url });
    const shown = once(onlooker.child.stdout!, "data");
    const leader = new FakeTerminal({ D_ENGINE_ENDPOINTS: server.url });
    const led = run(["elect", "chair", "me"], leader);
    await vi.waitFor(() => expect(leader.output).toMatch(/^chair\/[0-9a-f]+\nme\n$/), { timeout: 30_000 });
    const [seen] = (await shown) as [Buffer];
    expect(seen.toString()).toBe(leader.output);
    onlooker.child.kill();
    leader.interruption.abort();
    expect(await led).toBe(0);
  });

  it("prints the API's reply with --json", async () => {
    await cli(["put", "j", "1"]);
    const reply = JSON.parse((await cli(["get", "j", "--json"])).output);
    expect(reply).toMatchObject({ count: "1", kvs: [{ key: "ag==", value: "MQ==" }] });
  });

  it("shows what each endpoint says of itself", async () => {
    const { exitCode, output } = await cli(["status"]);
    expect(exitCode).toBe(0);
    const [headings, row] = output.split("\n");
    expect(headings).toMatch(/^ENDPOINT +ID +ROLE +TERM/);
    expect(row).toMatch(new RegExp(`^${server.url} +[0-9a-f]+ +leader +\\d+`));

    const [deadPort] = await freePorts(1);
    const both = await cli(["status", `--endpoints=${server.url},http://127.0.0.1:${deadPort}`]);
    expect(both.exitCode).toBe(4);
    expect(both.output).toMatch(/leader/);
    expect(both.output).toMatch(/ECONNREFUSED/);
  });

  it("lists and disarms alarms", async () => {
    expect(await cli(["alarm", "list"])).toMatchObject({ exitCode: 0, output: "" });
    const raise = { action: "ACTIVATE", memberID: "26", alarm: "NOSPACE" };
    await fetch(`${server.url}/v3/maintenance/alarm`, { method: "POST", body: JSON.stringify(raise) });
    expect((await cli(["alarm", "list"])).output).toMatch(/^MEMBER +ALARM *\n1a +NOSPACE *\n$/);
    expect((await cli(["status"])).output).toMatch(/memberID:26 alarm:NOSPACE/);
    expect(await cli(["put", "full", "1"])).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: mvcc: database space exceeded\n",
    });
    const { output } = await cli(["alarm", "disarm", "--json"]);
    expect(JSON.parse(output)).toMatchObject({ alarms: [{ memberID: "26", alarm: "NOSPACE" }] });
    expect((await cli(["alarm", "list"])).output).toBe("");
    expect(await cli(["put", "full", "1"])).toMatchObject({ exitCode: 0 });
  });

  it("adds, lists, updates and removes members", async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const added = await cli(["member", "add", "n2", `--peer-urls=${url}`]);
    expect(added.exitCode).toBe(0);
    const id = /^Member ([0-9a-f]+) added/.exec(added.output)?.[1] ?? "none";
    const cluster = /ETCD_INITIAL_CLUSTER="(.*)"/.exec(added.output)?.[1]?.split(",").sort();
    expect(cluster).toEqual([`n1=${server.peerUrl}`, `n2=${url}`].sort());
    expect(added.output).toContain(`ETCD_INITIAL_CLUSTER_STATE="existing"`);
    expect((await cli(["member", "list"])).output).toMatch(new RegExp(`${id} +unstarted .* learner`));
    // Nobody runs it, so it cannot be caught up.
    expect(await cli(["member", "promote", id])).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("in sync with leader"),
    });
    const [other] = await freePorts(1);
    expect((await cli(["member", "update", id, `--peer-urls=http://127.0.0.1:${other}`])).exitCode).toBe(0);
    expect((await cli(["member", "list"])).output).toContain(`http://127.0.0.1:${other}`);
    expect(await cli(["member", "remove", id])).toMatchObject({ exitCode: 0 });
    expect((await cli(["member", "list"])).output).not.toContain(id);
    expect(await cli(["member", "remove", id])).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: member not found\n",
    });
  });

  it("stops on SIGTERM with status 0, and finds everything again", async () => {
    await cli(["put", "kept", "over a restart"]);
    server.child.kill("SIGTERM");
    expect(await server.exited).toBe(0);
    const lines = (await server.log)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { message: string });
    expect(lines.map(({ message }) => message)).toEqual(
      expect.arrayContaining(["node started", "stopping; a second signal stops at once", "node stopped"]),
    );
    server = await serve(dataDir);
    expect(await cli(["get", "kept"])).toMatchObject({ output: "over a restart\n" });
  });

  it("loses nothing that it acknowledged to SIGKILL", async () => {
    await cli(["put", "acknowledged", "yes"]);
    server.child.kill("SIGKILL");
    await server.exited;
    server = await serve(dataDir);
    expect(await cli(["get", "acknowledged"])).toMatchObject({ output: "yes\n" });
  });
});

describe("d-engine serve", () => {
  afterEach(removeTempDirs);

  it("says what is wrong with its settings and ends with status 2", async () => {
    const { exited, log } = spawnCli(["serve", "--heartbeat-interval=fast"]);
    expect(await exited).toBe(2);
    expect(await log).toMatch(/^d-engine: --heartbeat-interval must be a whole number of milliseconds/);
  });

  it("does not start on a directory that holds something else", async () => {
    const dir = await tempDir();
    const [port] = await freePorts(1);
    const first = await serve(dir);
    const flags = [`--listen-client-urls=http://127.0.0.1:${port}`, `--data-dir=${dir}`];
    const second = spawnCli(["serve", ...flags]);
    expect(await second.exited).toBe(1);
    expect(await second.log).toMatch(/did not start.*in use by another process/);
    first.child.kill("SIGINT");
    expect(await first.exited).toBe(0);
  });

  it("ends with status 1 when its disk fails, and says that the write's outcome is not known", async () => {
    // A limit on the size of files stands in for a full disk.
    const server = await serve(await tempDir(), ["sh", "-c", 'ulimit -f 2000; exec "$0" "$@"']);
    const terminal = new FakeTerminal({}, new Uint8Array(900_000));
    let exitCode = 0;
    for (let i = 0; i < 10 && exitCode === 0; i++) {
      exitCode = await run(["put", `k${i}`, "-", `--endpoints=${server.url}`], terminal);
    }
    expect(exitCode).toBe(5);
    expect(await server.exited).toBe(1);
    expect(await server.log).toMatch(/"level":"error","message":"the node stops because of a failure"/);
  });

  it("prints its help, its version and every setting it has", async () => {
    const terminal = new FakeTerminal();
    expect(await run(["serve", "--help"], terminal)).toBe(0);
    expect(terminal.output).toMatch(/--initial-cluster-token <text>.*\n.*ETCD_INITIAL_CLUSTER_TOKEN/);
    expect(terminal.output).toMatch(/not supported yet: .*--wal-dir/);
    const version = new FakeTerminal();
    expect(await run(["--version"], version)).toBe(0);
    expect(version.output).toMatch(/^d-engine \d+\.\d+\.\d+/);
  });
});

describe("d-engine against servers that misbehave", () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await removeTempDirs();
  });

  /** Answers everything with this; null never answers. Counts what arrives. */
  async function fake(reply: { status: number; body: string } | null) {
    const counter = { requests: 0 };
    const server = createServer((_request, response) => {
      counter.requests++;
      if (reply !== null) response.writeHead(reply.status).end(reply.body);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counter };
  }

  const error = (status: number, code: number, message: string) => ({
    status,
    body: JSON.stringify({ error: message, message, code }),
  });
  const ok = {
    status: 200,
    body: JSON.stringify({ header: { revision: "7" }, kvs: [{ key: "aw==", value: "dg==" }] }),
  };

  async function cli(args: readonly string[], endpoints: readonly string[]) {
    const terminal = new FakeTerminal();
    const exitCode = await run([...args, `--endpoints=${endpoints.join(",")}`, "--timeout=300"], terminal);
    return { exitCode, output: terminal.output, errors: terminal.errors };
  }

  it("does not repeat a write that may have been taken", async () => {
    const silent = await fake(null);
    const good = await fake(ok);
    expect(await cli(["put", "k", "v"], [silent.url, good.url])).toMatchObject({
      exitCode: 5,
      errors: expect.stringMatching(/no answer within 300 ms\nThe write may or may not have taken effect/),
    });
    expect([silent.counter.requests, good.counter.requests]).toEqual([1, 0]);

    const unavailable = await fake(error(503, 14, "etcdserver: leader changed"));
    expect(await cli(["del", "k"], [unavailable.url, good.url])).toMatchObject({ exitCode: 5 });
    expect(good.counter.requests).toBe(0);
  });

  it("tries the next endpoint with a write that was certainly not sent", async () => {
    const [dead] = await freePorts(1);
    const good = await fake(ok);
    expect(await cli(["put", "k", "v"], [`http://127.0.0.1:${dead}`, good.url])).toMatchObject({
      exitCode: 0,
      output: "revision 7\n",
    });
  });

  it("tries the next endpoint with a read", async () => {
    const silent = await fake(null);
    const unavailable = await fake(error(503, 14, "etcdserver: no leader"));
    const good = await fake(ok);
    expect(await cli(["get", "k"], [silent.url, unavailable.url, good.url])).toMatchObject({
      exitCode: 0,
      output: "v\n",
    });
  });

  it("takes a definite no for an answer", async () => {
    const refusing = await fake(error(429, 8, "etcdserver: too many requests"));
    const good = await fake(ok);
    for (const args of [
      ["get", "k"],
      ["put", "k", "v"],
    ]) {
      expect(await cli(args, [refusing.url, good.url])).toMatchObject({
        exitCode: 1,
        errors: "etcdserver: too many requests\n",
      });
    }
    expect(good.counter.requests).toBe(0);
  });

  it("notices that it talks to something else", async () => {
    const website = await fake({ status: 404, body: "<html>" });
    expect(await cli(["get", "k"], [website.url])).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("this is no d-engine or etcd: status 404"),
    });
  });

  it("ends with status 4 when nobody can be reached", async () => {
    const [dead] = await freePorts(1);
    for (const args of [
      ["get", "k"],
      ["put", "k", "v"],
      ["member", "list"],
    ]) {
      expect(await cli(args, [`http://127.0.0.1:${dead}`])).toMatchObject({ exitCode: 4 });
    }
  });

  it.each([
    [["frobnicate"], /there is no command frobnicate/],
    [["stauts"], /did you mean status\?/],
    [["get"], /<key> is missing/],
    [["put", "k"], /<value> is missing/],
    [["get", "k", "l"], /"l" is one argument too many/],
    [["get", "k", "--prefx"], /there is no option --prefx \(did you mean --prefix\?\)/],
    [["get", "k", "--limit=many"], /--limit must be a whole number, not "many"/],
    [["get", "k", "--consistency=strong"], /--consistency must be one of linearizable, lease, eventual/],
    [["get", "k", "--endpoints=nowhere"], /--endpoints: "nowhere" is not a URL/],
    [["get", "k", "--cert=x"], /--cert and --key belong together/],
    [["get", "k", "--cacert=/does/not/exist"], /--cacert: cannot read/],
    [["member"], /member takes list, add, promote, update, remove/],
    [["alarm"], /alarm takes list, disarm$/m],
    [["alarm", "raise"], /alarm takes list, disarm, not "raise"/],
    [["member", "promote", "xyz"], /"xyz" is not a member id in hex/],
    [["member", "add", "n2"], /--peer-urls is missing/],
  ])("refuses %j", async (args, message) => {
    const terminal = new FakeTerminal();
    expect(await run(args, terminal)).toBe(2);
    expect(terminal.errors).toMatch(message);
  });

  it("reads a configuration file named on its command line", async () => {
    const path = join(await tempDir(), "config.json");
    await writeFile(path, '{"election-timeout": 1}');
    const terminal = new FakeTerminal();
    expect(await run(["serve", "--config-file", path], terminal)).toBe(2);
    expect(terminal.errors).toMatch(
      /"election-timeout" in .*config.json \(1 ms\) must be at least three times/,
    );
  });
});
