import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type DurableObjectStorageEngine,
  openDurableObjectStorage,
} from "../../src/adapters/durable-object/index.ts";
import { crc32 } from "../../src/core/bytes/index.ts";
import type { Entry, SnapshotMeta } from "../../src/core/raft/index.ts";
import { deleteRow, flipped, putRow, rowsOf } from "../workerd/rows.ts";
import { type ObjectSite, objectSite } from "../workerd/storage-site.ts";
import {
  collect,
  command,
  commands,
  expectBytes,
  patternBytes,
  rejection,
  summary,
} from "./storage-helpers.ts";

const MB = 1 << 20;
/** What a row may have on the platform; workerd itself lets more pass. */
const MAX_ROW_BYTES = 2_000_000;
const WHOLE = Number.MAX_SAFE_INTEGER;

let site: ObjectSite;

beforeEach(async () => {
  site = await objectSite();
});
afterEach(() => site.remove());

/** Opens the store, lets `work` use it, and ends the object. */
async function using<T>(work: (storage: DurableObjectStorageEngine) => Promise<T>): Promise<T> {
  const storage = await site.open();
  try {
    return await work(storage);
  } finally {
    await storage.close();
  }
}

const found = (): Promise<unknown> =>
  using(async ({ log, meta }) => {
    const { firstIndex, lastIndex } = await log.open();
    const { hardState } = await meta.load();
    const entries = lastIndex < firstIndex ? [] : await log.read(firstIndex, lastIndex, WHOLE);
    return { firstIndex, entries: summary(entries), term: hardState?.term ?? null };
  });

/** How opening ends; in the object's same life, which is quicker. */
const opening = (): Promise<string> =>
  site.run(async (ours) => {
    let storage: DurableObjectStorageEngine | undefined;
    const outcome = await rejection(
      (async () => {
        storage = openDurableObjectStorage(ours);
        await storage.log.open();
      })(),
    );
    await storage?.close();
    return outcome;
  });

describe("what a life that is cut short leaves", () => {
  it("keeps what was acknowledged when the object is aborted", async () => {
    const storage = await site.open();
    await storage.commit({ term: 3, vote: 7n, commit: 0 }, commands(1, 5, 3));
    const aborting = runInDurableObject(site.stub, (_, state) => state.abort("for the test"));
    await expect(aborting).rejects.toThrow("for the test");
    expect(await found()).toEqual({ firstIndex: 1, entries: summary(commands(1, 5, 3)), term: 3 });
  });

  it("keeps all of a write that was under way, or nothing, when the object is aborted in it", async () => {
    const entries = Array.from({ length: 6 }, (_, i) => command(i + 1, 2, MB));
    const aborting = runInDurableObject(site.stub, (_, state) => {
      const storage = openDurableObjectStorage(state.storage);
      void storage.commit({ term: 2, vote: null, commit: 0 }, entries).catch(() => {});
      state.abort("in the middle");
    });
    await expect(aborting).rejects.toThrow("in the middle");
    const nothing = { firstIndex: 1, entries: [], term: null };
    expect([nothing, { firstIndex: 1, entries: summary(entries), term: 2 }]).toContainEqual(await found());
  });

  it("opens once at a time, and again in the object's next life", async () => {
    const storage = await site.open();
    const second = site.run((ours) => openDurableObjectStorage(ours)).then(() => {});
    expect(await rejection(second)).toBe("storageLocked");
    await storage.log.append(commands(1, 1, 1));
    await evictDurableObject(site.stub);
    expect(await found()).toMatchObject({ entries: summary(commands(1, 1, 1)) });
  });
});

describe("what does not fit into a row", () => {
  const bodies = async (): Promise<number[]> =>
    (await rowsOf(site, "d_engine_log")).map(({ body }) => body.length);

  it("is one entry in several", async () => {
    const entries: Entry[] = [command(1, 1), command(2, 1, 5 * MB), command(3, 1), command(4, 2, 2 * MB)];
    await using(async ({ log }) => {
      await log.append(entries);
      expect(summary(await log.read(2, 3, 0))).toEqual(summary([entries[1]!]));
    });
    expect(Math.max(...(await bodies()))).toBeLessThan(MAX_ROW_BYTES);
    expect(await found()).toMatchObject({ entries: summary(entries) });
    // Replaced and compacted, it gives its slots back.
    const before = (await bodies()).length;
    await using(async ({ log }) => {
      await log.append([command(2, 3, 5 * MB)]);
      await log.append([command(2, 4)]);
      await log.compact(2);
      for (let i = 3; i < 10; i++) await log.append([command(i, 5)]);
    });
    expect((await bodies()).length).toBeLessThanOrEqual(before + 4);
    expect(await found()).toMatchObject({ firstIndex: 3 });
  });

  it("is a batch of many megabytes, which takes effect as a whole", async () => {
    const entries = Array.from({ length: 300 }, (_, i) => command(i + 1, 1, 100_000));
    await using(({ log }) => log.append(entries));
    expect(await bodies()).toHaveLength(17);
    expect(Math.max(...(await bodies()))).toBeLessThan(MAX_ROW_BYTES);
    await using(async ({ log }) => {
      expect((await log.open()).lastIndex).toBe(300);
      await log.append(commands(150, 1, 2));
      await log.compact(100);
    });
    expect(await found()).toEqual({
      firstIndex: 101,
      entries: summary([...entries.slice(100, 149), command(150, 2)]),
      term: null,
    });
  });
});

describe("damage", () => {
  /** Six records, of which the last has a hard state alone. */
  async function prepare(): Promise<void> {
    await using(async ({ log, meta }) => {
      for (let i = 0; i < 5; i++) await log.append(commands(i * 10 + 1, 10, 1));
      await meta.saveHardState({ term: 1, vote: 2n, commit: 30 });
    });
  }

  it("to any byte of any row is found", async () => {
    await prepare();
    for (const row of await rowsOf(site, "d_engine_log")) {
      for (let at = 0; at < row.head.length; at += 3) {
        await putRow(site, "d_engine_log", { ...row, head: flipped(row.head, at) });
        expect(await opening()).toMatch(/storageCorrupt/);
      }
      for (const body of [row.body.subarray(0, -1), Uint8Array.of(...row.body, 0)]) {
        if (row.body.length === 0 && body.length === 0) continue;
        await putRow(site, "d_engine_log", { ...row, body });
        expect(await opening()).toBe(row.body.length === 0 ? "not refused" : "storageCorrupt");
      }
      await putRow(site, "d_engine_log", row);
    }
    expect(await opening()).toBe("not refused");
  });

  it("is a row that is missing, or stands in another's place", async () => {
    await prepare();
    const rows = await rowsOf(site, "d_engine_log");
    for (const row of rows.slice(0, -1)) {
      await deleteRow(site, "d_engine_log", row.slot);
      expect(await opening()).toBe("storageCorrupt");
      await putRow(site, "d_engine_log", row);
    }
    await putRow(site, "d_engine_log", { ...rows[0]!, slot: rows[1]!.slot });
    expect(await opening()).toBe("storageCorrupt");
    await putRow(site, "d_engine_log", rows[1]!);
    expect(await opening()).toBe("not refused");
  });

  it("is the newest row missing, which would else be an older state", async () => {
    await prepare();
    // Until a slot that was free has been used again, and is not the last.
    await using(async ({ meta }) => {
      await meta.saveHardState({ term: 2, vote: 3n, commit: 30 });
      await meta.saveHardState({ term: 3, vote: 3n, commit: 30 });
    });
    await deleteRow(site, "d_engine_log", 6);
    expect(await opening()).toBe("storageCorrupt");
  });

  it("is an old copy of a row", async () => {
    await using(({ log }) => log.append(commands(1, 10, 1)));
    const old = await rowsOf(site, "d_engine_log");
    await using(async ({ log }) => {
      await log.append(commands(11, 10, 1));
      await log.compact(15);
      for (let i = 0; i < 5; i++) await log.append(commands(21 + i * 5, 5, 2));
    });
    await putRow(site, "d_engine_log", old[0]!);
    expect(await opening()).toBe("storageCorrupt");
  });

  it("is a part of a large entry that is missing", async () => {
    await using(({ log }) => log.append([command(1, 1, 5 * MB)]));
    const rows = await rowsOf(site, "d_engine_log");
    expect(rows).toHaveLength(3);
    await deleteRow(site, "d_engine_log", rows.at(-1)!.slot);
    expect(await opening()).toBe("storageCorrupt");
  });

  it("is a table that is missing beside others", async () => {
    await prepare();
    await site.run(({ sql }) => void sql.exec("DROP TABLE d_engine_snapshots"));
    expect(await opening()).toBe("storageCorrupt");
  });

  it("is no business of rows that nothing needs", async () => {
    await prepare();
    await using(({ log }) => log.reset(100, 7));
    const [row] = await rowsOf(site, "d_engine_log");
    await putRow(site, "d_engine_log", { ...row!, body: new Uint8Array() });
    expect(await found()).toMatchObject({ firstIndex: 101, entries: [] });
  });
});

describe("what is not ours", () => {
  it("is a table of the same name, which keeps its rows", async () => {
    await site.run(({ sql }) => {
      sql.exec("CREATE TABLE d_engine_log (theirs TEXT)");
      sql.exec("INSERT INTO d_engine_log VALUES ('kept')");
    });
    expect(await opening()).toBe("storageForeign");
    expect(await site.run(({ sql }) => sql.exec("SELECT * FROM d_engine_log").toArray())).toEqual([
      { theirs: "kept" },
    ]);
  });

  it("is a format of another version, and both are named", async () => {
    await using(({ log }) => log.append(commands(1, 1, 1)));
    const [row] = await rowsOf(site, "d_engine_log");
    const newer = row!.head.slice();
    newer[4] = 2;
    new DataView(newer.buffer).setUint32(0, crc32(newer.subarray(4), row!.slot), true);
    await putRow(site, "d_engine_log", { ...row!, head: newer });
    await expect(using(({ log }) => log.open())).rejects.toThrow(/version 2.*version 1/);
    expect(await opening()).toBe("storageForeign");
  });

  it("is a database of another node", async () => {
    const mine = { clusterId: 1n, groupId: "g", nodeId: 1n };
    await using(({ meta }) => meta.saveIdentity(mine));
    await using(async ({ meta }) => {
      await expect(meta.saveIdentity({ ...mine, nodeId: 0xabn })).rejects.toThrow(
        /belongs to node 1 .*not to node ab/,
      );
    });
  });

  it("leaves other tables of the object alone", async () => {
    await site.run(({ sql }) => {
      sql.exec("CREATE TABLE theirs (a)");
      sql.exec("INSERT INTO theirs VALUES (1)");
    });
    await using(({ log }) => log.append(commands(1, 1, 1)));
    expect(await site.run(({ sql }) => sql.exec("SELECT a FROM theirs").toArray())).toEqual([{ a: 1 }]);
  });
});

describe("writes that fail", () => {
  /** The object's storage, which fails when it is told to. */
  class Failing {
    readonly #real: DurableObjectStorage;
    readonly sql: { exec: DurableObjectStorage["sql"]["exec"] };
    /** Writes until one fails; Infinity: none does. */
    writesLeft = Infinity;
    syncFails = false;

    constructor(real: DurableObjectStorage) {
      this.#real = real;
      this.sql = {
        exec: (query, ...bindings) => {
          if (query.startsWith("INSERT") && this.writesLeft-- <= 0) {
            throw new Error("database or disk is full: SQLITE_FULL");
          }
          return real.sql.exec(query, ...bindings);
        },
      };
    }

    transactionSync<T>(closure: () => T): T {
      return this.#real.transactionSync(closure);
    }

    sync(): Promise<void> {
      return this.syncFails ? Promise.reject(new Error("the replicas do not answer")) : this.#real.sync();
    }
  }

  it("end the store with storageFull when the disk is full, and leave no part of the write behind", async () => {
    await site.run(async (real) => {
      const failing = new Failing(real);
      const storage = openDurableObjectStorage(failing);
      await storage.commit({ term: 1, vote: null, commit: 0 }, commands(1, 5, 1));
      failing.writesLeft = 2;
      const batch = Array.from({ length: 5 }, (_, i) => command(6 + i, 2, MB));
      expect(await rejection(storage.commit({ term: 2, vote: 5n, commit: 5 }, batch))).toBe("storageFull");
      failing.writesLeft = Infinity;
      // What it holds is unknown to it, so that it neither reads nor writes.
      for (const call of [
        () => storage.log.append(commands(6, 1, 1)),
        () => storage.log.read(1, 5, WHOLE),
        () => storage.meta.load(),
        () => storage.snapshots.list(),
        () => storage.confirmOwner(),
      ]) {
        expect(await rejection(call())).toBe("storageFailed");
      }
      await storage.close();
    });
    await evictDurableObject(site.stub);
    expect(await found()).toEqual({ firstIndex: 1, entries: summary(commands(1, 5, 1)), term: 1 });
  });

  it("are not acknowledged when they are not confirmed", async () => {
    await site.run(async (real) => {
      const failing = new Failing(real);
      const storage = openDurableObjectStorage(failing);
      await storage.log.append(commands(1, 1, 1));
      failing.syncFails = true;
      const [one, two] = [storage.log.append(commands(2, 1, 1)), storage.confirmOwner()];
      expect(await rejection(one)).toBe("storageFailed");
      expect(await rejection(two)).toBe("storageFailed");
      failing.syncFails = false;
      expect(await rejection(storage.log.append(commands(3, 1, 1)))).toBe("storageFailed");
      await storage.close();
    });
  });
});

describe("slots", () => {
  it("are used again, so that the log's table grows no larger than what was needed at once", async () => {
    const counts: number[] = [];
    for (let life = 0; life < 4; life++) {
      await site.run(async (ours) => {
        const { log } = openDurableObjectStorage(ours);
        const { lastIndex } = await log.open();
        for (let i = 1; i <= 300; i++) {
          await log.append([command(lastIndex + i, 1)]);
          if (i % 20 === 0) await log.compact(lastIndex + i - 10);
        }
      });
      await evictDurableObject(site.stub);
      counts.push((await rowsOf(site, "d_engine_log")).length);
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(35);
    expect(counts[3]).toBe(counts[1]);
  });

  it("of snapshots that were dropped or given up are used again", async () => {
    const meta = (index: number): SnapshotMeta => {
      const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
      return { index, term: 1, config };
    };
    for (let index = 1; index <= 6; index++) {
      const content = patternBytes(3 * MB, index);
      await using(async ({ snapshots }) => {
        const [older] = await snapshots.list();
        const unfinished = await snapshots.create(meta(index), new Uint8Array());
        await unfinished.write(content);
        if (index % 2 === 0) await unfinished.abort();
        const writer = await snapshots.create(meta(index), new Uint8Array());
        await writer.write(content);
        await writer.commit();
        if (older !== undefined) await snapshots.drop(older);
        const [info] = await snapshots.list();
        expectBytes(await collect(snapshots.read(info!)), content);
      });
    }
    // Two whole ones and what was given up, each with its description.
    expect((await rowsOf(site, "d_engine_snapshots")).length).toBeLessThanOrEqual(13);
    // In one life, and of snapshots that others of the same position replace.
    await using(async ({ snapshots }) => {
      for (let i = 0; i < 5; i++) {
        const abandoned = await snapshots.create(meta(7), new Uint8Array());
        await abandoned.write(patternBytes(2 * MB, i));
        await abandoned.abort();
        const writer = await snapshots.create(meta(7), new Uint8Array());
        await writer.write(patternBytes(3 * MB, i));
        await writer.commit();
      }
    });
    expect((await rowsOf(site, "d_engine_snapshots")).length).toBeLessThanOrEqual(13);
  });
});
