import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { KvStore } from "../../../src/core/kv/index.ts";
import { BackupReader, type BackupPiece, type KvEngine } from "../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, put, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

async function alone(seed: number): Promise<{ readonly cluster: Cluster; readonly engine: KvEngine }> {
  const cluster = new Cluster({ seed, founders: 1, raft: FAST });
  return { cluster, engine: await cluster.startAndElect() };
}

async function all(pieces: AsyncIterable<BackupPiece>): Promise<BackupPiece[]> {
  const gathered: BackupPiece[] = [];
  for await (const piece of pieces) gathered.push(piece);
  return gathered;
}

async function backedUp(cluster: Cluster, engine: KvEngine): Promise<Uint8Array> {
  const pieces = await cluster.world.complete("the backup", all(engine.backup()));
  return Buffer.concat(pieces.map((piece) => piece.bytes));
}

/** The state in a file, however it is cut into pieces. */
function read(
  file: Uint8Array,
  pieceBytes = 1000,
): { readonly store: KvStore; readonly reader: BackupReader } {
  const store = new KvStore();
  const restorer = store.restorer();
  const reader = new BackupReader((content) => restorer.push(content));
  for (let at = 0; at < file.length; at += pieceBytes) reader.push(file.subarray(at, at + pieceBytes));
  reader.finish();
  restorer.finish();
  return { store, reader };
}

test("holds the state of when it was begun, while writes go on", async () => {
  const { cluster, engine } = await alone(1);
  for (let i = 0; i < 20; i++) await putNow(cluster, engine, `k${i}`, "x".repeat(50_000));
  await cluster.world.complete("a lease", engine.leaseGrant({ id: 7n, ttlSeconds: 100 }));
  const { hash } = await cluster.world.complete("the hash", engine.hash({}));
  const { revision } = engine.status();

  const stream = engine.backup();
  const first = (await cluster.world.complete("the first piece", stream.next())).value!;
  expect(first.header).toMatchObject({ revision, memberId: engine.nodeId });
  for (let i = 0; i < 20; i++) await putNow(cluster, engine, `k${i}`, "changed");
  await cluster.world.complete("a compaction", engine.compact({ revision: engine.status().revision }));
  const pieces = [first, ...(await cluster.world.complete("the rest", all(stream)))];

  const file = Buffer.concat(pieces.map((piece) => piece.bytes));
  expect(first.remainingBytes).toBe(file.length - first.bytes.length);
  expect(pieces.at(-1)).toMatchObject({ remainingBytes: 0 });
  const digest = createHash("sha256").update(file.subarray(0, -32)).digest();
  expect(Buffer.from(pieces.at(-1)!.bytes)).toEqual(digest);
  // What etcd's tools look at.
  expect(file.length % 512).toBe(32);
  expect(Math.max(...pieces.map((piece) => piece.bytes.length))).toBeLessThanOrEqual(64 << 10);

  const { store, reader } = read(file);
  expect([store.revision, store.hash(), store.leaseCount]).toEqual([revision, hash, 1]);
  expect(reader.head).toMatchObject({ revision, memberId: engine.nodeId, groupId: "group" });
  // Nothing is held any more: what was compacted can be freed.
  await cluster.world.until("freed memory", () => engine.status().dbSize < 10_000);
});

test("what is cut, changed, longer or foreign is refused, and said to be", async () => {
  const { cluster, engine } = await alone(2);
  for (let i = 0; i < 5; i++) await putNow(cluster, engine, `k${i}`, `value ${i}`);
  const file = await backedUp(cluster, engine);
  for (const size of [1, 7, file.length]) expect(read(file, size).store.keyCount).toBe(5);

  for (let length = 0; length < file.length; length++) {
    expect(() => read(file.subarray(0, length)), `cut at ${length}`).toThrow("it breaks off after");
  }
  for (let at = 0; at < file.length; at++) {
    const changed = Uint8Array.from(file);
    changed[at]! ^= 1;
    expect(() => read(changed), `changed at ${at}`).toThrow(EngineError);
  }
  expect(() => read(Buffer.concat([file, bytes("x")]))).toThrow("something follows its end");
  expect(() => read(bytes("SQLite format 3".padEnd(1000)))).toThrow("none that d-engine has made");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      expect(() => read(noise)).toThrow(EngineError);
      expect(() => read(Buffer.concat([file.subarray(0, 13), noise]))).toThrow(EngineError);
    }),
    { numRuns: 200 },
  );
});

test("a reader that takes nothing lets go of the state after a minute, and few may take it at once", async () => {
  const { cluster, engine } = await alone(3);
  await putNow(cluster, engine, "k", "v");
  const readers = [1, 2, 3, 4].map(() => engine.backup());
  for (const reader of readers) await cluster.world.complete("a piece", reader.next());
  expect((await errorOf(cluster, engine.hash({}))).code).toBe("tooManyRequests");
  expect((await errorOf(cluster, engine.backup().next())).code).toBe("tooManyRequests");
  await cluster.world.runFor(61_000);
  for (const reader of readers) expect((await errorOf(cluster, reader.next())).code).toBe("timeout");
  expect((await backedUp(cluster, engine)).length).toBe(512 + 32);

  const given = engine.backup();
  await cluster.world.complete("a piece", given.next());
  await given.return();
  const over = new AbortController();
  const canceled = engine.backup({ signal: over.signal });
  await cluster.world.complete("a piece", canceled.next());
  over.abort();
  await cluster.world.complete("the content", canceled.next());
  expect((await errorOf(cluster, canceled.next())).code).toBe("canceled");
});

test("a reader that is slower than 64 KiB in a second lets go of the state in the end, and one that is not does not", async () => {
  const { cluster, engine } = await alone(6);
  for (let i = 0; i < 20; i++) await putNow(cluster, engine, `k${i}`, "x".repeat(64 << 10));
  const read = async (pauseMs: number): Promise<number> => {
    const stream = engine.backup();
    for (let pieces = 1; ; pieces++) {
      if ((await cluster.world.complete("a piece", stream.next())).done === true) return pieces;
      await cluster.world.runFor(pauseMs);
    }
  };
  expect(await read(900)).toBeGreaterThan(20);
  await expect(read(10_000)).rejects.toMatchObject({ code: "timeout" });
  await cluster.world.complete("a hash", engine.hash({}));
});

test("whoever has been given the last piece holds nothing, whether or not they ask what comes after it", async () => {
  const { cluster, engine } = await alone(5);
  await putNow(cluster, engine, "k", "v");
  for (let reader = 0; reader < 4; reader++) {
    const stream = engine.backup();
    for (let left = Infinity; left > 0;) {
      left = (await cluster.world.complete("a piece", stream.next())).value!.remainingBytes;
    }
  }
  await cluster.world.complete("a hash", engine.hash({}));
});

test("the hash of a revision is the same on all members, whatever they have compacted", async () => {
  const cluster = new Cluster({ seed: 4, raft: FAST });
  const leader = await cluster.startAndElect();
  const puts: Promise<number>[] = [];
  for (let i = 0; i < 3000; i++) puts.push(put(leader, `k${i % 1500}`, `value ${i}`));
  await cluster.world.complete("the puts", Promise.all(puts));
  await cluster.converged();
  const { revision } = leader.status();
  const hashes = async (at: number): Promise<string[]> => {
    const found: string[] = [];
    for (const engine of cluster.up()) {
      const answer = await cluster.world.complete("a hash", engine.hash({ revision: at }));
      expect(answer.hashRevision).toBe(at === 0 ? revision : at);
      found.push(answer.hash);
    }
    return [...new Set(found)];
  };
  const [now] = await hashes(0);
  const [before] = await hashes(revision - 1000);
  expect(await hashes(revision)).toEqual([now]);
  expect(now).not.toBe(before);
  await cluster.world.complete("a compaction", leader.compact({ revision: revision - 1000 }));
  await cluster.converged();
  expect(await hashes(revision - 1000)).toEqual([before]);
  expect((await cluster.world.complete("a hash", leader.hash({}))).compactRevision).toBe(revision - 1000);
  expect((await errorOf(cluster, leader.hash({ revision: revision - 1001 }))).code).toBe("compacted");
  expect((await errorOf(cluster, leader.hash({ revision: revision + 1 }))).code).toBe("futureRevision");

  // It is of the moment in which it was asked for, and others are let in between.
  const asked = leader.hash({});
  const written = put(leader, "k0", "later");
  let isHashed = false;
  void asked.then(() => (isHashed = true));
  await cluster.world.until("a later write", () => leader.status().revision > revision);
  await cluster.world.complete("the write", written);
  expect(await cluster.world.complete("the hash", asked)).toMatchObject({
    hash: now,
    hashRevision: revision,
  });
  expect(isHashed).toBe(true);
});
