// Reading a node's stores without owning them.

import { afterEach, describe, expect, it } from "vitest";
import { openObjectStorage, openStoredLog } from "../../../src/adapters/object-store/index.ts";
import { decodeManifest } from "../../../src/adapters/object-store/journal/manifest.ts";
import { encodeSlot, slotName } from "../../../src/adapters/object-store/journal/slot.ts";
import { encodeRecord } from "../../../src/adapters/object-store/record.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { encodeCommand, KvStore } from "../../../src/core/kv/index.ts";
import { encodeProposal } from "../../../src/core/node/codec/index.ts";
import { type KvEngine, StoredReplica } from "../../../src/core/node/index.ts";
import { Membership } from "../../../src/core/node/membership.ts";
import { type Entry, simpleConfig } from "../../../src/core/raft/index.ts";
import { nodeClock, nodeRandom } from "../../../src/runtimes/node/index.ts";
import { Seeded } from "../../blackbox/support/random.ts";
import { startLoneEngine } from "../../core/node/lone-engine.ts";
import { memoryObjectStore, ObjectBucket } from "./object-bucket.ts";

const SELF = { clusterId: 1n, groupId: "g", nodeId: 1n };
const SURROUNDINGS = { clock: nodeClock, random: nodeRandom };
const MANY_BYTES = 64 << 20;

const running: KvEngine[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop().catch(() => undefined)));
});

async function startEngine(bucket: ObjectBucket, trailingEntries = 3): Promise<KvEngine> {
  const storage = await openObjectStorage({ store: memoryObjectStore(bucket), ...SURROUNDINGS });
  const engine = await startLoneEngine({ storage, tuning: { trailingEntries } });
  running.push(engine);
  return engine;
}

function reader(bucket: ObjectBucket, maxStateBytes: number = MANY_BYTES): StoredReplica {
  const log = openStoredLog({ store: memoryObjectStore(bucket), ...SURROUNDINGS });
  return new StoredReplica({ log, clock: nodeClock, maxStateBytes });
}

async function catchUp(replica: StoredReplica, maxBytes: number = MANY_BYTES): Promise<KvStore> {
  while (!(await replica.catchUp({ maxBytes })));
  return replica.state!.store;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (store: KvStore, key: string): string | null => {
  const kv = store.range({ key: bytes(key) }).kvs[0];
  return kv === undefined ? null : new TextDecoder().decode(kv.value);
};

async function put(engine: KvEngine, key: string, value: string): Promise<number> {
  return (await engine.put({ key: bytes(key), value: bytes(value) })).header.revision;
}

describe("a copy of what a single voter has stored", () => {
  it.each([
    { seed: 1, trailing: 3 },
    { seed: 2, trailing: 3 },
    { seed: 3, trailing: 5000 },
    { seed: 4, trailing: 5000 },
  ])(
    "is what the voter had at that revision, whatever happened meanwhile (%j)",
    async ({ seed, trailing }) => {
      const random = new Seeded(seed);
      const bucket = new ObjectBucket();
      let engine = await startEngine(bucket, trailing);
      const readers = [reader(bucket), reader(bucket)];
      const seen: [number, string][] = [];
      const had: [number, string][] = [];
      for (let step = 0; step < 400; step++) {
        const chance = random.below(100);
        if (chance < 60) await put(engine, `k${random.below(9)}`, `${step}`);
        else if (chance < 68) await engine.deleteRange({ key: bytes(`k${random.below(9)}`) });
        else if (chance < 74) await engine.takeSnapshot();
        else if (chance < 76) {
          // Somebody takes the log over.
          const old = engine;
          engine = await startEngine(bucket, trailing);
          await old.stop().catch(() => undefined);
        } else if (chance < 80 && engine.status().revision > engine.status().compactRevision + 1) {
          await engine.compact({ revision: engine.status().revision });
        } else {
          if (random.chance(0.3)) readers[random.below(2)] = reader(bucket);
          const replica = random.pick(readers);
          const store = await catchUp(replica, random.below(2) === 0 ? 1 : MANY_BYTES);
          seen.push([store.revision, store.stateHash()]);
          had.push([engine.status().revision, engine.status().stateHash()]);
        }
      }
      for (const replica of readers) {
        expect((await catchUp(replica)).stateHash()).toBe(engine.status().stateHash());
      }
      expect(seen.length).toBeGreaterThan(5);
      expect(seen).toEqual(had);
      // Nobody was fenced by a reader.
      await put(engine, "last", "1");
    },
  );

  it("begins near its snapshot, however much of the log is kept before it", async () => {
    const bucket = new ObjectBucket();
    const engine = await startEngine(bucket, 5000);
    for (let i = 0; i < 900; i++) await put(engine, `k${i % 50}`, `${i}`);
    await engine.takeSnapshot();
    for (let i = 0; i < 5; i++) await put(engine, "late", `${i}`);
    const store = memoryObjectStore(bucket);
    let requests = 0;
    const counting = <T>(answer: Promise<T>): Promise<T> => (requests++, answer);
    const log = openStoredLog({
      store: {
        ...store,
        get: (name) => counting(store.get(name)),
        list: (...of) => counting(store.list(...of)),
      },
      ...SURROUNDINGS,
    });
    const replica = new StoredReplica({ log, clock: nodeClock, maxStateBytes: MANY_BYTES });
    expect((await catchUp(replica)).stateHash()).toBe(engine.status().stateHash());
    expect(bucket.names("log/").length).toBeGreaterThan(900);
    expect(requests).toBeLessThan(120);
  });

  it("begins anew when what comes next was trimmed away", async () => {
    const bucket = new ObjectBucket();
    const engine = await startEngine(bucket);
    const replica = reader(bucket);
    await put(engine, "a", "1");
    await catchUp(replica);
    const first = replica.state;
    for (let i = 0; i < 20; i++) await put(engine, "a", `${i}`);
    await engine.takeSnapshot();
    await put(engine, "b", "after");
    const store = await catchUp(replica);
    expect(replica.state).not.toBe(first);
    expect([textOf(store, "a"), textOf(store, "b")]).toEqual(["19", "after"]);
  });

  it("shows nothing of what a replaced owner writes where slots were deleted", async () => {
    const bucket = new ObjectBucket();
    const engine = await startEngine(bucket);
    const replica = reader(bucket);
    await put(engine, "a", "1");
    await catchUp(replica);
    const before = new Set(bucket.names("log/"));
    for (let i = 0; i < 20; i++) await put(engine, "a", `${i}`);
    await engine.takeSnapshot();
    // The first of the slots that the copy has not seen yet.
    const after = bucket.names("log/").filter((name) => !before.has(name));
    const { journalId, boundary } = decodeManifest(bucket.get("log-manifest")!.body, "manifest");
    const seq = Math.max(...[...before].map((name) => Number(name.slice(4)))) + 1;
    expect(boundary).toBeGreaterThan(seq);
    expect(after).not.toContain(slotName("log", seq));
    const entries = [entryOf(replica.state!.appliedIndex + 1, 1, "a", "evil")];
    const record = encodeRecord({ reset: null, hardState: null, entries });
    const evil = { journalId, epoch: 1, owner: 9n, through: seq - 1, part: 0, parts: 1 } as const;
    for (let at = seq; at < boundary; at++) {
      const content =
        at === seq
          ? ({ kind: "part", payload: record } as const)
          : ({ kind: "filler", payload: new Uint8Array(1) } as const);
      bucket.putIfAbsent(slotName("log", at), encodeSlot({ ...evil, seq: at, ...content }));
    }
    expect(textOf(await catchUp(replica), "a")).toBe("19");
  });

  it("goes on after a failure in the middle", async () => {
    const bucket = new ObjectBucket();
    const engine = await startEngine(bucket);
    for (let i = 0; i < 10; i++) await put(engine, `k${i}`, "1");
    let left = 0;
    const store = memoryObjectStore(bucket);
    const failing = async <T>(answer: Promise<T>): Promise<T> => {
      if (--left < 0) throw new EngineError("canceled");
      return await answer;
    };
    const log = openStoredLog({
      store: {
        ...store,
        get: (name) => failing(store.get(name)),
        list: (...of) => failing(store.list(...of)),
      },
      ...SURROUNDINGS,
    });
    const replica = new StoredReplica({ log, clock: nodeClock, maxStateBytes: MANY_BYTES });
    const failures: unknown[] = [];
    for (let requests = 0; ; requests++) {
      left = requests;
      try {
        if (await replica.catchUp({ maxBytes: 1 })) break;
      } catch (error) {
        failures.push((error as EngineError).code);
      }
    }
    expect(failures.length).toBeGreaterThan(3);
    expect(new Set(failures)).toEqual(new Set(["canceled"]));
    expect(replica.state!.store.stateHash()).toBe(engine.status().stateHash());
  });

  it("refuses a state that is larger than it may be, from a snapshot and from the log", async () => {
    const bucket = new ObjectBucket();
    const engine = await startEngine(bucket);
    const replica = reader(bucket, 100_000);
    await catchUp(replica);
    await put(engine, "large", "x".repeat(200_000));
    await expect(catchUp(replica)).rejects.toMatchObject({ code: "stateTooLarge" });
    expect(replica.state).toBeNull();
    await engine.takeSnapshot();
    await expect(catchUp(reader(bucket, 100_000))).rejects.toMatchObject({ code: "stateTooLarge" });
  });

  it("says that nobody has set up a node there", async () => {
    await expect(catchUp(reader(new ObjectBucket()))).rejects.toMatchObject({ code: "storageUnavailable" });
  });
});

let proposals = 0;

function entryOf(index: number, term: number, key: string, value: string): Entry {
  const command = encodeCommand({ type: "put", request: { key: bytes(key), value: bytes(value) } });
  const id = { proposer: 5n, sequence: ++proposals };
  return {
    kind: "command",
    index,
    term,
    data: encodeProposal({ id, timeMs: 7, body: { type: "command", command } }),
  };
}

/** The stores of a voter, by hand. */
async function stores(voters: readonly bigint[]): Promise<{
  readonly storage: Awaited<ReturnType<typeof openObjectStorage>>;
  readonly replica: StoredReplica;
}> {
  const bucket = new ObjectBucket();
  const storage = await openObjectStorage({ store: memoryObjectStore(bucket), ...SURROUNDINGS });
  await storage.log.open();
  const config = simpleConfig(voters);
  const writer = await storage.snapshots.create(
    { index: 1, term: 1, config },
    new Membership(config, []).encode(),
  );
  for (const chunk of new KvStore().snapshot().chunks()) await writer.write(chunk);
  await writer.commit();
  await storage.log.reset(1, 1);
  await storage.meta.saveHardState({ term: 1, vote: null, commit: 1 });
  await storage.meta.saveIdentity(SELF);
  return { storage, replica: reader(bucket) };
}

describe("a copy of what one voter among several has stored", () => {
  it("has what is known to be committed, and never what was replaced", async () => {
    const { storage, replica } = await stores([1n, 2n, 3n]);
    await storage.commit!({ term: 2, vote: 1n, commit: 2 }, [
      entryOf(2, 2, "a", "committed"),
      entryOf(3, 2, "a", "lost"),
      entryOf(4, 2, "b", "lost"),
    ]);
    expect(textOf(await catchUp(replica), "a")).toBe("committed");
    // Another leader's: durable, but not known to be committed.
    await storage.commit!({ term: 3, vote: null, commit: 2 }, [entryOf(3, 3, "a", "kept")]);
    expect(textOf(await catchUp(replica), "a")).toBe("committed");
    await storage.commit!({ term: 3, vote: null, commit: 3 }, [entryOf(4, 3, "c", "pending")]);
    const store = await catchUp(replica);
    expect(["a", "b", "c"].map((key) => textOf(store, key))).toEqual(["kept", null, null]);
    expect(replica.state!.writtenAtMs).toBe(7);
  });

  it("takes what is durable for committed only as long as the node is the only voter", async () => {
    const { storage, replica } = await stores([1n]);
    const change = {
      steps: [{ type: "addVoter", node: 2n }],
      transition: "auto",
      context: new Uint8Array(0),
    } as const;
    await storage.commit!({ term: 2, vote: 1n, commit: 1 }, [
      entryOf(2, 2, "a", "alone"),
      { kind: "confChange", index: 3, term: 2, change },
      entryOf(4, 2, "a", "not alone"),
    ]);
    expect(textOf(await catchUp(replica), "a")).toBe("alone");
    await storage.commit!({ term: 2, vote: 1n, commit: 4 }, [entryOf(5, 2, "a", "pending")]);
    expect(textOf(await catchUp(replica), "a")).toBe("not alone");
  });

  it("begins anew where a snapshot from elsewhere took the log's place", async () => {
    const { storage, replica } = await stores([1n, 2n, 3n]);
    await storage.commit!({ term: 2, vote: 1n, commit: 2 }, [entryOf(2, 2, "a", "1")]);
    await catchUp(replica);
    const other = new KvStore();
    const command = encodeCommand({ type: "put", request: { key: bytes("a"), value: bytes("installed") } });
    other.applyChunk([{ term: 3, command }], () => undefined);
    const config = simpleConfig([1n, 2n, 3n]);
    const meta = { index: 9, term: 3, config };
    const writer = await storage.snapshots.create(meta, new Membership(config, []).encode());
    for (const chunk of other.snapshot().chunks()) await writer.write(chunk);
    await writer.commit();
    await storage.log.reset(9, 3);
    expect(textOf(await catchUp(replica), "a")).toBe("installed");
  });
});
