import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crc32 } from "../../src/core/bytes/index.ts";
import type { LogBounds, SnapshotInfo, StorageEngine, StoreIdentity } from "../../src/core/node/index.ts";
import type { Entry, HardState, SnapshotMeta } from "../../src/core/raft/index.ts";
import {
  collect,
  command,
  commands,
  expectBytes,
  patternBytes,
  rejection,
  summary,
} from "./storage-helpers.ts";
import { operations, runAgainstModel } from "./storage-model.ts";

/** One place where a store lives: it can be opened, closed, and opened again. */
export interface StorageSite {
  /** Opens what is there; a new store at first. */
  open(): Promise<StorageEngine>;
  /** Removes everything. */
  remove(): Promise<void>;
}

export interface ConformanceOptions {
  /** Makes a site for a store that does not exist yet. */
  readonly site: () => Promise<StorageSite>;
  /** How many random histories to play: as many as take a few seconds. */
  readonly histories: number;
}

const IDENTITY: StoreIdentity = { clusterId: (1n << 64n) - 1n, groupId: "grüppe", nodeId: 1n << 63n };
const CONFIG: SnapshotMeta["config"] = {
  voters: [1n, 1n << 63n],
  votersOutgoing: [],
  learners: [7n],
  learnersNext: [],
  autoLeave: false,
};
const snapshotAt = (index: number, term: number): SnapshotMeta => ({ index, term, config: CONFIG });

/** What every storage adapter must do. It knows nothing of where the bytes go. */
export function storageConformance(name: string, options: ConformanceOptions): void {
  describe(`storage conformance: ${name}`, () => {
    let site: StorageSite;
    let storage: StorageEngine;

    beforeEach(async () => {
      site = await options.site();
      storage = await site.open();
    });
    afterEach(async () => {
      await storage.close();
      await site.remove();
    });

    const reopen = async (): Promise<LogBounds> => {
      await storage.close();
      storage = await site.open();
      return storage.log.open();
    };
    const commit = async (hardState: HardState, entries: readonly Entry[]): Promise<void> => {
      if (storage.commit !== undefined) return storage.commit(hardState, entries);
      await storage.meta.saveHardState(hardState);
      await storage.log.append(entries);
    };

    describe("log", () => {
      it("begins empty, at 1", async () => {
        expect(await storage.log.open()).toEqual({ firstIndex: 1, lastIndex: 0, prevTerm: 0, lastTerm: 0 });
        expect(await storage.log.term(0)).toBe(0);
      });

      it("keeps every kind of entry over a restart", async () => {
        const entries: Entry[] = [
          { kind: "noop", index: 1, term: 1 },
          command(2, 1, 0),
          command(3, 4, 100_000),
          {
            kind: "confChange",
            index: 4,
            term: 4,
            change: {
              steps: [{ type: "addLearner", node: (1n << 64n) - 1n }],
              transition: "explicit",
              context: Uint8Array.of(1, 2, 3),
            },
          },
        ];
        await storage.log.open();
        await storage.log.append(entries);
        expect(summary(await storage.log.read(1, 4, Number.MAX_SAFE_INTEGER))).toEqual(summary(entries));
        expect(await reopen()).toEqual({ firstIndex: 1, lastIndex: 4, prevTerm: 0, lastTerm: 4 });
        expect(summary(await storage.log.read(1, 4, Number.MAX_SAFE_INTEGER))).toEqual(summary(entries));
        expect(await storage.log.term(2)).toBe(1);
        expect(await storage.log.term(3)).toBe(4);
      });

      it("takes overlapping appends in call order, and resolves them in that order", async () => {
        await storage.log.open();
        const resolved: number[] = [];
        const calls = Array.from({ length: 100 }, (_, i) =>
          storage.log.append(commands(i * 2 + 1, 2, 1)).then(() => resolved.push(i)),
        );
        await Promise.all(calls);
        expect(resolved).toEqual(Array.from({ length: 100 }, (_, i) => i));
        expect((await reopen()).lastIndex).toBe(200);
        const entries = await storage.log.read(1, 200, Number.MAX_SAFE_INTEGER);
        expect(summary(entries)).toEqual(summary(commands(1, 200, 1)));
      });

      it("lets a later overlapping append replace what an earlier one, still in flight, wrote", async () => {
        await storage.log.open();
        await Promise.all([
          storage.log.append(commands(1, 5, 1)),
          storage.log.append(commands(3, 1, 2)),
          storage.log.append(commands(4, 3, 3)),
        ]);
        expect(await reopen()).toMatchObject({ lastIndex: 6, lastTerm: 3 });
        const expected = [...commands(1, 2, 1), ...commands(3, 1, 2), ...commands(4, 3, 3)];
        expect(summary(await storage.log.read(1, 6, Number.MAX_SAFE_INTEGER))).toEqual(summary(expected));
      });

      it("sees in a read what was appended before it", async () => {
        await storage.log.open();
        const appended = storage.log.append(commands(1, 3, 1));
        expect(summary(await storage.log.read(1, 3, Number.MAX_SAFE_INTEGER))).toEqual(
          summary(commands(1, 3, 1)),
        );
        await appended;
      });

      it("drops a conflicting suffix, also when the new one is shorter", async () => {
        await storage.log.open();
        await storage.log.append(commands(1, 10, 1));
        await storage.log.append(commands(4, 2, 2));
        expect(await reopen()).toMatchObject({ firstIndex: 1, lastIndex: 5, lastTerm: 2 });
        expect(await rejection(storage.log.read(1, 6, 1000))).toBe("invalidArgument");
        await storage.log.append(commands(1, 1, 3));
        expect(await reopen()).toMatchObject({ lastIndex: 1, lastTerm: 3 });
      });

      it("refuses a gap, an append into what was compacted, and entries out of order; nothing changes", async () => {
        await storage.log.open();
        await storage.log.append(commands(1, 5, 1));
        await storage.log.compact(3);
        expect(await rejection(storage.log.append(commands(7, 1, 1)))).toBe("invalidArgument");
        expect(await rejection(storage.log.append(commands(3, 1, 1)))).toBe("invalidArgument");
        expect(await rejection(storage.log.append([command(6, 1), command(8, 1)]))).toBe("invalidArgument");
        expect(await rejection(commit({ term: 9, vote: null, commit: 0 }, commands(7, 1, 1)))).toBe(
          "invalidArgument",
        );
        // A store without a common commit has written the hard state by then.
        const untouched = storage.commit === undefined ? { term: 9, vote: null, commit: 0 } : null;
        expect((await storage.meta.load()).hardState).toEqual(untouched);
        await storage.log.append(commands(6, 1, 1));
        expect(await reopen()).toMatchObject({ firstIndex: 4, lastIndex: 6 });
      });

      it("takes an append of nothing", async () => {
        await storage.log.open();
        await storage.log.append([]);
        expect((await reopen()).lastIndex).toBe(0);
      });

      it("cuts a read at maxBytes, and never to less than one entry", async () => {
        await storage.log.open();
        await storage.log.append(Array.from({ length: 10 }, (_, i) => command(i + 1, 1, 1000)));
        expect(summary(await storage.log.read(3, 10, 0))).toEqual(summary([command(3, 1, 1000)]));
        const some = await storage.log.read(3, 10, 3500);
        expect(some.length).toBeGreaterThanOrEqual(2);
        expect(some.length).toBeLessThanOrEqual(3);
        expect(summary(some)).toEqual(
          summary(Array.from({ length: some.length }, (_, i) => command(i + 3, 1, 1000))),
        );
        expect(await storage.log.read(3, 10, 1 << 20)).toHaveLength(8);
        expect(await storage.log.read(10, 10, 1 << 20)).toHaveLength(1);
      });

      it("refuses to read what it does not have", async () => {
        await storage.log.open();
        await storage.log.append(commands(1, 5, 1));
        await storage.log.compact(2);
        expect(await rejection(storage.log.read(2, 5, 1000))).toBe("invalidArgument");
        expect(await rejection(storage.log.read(3, 6, 1000))).toBe("invalidArgument");
        expect(await rejection(storage.log.read(5, 4, 1000))).toBe("invalidArgument");
        expect(await rejection(storage.log.term(1))).toBe("invalidArgument");
        expect(await rejection(storage.log.term(6))).toBe("invalidArgument");
      });

      it("compacts, and remembers the term before the first entry", async () => {
        await storage.log.open();
        await storage.log.append([...commands(1, 3, 1), ...commands(4, 3, 2)]);
        await storage.log.compact(4);
        await storage.log.compact(4);
        await storage.log.compact(2);
        expect(await storage.log.term(4)).toBe(2);
        expect(await rejection(storage.log.compact(7))).toBe("invalidArgument");
        expect(await reopen()).toEqual({ firstIndex: 5, lastIndex: 6, prevTerm: 2, lastTerm: 2 });
        expect(await storage.log.term(4)).toBe(2);
        expect(summary(await storage.log.read(5, 6, 1000))).toEqual(summary(commands(5, 2, 2)));
        await storage.log.compact(6);
        expect(await reopen()).toEqual({ firstIndex: 7, lastIndex: 6, prevTerm: 2, lastTerm: 2 });
        await storage.log.append(commands(7, 1, 5));
        expect(await reopen()).toEqual({ firstIndex: 7, lastIndex: 7, prevTerm: 2, lastTerm: 5 });
      });

      it("compacts a long log while appends go on", async () => {
        await storage.log.open();
        for (let i = 0; i < 5; i++) await storage.log.append(commands(i * 1000 + 1, 1000, 1));
        const compacted = storage.log.compact(4900);
        const appended = Promise.all([1, 2, 3].map((i) => storage.log.append(commands(5000 + i, 1, 2))));
        await compacted;
        await appended;
        expect(await reopen()).toEqual({ firstIndex: 4901, lastIndex: 5003, prevTerm: 1, lastTerm: 2 });
        expect(summary(await storage.log.read(4901, 5003, 1 << 20))).toEqual(
          summary([...commands(4901, 100, 1), ...commands(5001, 3, 2)]),
        );
      });

      it("starts anew behind an installed snapshot, ahead or back", async () => {
        await storage.log.open();
        await storage.log.append(commands(1, 5, 1));
        await storage.log.reset(100, 7);
        expect(await storage.log.term(100)).toBe(7);
        expect(await rejection(storage.log.append(commands(100, 1, 7)))).toBe("invalidArgument");
        expect(await rejection(storage.log.append(commands(102, 1, 7)))).toBe("invalidArgument");
        expect(await reopen()).toEqual({ firstIndex: 101, lastIndex: 100, prevTerm: 7, lastTerm: 7 });
        await storage.log.append(commands(101, 2, 8));
        await storage.log.reset(101, 8);
        expect(await reopen()).toEqual({ firstIndex: 102, lastIndex: 101, prevTerm: 8, lastTerm: 8 });
      });

      it("hands out copies: what callers do to their bytes afterwards changes nothing", async () => {
        await storage.log.open();
        const data = Uint8Array.of(1, 2, 3);
        await storage.log.append([{ kind: "command", index: 1, term: 1, data }]);
        data.fill(9);
        const read = async (): Promise<Uint8Array> => {
          const [entry] = await storage.log.read(1, 1, 1000);
          return entry?.kind === "command" ? entry.data : new Uint8Array();
        };
        (await read()).fill(8);
        expect(await read()).toEqual(Uint8Array.of(1, 2, 3));
      });
    });

    describe("hard state and identity", () => {
      it("has neither at first", async () => {
        expect(await storage.meta.load()).toEqual({ identity: null, hardState: null });
      });

      it("keeps the last hard state over a restart", async () => {
        const all = [1, 2, 3].map((term): HardState => ({ term, vote: (1n << 64n) - 1n, commit: term * 10 }));
        await Promise.all(all.map((hardState) => storage.meta.saveHardState(hardState)));
        await reopen();
        expect((await storage.meta.load()).hardState).toEqual(all[2]);
        await storage.meta.saveHardState({ term: Number.MAX_SAFE_INTEGER, vote: null, commit: 0 });
        await reopen();
        expect((await storage.meta.load()).hardState).toEqual({
          term: Number.MAX_SAFE_INTEGER,
          vote: null,
          commit: 0,
        });
      });

      it("keeps hard state and entries that come together, in order with what came before", async () => {
        await storage.log.open();
        await Promise.all([
          storage.log.append(commands(1, 3, 1)),
          commit({ term: 2, vote: 5n, commit: 1 }, commands(3, 2, 2)),
          storage.meta.saveHardState({ term: 3, vote: null, commit: 2 }),
          commit({ term: 4, vote: 6n, commit: 3 }, commands(5, 1, 4)),
        ]);
        expect(await reopen()).toMatchObject({ lastIndex: 5, lastTerm: 4 });
        expect((await storage.meta.load()).hardState).toEqual({ term: 4, vote: 6n, commit: 3 });
        expect(summary(await storage.log.read(1, 5, 1 << 20))).toEqual(
          summary([...commands(1, 2, 1), ...commands(3, 2, 2), command(5, 4)]),
        );
      });

      it("saves an identity once, and refuses every other", async () => {
        await storage.meta.saveIdentity(IDENTITY);
        await storage.meta.saveIdentity({ ...IDENTITY });
        await reopen();
        expect((await storage.meta.load()).identity).toEqual(IDENTITY);
        for (const other of [{ clusterId: 1n }, { groupId: "other" }, { nodeId: 1n }]) {
          expect(await rejection(storage.meta.saveIdentity({ ...IDENTITY, ...other }))).toBe(
            "storageForeign",
          );
        }
        await storage.meta.saveIdentity(IDENTITY);
        expect((await storage.meta.load()).identity).toEqual(IDENTITY);
      });
    });

    describe("snapshots", () => {
      async function write(
        meta: SnapshotMeta,
        bytes: Uint8Array,
        chunkBytes = 100_000,
      ): Promise<SnapshotInfo> {
        const writer = await storage.snapshots.create(meta, Uint8Array.of(meta.index));
        for (let at = 0; at < bytes.length; at += chunkBytes) {
          await writer.write(bytes.subarray(at, at + chunkBytes));
        }
        return writer.commit();
      }

      it("shows a snapshot once it is committed, and keeps it over a restart", async () => {
        const bytes = patternBytes(1_000_003, 1);
        const writer = await storage.snapshots.create(snapshotAt(10, 2), Uint8Array.of(1, 2));
        await writer.write(bytes.subarray(0, 700_001));
        await writer.write(bytes.subarray(700_001));
        expect(await storage.snapshots.list()).toEqual([]);
        const info = await writer.commit();
        expect(info).toEqual({
          meta: snapshotAt(10, 2),
          context: Uint8Array.of(1, 2),
          size: bytes.length,
          checksum: crc32(bytes),
        });
        expect(await storage.snapshots.list()).toEqual([info]);
        await reopen();
        expect(await storage.snapshots.list()).toEqual([info]);
        expectBytes(await collect(storage.snapshots.read(info)), bytes);
      });

      it("reads from any offset, the end included", async () => {
        const bytes = patternBytes(600_000, 2);
        const info = await write(snapshotAt(10, 2), bytes, 70_000);
        for (const offset of [1, 69_999, 70_000, 262_144, 262_145, 599_999]) {
          expectBytes(await collect(storage.snapshots.read(info, offset)), bytes.subarray(offset));
        }
        expect(await collect(storage.snapshots.read(info, 600_000))).toHaveLength(0);
      });

      it("takes an empty snapshot and empty chunks", async () => {
        const writer = await storage.snapshots.create(snapshotAt(1, 1), new Uint8Array());
        await writer.write(new Uint8Array());
        const info = await writer.commit();
        await reopen();
        expect(await storage.snapshots.list()).toEqual([info]);
        expect(await collect(storage.snapshots.read(info))).toHaveLength(0);
      });

      it("lists while others are being dropped", async () => {
        const infos: SnapshotInfo[] = [];
        for (let index = 1; index <= 10; index++)
          infos.push(await write(snapshotAt(index, 1), Uint8Array.of(index)));
        const newest = infos.at(-1)!;
        for (const older of infos.slice(0, -1)) {
          const [one, two] = [storage.snapshots.list(), storage.snapshots.list()];
          await storage.snapshots.drop(older);
          for (const found of [await one, await two]) expect(found[0]).toEqual(newest);
        }
        expect(await storage.snapshots.list()).toEqual([newest]);
      });

      it("lists the newest first, and drops", async () => {
        const old = await write(snapshotAt(9, 3), patternBytes(10, 1));
        const newest = await write(snapshotAt(100, 3), patternBytes(20, 2));
        const middle = await write(snapshotAt(20, 3), patternBytes(30, 3));
        expect(await storage.snapshots.list()).toEqual([newest, middle, old]);
        await storage.snapshots.drop(middle);
        await storage.snapshots.drop(middle);
        await reopen();
        expect(await storage.snapshots.list()).toEqual([newest, old]);
        expect(await rejection(collect(storage.snapshots.read(middle)))).toBe("storageFailed");
      });

      it("forgets a snapshot that was aborted, and one that a stop cut short", async () => {
        const aborted = await storage.snapshots.create(snapshotAt(5, 1), new Uint8Array());
        await aborted.write(patternBytes(300_000, 1));
        await aborted.abort();
        await aborted.abort();
        expect(await rejection(aborted.write(patternBytes(1, 1)))).toBe("storageFailed");
        const cutShort = await storage.snapshots.create(snapshotAt(6, 1), new Uint8Array());
        await cutShort.write(patternBytes(300_000, 1));
        await reopen();
        expect(await storage.snapshots.list()).toEqual([]);
        expect(await rejection(cutShort.commit())).toBe("storageFailed");
        expect(await storage.snapshots.list()).toEqual([]);
      });

      it("replaces a snapshot of the same position", async () => {
        await write(snapshotAt(5, 1), patternBytes(10, 1));
        const second = await write(snapshotAt(5, 1), patternBytes(10, 2));
        expect(await storage.snapshots.list()).toEqual([second]);
        expect(await collect(storage.snapshots.read(second))).toEqual(patternBytes(10, 2));
      });

      it("takes appends while a snapshot is being written", async () => {
        await storage.log.open();
        const writer = await storage.snapshots.create(snapshotAt(5, 1), new Uint8Array());
        for (let i = 0; i < 8; i++) {
          await Promise.all([
            writer.write(patternBytes(300_000, i)),
            storage.log.append(commands(i + 1, 1, 1)),
          ]);
        }
        const info = await writer.commit();
        expect((await reopen()).lastIndex).toBe(8);
        expect(await storage.snapshots.list()).toEqual([info]);
      });
    });

    it("refuses to work once it is closed", async () => {
      await storage.log.open();
      await storage.close();
      expect(await rejection(storage.log.append(commands(1, 1, 1)))).toBe("storageFailed");
      expect(await rejection(storage.meta.load())).toBe("storageFailed");
      expect(await rejection(storage.snapshots.list())).toBe("storageFailed");
    });

    it("agrees with a model on random histories, with restarts in between", { timeout: 60_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(operations, async (history) => {
          const own = await options.site();
          try {
            await runAgainstModel(history, () => own.open());
          } finally {
            await own.remove();
          }
        }),
        { numRuns: options.histories },
      );
    });
  });
}
