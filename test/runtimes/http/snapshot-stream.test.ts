import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { BackupReader } from "../../../src/core/node/index.ts";
import { memoryEngine } from "./memory-engine.ts";
import { post, testApp } from "./test-app.ts";

interface Line {
  readonly result?: {
    readonly header: { readonly revision: string };
    readonly remaining_bytes?: string;
    readonly blob: string;
    readonly version: string;
  };
  readonly error?: { readonly message: string };
}

async function filled(count: number): Promise<ReturnType<typeof memoryEngine>> {
  const engine = memoryEngine();
  for (let i = 0; i < count; i++) {
    const key = new TextEncoder().encode(`k${i}`);
    await engine.put({ key, value: new Uint8Array(10_000).fill(i) });
  }
  return engine;
}

it.each(["", "{}"])("a snapshot comes in blobs, and ends with its SHA-256 (request %j)", async (body) => {
  const engine = await filled(100);
  const response = await post(testApp(engine).app, "/v3/maintenance/snapshot", body);
  expect(response.status).toBe(200);
  const text = await response.text();
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as Line).result!);
  const blobs = lines.map(({ blob }) => Buffer.from(blob, "base64"));
  const file = Buffer.concat(blobs);
  let sent = 0;
  for (const [i, { header, remaining_bytes: remaining = "0", version }] of lines.entries()) {
    sent += blobs[i]!.length;
    expect([header.revision, version, Number(remaining)]).toEqual(["101", "d-engine-1", file.length - sent]);
  }
  expect(blobs.length).toBeGreaterThan(4);
  expect(blobs.at(-1)).toEqual(createHash("sha256").update(file.subarray(0, -32)).digest());
  const store = new KvStore();
  const restorer = store.restorer();
  const reader = new BackupReader((bytes) => restorer.push(bytes));
  reader.push(file);
  expect(reader.finish()).toMatchObject({ revision: 101, bytes: file.length });
  restorer.finish();
  expect(store.stateHash()).toBe(engine.status().stateHash());
});

it("nothing is made ahead of a reader, and one that leaves lets go of the state", async () => {
  const engine = await filled(200);
  let made = 0;
  let isOver = false;
  const counted: typeof engine = {
    ...engine,
    async *backup(options) {
      try {
        for await (const piece of engine.backup(options)) {
          made++;
          yield piece;
        }
      } finally {
        isOver = true;
      }
    },
  };
  const { app } = testApp(counted);
  const body = (await post(app, "/v3/maintenance/snapshot", "{}")).body!.getReader();
  await body.read();
  await body.read();
  await new Promise((resolve) => setTimeout(resolve, 50));
  // The first of them is only the head.
  expect(made).toBe(2);
  await body.cancel();
  expect(isOver).toBe(true);
  // As many as may look at the state at once are let in again.
  for (let i = 0; i < 5; i++) expect((await post(app, "/v3/maintenance/hash", "{}")).status).toBe(200);
});
