// Engines whose storage is named by a URL.

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { EngineError } from "../../../src/core/errors/index.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "../../../src/runtimes/node/index.ts";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { DynamoDbDouble } from "../../adapters/dynamodb/dynamodb-double.ts";
import { freePorts } from "./free-ports.ts";
import { tempDir } from "./temp-dirs.ts";

let double: DynamoDbDouble;
beforeAll(async () => {
  double = await DynamoDbDouble.start();
  // For the SDK's own chain, which is what an engine relies on.
  process.env["AWS_ACCESS_KEY_ID"] = "local";
  process.env["AWS_SECRET_ACCESS_KEY"] = "local";
});
afterAll(() => double.stop());

let prefixes = 0;
const url = (prefix = `p${prefixes++}`, options = ""): string =>
  `dynamodb://engine/${prefix}?region=us-east-1&endpoint=${double.endpoint}${options}`;

async function start(options: EmbeddedOptions): Promise<EmbeddedEngine> {
  const engine = await EmbeddedEngine.start("unused", { env: {}, logLevel: "error", ...options });
  onTestFinished(() => engine.stop());
  await engine.waitReady(30_000);
  return engine;
}

const SILENT = { log: () => {} };

describe("an engine in a table", () => {
  it("is there again after a restart, wherever that is", async () => {
    const storage = url();
    const first = await start({ storage });
    const { nodeId } = first;
    await first.client().put("k", "v");
    await first.stop();
    const second = await start({ storage });
    expect(second.nodeId).toBe(nodeId);
    expect(await second.client().getText("k")).toBe("v");
  });

  it("is fenced by one that takes it over, and says nothing more", async () => {
    const storage = url();
    const first = await start({ storage, logger: SILENT });
    await first.client().put("k", "old");
    const failed = new Promise((resolve) => first.onFailure(resolve));
    const second = await start({ storage });
    await second.client().put("k", "new");
    const read = await first
      .client()
      .getText("k")
      .catch((error: unknown) => (error as EngineError).code);
    expect(read).toBe("stopped");
    expect(await failed).toMatchObject({ code: "fenced" });
    await expect(first.client().put("k", "older")).rejects.toMatchObject({ code: expect.any(String) });
    expect(await second.client().getText("k")).toBe("new");
  });

  it("is left to the last of those that start together", async () => {
    const storage = url();
    await (await start({ storage })).stop();
    let rival: Promise<EmbeddedEngine> | null = null;
    double.hold = ({ operation }) => {
      // The first is about to take ownership, of what it has read before: now the other comes.
      if (operation !== "PutItem" || rival !== null) return null;
      rival = start({ storage, logger: SILENT });
      return rival.then((engine) => engine.client().put("k", "v"));
    };
    onTestFinished(() => void (double.hold = () => null));
    const said: string[] = [];
    const engine = await start({ storage, logger: { log: (_level, message) => void said.push(message) } });
    expect(said).toContain("another process wrote to the storage while this one was starting: once more");
    expect(await engine.client().getText("k")).toBe("v");
    await expect((await rival!).client().getText("k")).rejects.toMatchObject({ code: "stopped" });
  });

  it("may have its log in one place and its metadata in another", async () => {
    const [storage, storageMeta] = [url(), `sqlite:${await tempDir()}`];
    const first = await start({ storage, storageMeta });
    await first.client().put("k", "v");
    await first.stop();
    await expect(
      EmbeddedEngine.start("unused", { env: {}, storage: url(), storageMeta, logger: SILENT }),
    ).rejects.toMatchObject({ code: "storageCorrupt" });
    await expect(
      EmbeddedEngine.start("unused", {
        env: {},
        storage,
        storageMeta: `sqlite:${await tempDir()}`,
        logger: SILENT,
      }),
    ).rejects.toMatchObject({ code: "storageCorrupt" });
    const second = await start({ storage, storageMeta });
    expect(await second.client().getText("k")).toBe("v");
  });

  it("has members side by side under one prefix", async () => {
    const storage = url();
    const one = await start({ storage, name: "one" });
    const other = await start({ storage, name: "other" });
    const third = await start({ storage, name: "one", group: "second" });
    for (const engine of [one, other, third]) await engine.client().put("who", String(engine.nodeId));
    for (const engine of [one, other, third]) {
      expect(await engine.client().getText("who")).toBe(String(engine.nodeId));
    }
  });

  it("is refused under the configuration of another cluster, and nothing is written", async () => {
    const storage = url();
    const [port] = await freePorts(1);
    const initialCluster = `default=http://127.0.0.1:${port}`;
    const first = await start({ storage });
    await first.client().put("k", "v");
    double.requests.length = 0;
    await expect(
      EmbeddedEngine.start("unused", {
        env: {},
        storage,
        initialCluster,
        listenPeerUrls: `http://127.0.0.1:${port}`,
        logger: SILENT,
      }),
    ).rejects.toMatchObject({
      code: "storageForeign",
      detail: expect.stringContaining("dynamodb://engine/"),
    });
    expect(
      double.requests.filter(({ operation }) => operation !== "GetItem" && operation !== "Query"),
    ).toEqual([]);
    expect(await first.client().getText("k")).toBe("v");
  });

  it("that cannot be reached does not start, and leaves nothing open", async () => {
    double.fault = () => ({ status: 400, name: "ResourceNotFoundException", message: "not found" });
    await expect(
      EmbeddedEngine.start("unused", { env: {}, storage: url(), logger: SILENT }),
    ).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringContaining('there is no table "engine" in region us-east-1'),
    });
    double.fault = () => null;
  });
});

it("memory: keeps nothing, and says so", async () => {
  const said: string[] = [];
  const engine = await start({
    storage: "memory:",
    logger: { log: (_level, message) => void said.push(message) },
  });
  await engine.client().put("k", "v");
  expect(said).toContain("storage is in memory: what is written is gone with the process");
});

it("stores of one's own bring their own metadata", async () => {
  await expect(
    EmbeddedEngine.start("unused", { env: {}, storage: new MemoryStorage(), storageMeta: "memory:" }),
  ).rejects.toMatchObject({ code: "invalidConfig" });
});
