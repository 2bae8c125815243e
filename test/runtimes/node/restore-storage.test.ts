// A backup becomes a member's stores wherever `serve` can keep them.

import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { DynamoDbDouble } from "../../adapters/dynamodb/dynamodb-double.ts";
import { startGcsDouble } from "../../adapters/object-store/gcs-double.ts";
import type { ProtocolDouble } from "../../adapters/object-store/protocol-double.ts";
import { startS3Double } from "../../adapters/object-store/s3-double.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const FAST = { logger: { log: () => {} }, heartbeatInterval: 50, electionTimeout: 300 };

let dir: string;
let file: string;
let s3: ProtocolDouble;
let gcs: ProtocolDouble;
let dynamoDb: DynamoDbDouble;
let original: { readonly revision: number; readonly hash: string };
const running: EmbeddedEngine[] = [];

beforeAll(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
  [s3, gcs, dynamoDb] = await Promise.all([startS3Double(), startGcsDouble(), DynamoDbDouble.start()]);
  dir = await tempDir();
  file = join(dir, "backup.snap");
  const url = `http://127.0.0.1:${(await freePorts(1))[0]}`;
  const engine = await EmbeddedEngine.start(join(dir, "data"), { listenClientUrls: url, env: {} });
  await engine.waitReady(30_000);
  for (let i = 0; i < 20; i++) await engine.client().put(`k${i % 15}`, `v${i}`.repeat(1000));
  const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: url });
  if ((await run(["snapshot", "save", file], terminal)) !== 0) throw new Error(terminal.errors);
  const { revision, stateHash } = engine.engine.status();
  original = { revision, hash: stateHash() };
  await engine.stop();
});
afterEach(async () => {
  for (const engine of running.splice(0)) await engine.stop();
});
afterAll(async () => {
  await Promise.all([s3.stop(), gcs.stop(), dynamoDb.stop()]);
  vi.unstubAllEnvs();
  await removeTempDirs();
});

async function restore(...args: readonly string[]) {
  const terminal = new FakeTerminal({});
  const exitCode = await run(["snapshot", "restore", file, "--json", ...args], terminal);
  return { exitCode, output: terminal.output, errors: terminal.errors };
}

const PLACES: readonly (readonly [string, (prefix: string) => string])[] = [
  ["SQLite", (prefix) => `sqlite:${join(dir, prefix)}`],
  ["S3", (prefix) => `s3://engine/${prefix}?region=us-east-1&endpoint=${s3.endpoint}`],
  ["GCS", (prefix) => `gs://engine/${prefix}?endpoint=${gcs.endpoint}`],
  ["DynamoDB", (prefix) => `dynamodb://engine/${prefix}?region=us-east-1&endpoint=${dynamoDb.endpoint}`],
];
const place = (name: string, prefix: string): string => PLACES.find(([each]) => each === name)![1](prefix);

async function start(storage: string, more: object = {}): Promise<EmbeddedEngine> {
  const engine = await EmbeddedEngine.start("unused", { env: {}, ...FAST, storage, ...more });
  running.push(engine);
  await engine.waitReady(30_000);
  return engine;
}

async function stop(engine: EmbeddedEngine): Promise<void> {
  running.splice(running.indexOf(engine), 1);
  await engine.stop();
}

describe.each(PLACES)("a backup that is restored to %s", (_name, url) => {
  it("is a member there, again and again with the same settings, and is not overwritten", async () => {
    const peerPort = (await freePorts(1))[0];
    const peers = `http://127.0.0.1:${peerPort}`;
    const settings = ["--name=n1", `--initial-cluster=n1=${peers}`, `--storage=${url("member")}`];
    const restored = await restore(...settings);
    expect(restored).toMatchObject({ exitCode: 0, errors: "" });
    expect(JSON.parse(restored.output)).toMatchObject({
      revision: original.revision,
      totalKey: 15,
      name: "n1",
    });
    const options = { name: "n1", initialCluster: `n1=${peers}`, listenPeerUrls: peers };
    const hashes: string[] = [];
    for (const round of [0, 1]) {
      const engine = await start(url("member"), options);
      const status = engine.engine.status();
      expect(status.revision).toBe(original.revision + round);
      hashes.push(status.stateHash());
      expect(String(status.clusterId)).toBe(JSON.parse(restored.output).cluster_id);
      await engine.client().put("more", "v");
      await stop(engine);
    }
    expect(hashes[0]).toBe(original.hash);
    const other = { ...options, initialCluster: `n1=${peers},n2=http://127.0.0.1:1` };
    await expect(start(url("member"), other)).rejects.toMatchObject({ code: "storageForeign" });
    const again = await restore(...settings);
    expect(again).toMatchObject({ exitCode: 2, output: "" });
    expect(again.errors).toContain(`--storage`);
    expect(again.errors).toContain("is not empty");
    expect(again.errors).toContain("nothing in it will be overwritten");
  }, 60_000);

  it("counts on from raised revisions, and is another cluster than one without them", async () => {
    const raising = ["--bump-revision=1000", "--mark-compacted"];
    const plain = await restore(`--storage=${url("plain")}`);
    const raised = await restore(`--storage=${url("raised")}`, ...raising);
    expect(raised).toMatchObject({ exitCode: 0, errors: "" });
    const json = JSON.parse(raised.output);
    const revision = original.revision + 1000;
    expect(json).toMatchObject({ revision, compact_revision: revision, totalKey: 15 });
    expect(json.cluster_id).not.toBe(JSON.parse(plain.output).cluster_id);
    const engine = await start(url("raised"));
    const { engine: api } = engine;
    expect(api.status()).toMatchObject({ revision, compactRevision: revision });
    const stream = api.watch();
    stream.create({ key: new TextEncoder().encode("k1"), startRevision: original.revision + 5 });
    const told: unknown[] = [];
    while (told.length < 2) told.push(await stream.next());
    expect(told).toMatchObject([{}, { canceled: true, compactRevision: revision }]);
    await engine.client().put("k1", "new");
    expect(api.status().revision).toBe(revision + 1);
  }, 60_000);
});

describe("a backup that is restored", () => {
  it("can have its metadata in another place", async () => {
    for (const [main, meta] of [
      ["S3", "SQLite"],
      ["SQLite", "DynamoDB"],
    ] as const) {
      const prefix = `bundle-${main}`;
      const urls = { storage: place(main, prefix), storageMeta: place(meta, prefix) };
      const settings = [`--storage=${urls.storage}`, `--storage-meta=${urls.storageMeta}`];
      expect(await restore(...settings)).toMatchObject({ exitCode: 0, errors: "" });
      const engine = await start(urls.storage, { storageMeta: urls.storageMeta });
      expect(engine.engine.status()).toMatchObject({ revision: original.revision });
      await stop(engine);
      // One of the two is in use: nothing is written to the other.
      const used = `--storage-meta=${urls.storageMeta}`;
      const refused = await restore(`--storage=${place("SQLite", `other-${main}`)}`, used);
      expect(refused.exitCode).toBe(2);
      expect(refused.errors).toContain("--storage-meta");
    }
    expect((await readdir(dir)).filter((name) => name.includes("other") || name.startsWith("."))).toEqual([]);
  }, 60_000);

  it("writes nothing where there is something, or the file is bad, or the settings do not fit", async () => {
    const methods: string[] = [];
    s3.fault = ({ method }) => (methods.push(method), null);
    const bad = join(dir, "bad.snap");
    await writeFile(bad, "DENGSNAP");
    const storage = `--storage=${place("S3", "refused")}`;
    const terminal = new FakeTerminal({});
    expect(await run(["snapshot", "restore", bad, storage], terminal)).toBe(1);
    for (const [args, problem] of [
      [["--bump-revision=5"], "go together"],
      [["--mark-compacted"], "go together"],
      [["--bump-revision=0", "--mark-compacted"], "go together"],
      [["--bump-revision=1000000000000000", "--mark-compacted"], "whole number of revisions"],
      [["--storage=memory:"], "gone when this command ends"],
    ] as const) {
      const refused = await restore(
        ...(args.some((arg) => arg.startsWith("--storage")) ? [] : [storage]),
        ...args,
      );
      expect([refused.exitCode, refused.output]).toEqual([2, ""]);
      expect(refused.errors).toContain(problem);
    }
    s3.fault = () => null;
    expect(methods.filter((method) => method !== "GET")).toEqual([]);
    const full = join(dir, "full");
    await mkdir(full);
    await writeFile(join(full, "x"), "");
    expect((await restore(`--storage=sqlite:${full}`)).errors).toContain("is not empty");
  });

  it("says what it has left where a store failed in the middle", async () => {
    s3.fault = ({ method, url }) =>
      method === "PUT" && !/restored-from|conditions/.test(url.pathname)
        ? { type: "reply", reply: { status: 403, body: "<Error/>" } }
        : null;
    const storage = `--storage=${place("S3", "broken")}`;
    const broken = await restore(storage);
    s3.fault = () => null;
    expect(broken.exitCode).toBe(1);
    expect(broken.errors).toContain("delete what was begun in s3://engine/broken");
    expect((await restore(storage)).errors).toContain("is not empty");
  });
});
