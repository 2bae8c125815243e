import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

describe("d-engine snapshot", () => {
  let engine: EmbeddedEngine;
  let url: string;
  let dir: string;
  let file: string;
  const running: (EmbeddedEngine | Server)[] = [];

  beforeAll(async () => {
    dir = await tempDir();
    file = join(dir, "backup.snap");
    url = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    engine = await EmbeddedEngine.start(join(dir, "data"), { listenClientUrls: url, env: {} });
    await engine.waitReady(30_000);
    const client = engine.client();
    for (let i = 0; i < 30; i++) await client.put(`k${i}`, "v".repeat(40_000));
    await client.delete("k0");
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await (each instanceof EmbeddedEngine ? each.stop() : each.close());
  });
  afterAll(async () => {
    await engine.stop();
    await removeTempDirs();
  });

  async function cli(args: readonly string[], endpoints = url) {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: endpoints });
    const exitCode = await run(["snapshot", ...args], terminal);
    return { exitCode, output: terminal.output, errors: terminal.errors };
  }

  async function answering(body: string, status = 200): Promise<string> {
    const server = createServer((_request, response) => response.writeHead(status).end(body));
    running.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it("saves the state, and says what is in it", async () => {
    expect(await cli(["save", file])).toEqual({
      exitCode: 0,
      output: `Snapshot saved at ${file}\n`,
      errors: "",
    });
    const { revision } = engine.engine.status();
    const saved = await cli(["save", file, "--json"]);
    const json = JSON.parse(saved.output) as { readonly sha256: string; readonly totalSize: number };
    expect(json).toMatchObject({ file, revision });
    expect((await readFile(file)).length).toBe(json.totalSize);
    const status = await cli(["status", file]);
    expect(status.exitCode).toBe(0);
    expect(status.output).toMatch(
      new RegExp(`^HASH .*\\n${json.sha256.slice(0, 8)} +${revision} +29 +1\\.2 MB .*Z\\n$`),
    );
    expect(JSON.parse((await cli(["status", file, "--json"])).output)).toMatchObject({
      sha256: json.sha256,
      totalKey: 29,
      revision,
    });
    expect(await readdir(dir)).toEqual(["backup.snap", "data"]);
  });

  it("shows how far it has come to whoever looks on, and to nobody else", async () => {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: url });
    terminal.isWatched = true;
    expect(await run(["snapshot", "save", file, "--json"], terminal)).toBe(0);
    expect(terminal.errors).toMatch(/saving \[\.+\] +0% of 1\.2 MB/);
    expect(terminal.errors.endsWith("\r\u001b[K")).toBe(true);
    expect(JSON.parse(terminal.output)).toMatchObject({ file });
  });

  it("restores it as a new cluster, which goes on from there and can be started with the same settings", async () => {
    const [port, peerPort] = await freePorts(2);
    const initialCluster = `n1=http://127.0.0.1:${peerPort}`;
    const dataDir = join(dir, "restored");
    const restored = await cli(
      ["restore", file, "--name=n1", `--initial-cluster=${initialCluster}`, `--data-dir=${dataDir}`],
      "http://127.0.0.1:1",
    );
    expect(restored).toMatchObject({ exitCode: 0, errors: "" });
    expect(restored.output).toContain("with 29 keys at revision 32");
    const before = engine.engine.status();
    const options = {
      name: "n1",
      initialCluster,
      listenPeerUrls: `http://127.0.0.1:${peerPort}`,
      listenClientUrls: `http://127.0.0.1:${port}`,
      env: {},
    };
    const hashes: string[] = [];
    for (const round of [1, 2]) {
      const copy = await EmbeddedEngine.start(dataDir, options);
      running.push(copy);
      await copy.waitReady(30_000);
      const { revision, clusterId, nodeId, stateHash } = copy.engine.status();
      expect(clusterId).not.toBe(before.clusterId);
      expect(nodeId).not.toBe(before.nodeId);
      hashes.push(stateHash());
      expect(revision).toBe(before.revision + round - 1);
      await copy.client().put("new", `round ${round}`);
      expect(copy.engine.status().revision).toBe(before.revision + round);
      await copy.stop();
      running.pop();
    }
    expect(hashes[0]).toBe(before.stateHash());
    // What it was made of says who it is: other members, another cluster.
    await expect(
      EmbeddedEngine.start(dataDir, {
        ...options,
        initialCluster: `${initialCluster},n2=http://127.0.0.1:1`,
      }),
    ).rejects.toMatchObject({ code: "storageForeign" });
    const again = await cli(["restore", file, "--name=n1", `--data-dir=${dataDir}`]);
    expect(again.exitCode).toBe(2);
    expect(again.errors).toContain("is not empty, and nothing in it will be overwritten");
  });

  it("gives ids of their own to the clusters of different files, tokens and members", async () => {
    const other = join(dir, "other.snap");
    await engine.client().put("more", "v");
    await cli(["save", other]);
    const ids = new Set<string>();
    for (const [i, args] of [
      [file],
      [other],
      [file, "--initial-cluster-token=t"],
      [file, "--initial-advertise-peer-urls=http://127.0.0.1:7"],
    ].entries()) {
      const { output } = await cli(["restore", ...args, `--data-dir=${join(dir, `ids-${i}`)}`, "--json"]);
      ids.add((JSON.parse(output) as { readonly cluster_id: string }).cluster_id);
    }
    expect(ids.size).toBe(4);
    const same = await cli(["restore", file, `--data-dir=${join(dir, "ids-same")}`, "--json"]);
    expect(ids).toContain((JSON.parse(same.output) as { readonly cluster_id: string }).cluster_id);
  });

  it("refuses a file that is torn, changed or not its own, and writes nothing", async () => {
    const whole = await readFile(file);
    const flipped = Uint8Array.from(whole);
    flipped[whole.length >> 1]! ^= 1;
    const boltdb = Buffer.alloc(8192);
    boltdb.writeUInt32LE(0xed0cdaed, 16);
    const place = await tempDir();
    for (const [content, problem] of [
      [whole.subarray(0, 100_000), "it breaks off after 100000 of"],
      [whole.subarray(0, whole.length - 32), "it breaks off"],
      [Buffer.concat([whole, Buffer.from("x")]), "something follows its end"],
      [flipped, "a checksum does not match"],
      [boltdb, "none that d-engine has made"],
      [new Uint8Array(0), "it breaks off after 0 bytes"],
    ] as const) {
      const bad = join(place, "bad.snap");
      await writeFile(bad, content);
      const empty = join(place, "empty");
      await mkdir(empty, { recursive: true });
      for (const args of [
        ["status", bad],
        ["restore", bad, `--data-dir=${join(place, "new", "data")}`],
        ["restore", bad, `--data-dir=${empty}`],
      ]) {
        const { exitCode, output, errors } = await cli(args);
        expect([exitCode, output]).toEqual([1, ""]);
        expect(errors).toContain(`${bad}: `);
        expect(errors).toContain(problem);
      }
      expect((await readdir(place)).sort()).toEqual(["bad.snap", "empty"]);
      expect(await readdir(empty)).toEqual([]);
    }
    expect((await cli(["restore", join(place, "none.snap")])).errors).toContain("no such file");
  });

  it("leaves no file behind when the stream breaks off, and asks the next endpoint", async () => {
    const target = join(dir, "broken.snap");
    const tornLine = `{"result":{"blob":"${Buffer.from("DENGSNAP").toString("base64")}","remaining_bytes":"9"}}\n`;
    const torn = await answering(tornLine);
    const { exitCode, errors } = await cli(["save", target], torn);
    expect([exitCode, errors]).toEqual([4, `${torn}: the server ended the stream\n`]);
    const hanging = createServer((_request, response) => void response.writeHead(200).write(tornLine));
    running.push(hanging);
    await new Promise<void>((resolve) => hanging.listen(0, "127.0.0.1", resolve));
    const silent = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
    expect(await cli(["save", target, "--timeout=200"], silent)).toMatchObject({
      exitCode: 4,
      errors: `${silent}: nothing came for 200 ms\n`,
    });
    hanging.closeAllConnections();
    const foreign = await answering('{"result":{"blob":"bm90aGluZyBvZiBvdXJz"}}\n');
    expect((await cli(["save", target], foreign)).errors).toContain("none that d-engine has made");
    const refused = await answering('{"message":"etcdserver: permission denied","code":7}', 403);
    expect(await cli(["save", target], refused)).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: permission denied\n",
    });
    await expect(access(target)).rejects.toThrow("ENOENT");
    await expect(access(`${target}.part`)).rejects.toThrow("ENOENT");
    expect((await cli(["save", target], `${torn},${url}`)).exitCode).toBe(0);
    expect((await cli(["status", target])).exitCode).toBe(0);
    expect((await cli(["save", join(dir, "no", "such", "place")])).errors).toContain(
      "no such file or directory",
    );
  });

  it.each([
    [[], "snapshot takes save, status, restore"],
    [["drop", "x"], 'not "drop"'],
    [["save"], "<file> is missing"],
    [["save", "x", "--name=n"], "--name belongs to snapshot restore"],
    [["restore", "x", "--initial-cluster=n2=http://a:1"], "does not contain this member's"],
  ])("refuses %j", async (args, problem) => {
    const { exitCode, errors } = await cli(args);
    expect(exitCode).toBe(2);
    expect(errors).toContain(problem);
  });
});
