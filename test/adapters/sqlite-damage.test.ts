import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Database } from "../../src/adapters/sqlite/database.ts";
import { openSqliteStorage } from "../../src/adapters/sqlite/index.ts";
import { encodeBase } from "../../src/adapters/sqlite/log-table.ts";
import { packEntries, packRows } from "../../src/adapters/sqlite/packed-entries.ts";
import { crc32 } from "../../src/core/bytes/index.ts";
import { EngineError } from "../../src/core/errors/index.ts";
import { flipBytes } from "./sqlite-files.ts";
import { command, patternBytes } from "./storage-helpers.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "d-engine-damage-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** One commit for each entry. */
function fill(database: Database, count: number): void {
  database.verifyLog();
  for (let index = 1; index <= count; index++) {
    const entries = packEntries([command(index, 1, 200)]);
    database.write([{ hardState: Uint8Array.of(index), entries, firstIndex: index }]);
  }
}

/** A checksum of everything in the store, or the code with which it was refused. */
function whatOpens(dir: string): { readonly content: string; readonly message: string } {
  let database: Database | undefined;
  try {
    database = new Database({ dir });
    const { firstIndex, lastIndex } = database.verifyLog();
    const rows = lastIndex < firstIndex ? [] : database.read(firstIndex, lastIndex, Number.MAX_SAFE_INTEGER);
    const state = `${firstIndex}-${lastIndex} ${crc32(packRows(rows))} ${database.hardState()?.join(",")}`;
    return { content: `${state} ${database.identity()?.join(",")}`, message: "" };
  } catch (error) {
    if (error instanceof EngineError) return { content: error.code, message: error.message };
    throw error;
  } finally {
    database?.close();
  }
}

describe("the database file", () => {
  it("with any flipped bit is refused, or none of its content is touched by it", { timeout: 60_000 }, () => {
    const sound = join(root, "sound");
    const database = new Database({ dir: sound });
    fill(database, 100);
    database.saveIdentity(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0));
    database.compact(10);
    while (database.trimStep());
    database.close();
    const expected = whatOpens(sound).content;
    expect(expected).toMatch(/^11-100 /);

    const size = statSync(join(sound, "log.db")).size;
    const seen = new Map<string, number>();
    // A stride without a common factor with the page size, so that every part of a page gets its turn.
    for (let offset = 0; offset < size; offset += 211) {
      const dir = join(root, "flipped");
      mkdirSync(dir);
      copyFileSync(join(sound, "log.db"), join(dir, "log.db"));
      flipBytes(join(dir, "log.db"), offset);
      const { content } = whatOpens(dir);
      expect(["storageCorrupt", "storageForeign", expected], `byte ${offset}`).toContain(content);
      seen.set(content, (seen.get(content) ?? 0) + 1);
      rmSync(dir, { recursive: true });
    }
    // Both must have been met, or the test has tested nothing.
    expect(seen.get("storageCorrupt")).toBeGreaterThan(50);
    expect(seen.get(expected)).toBeGreaterThan(0);
  });

  it("names the file and the entry", () => {
    const database = new Database({ dir: root });
    fill(database, 10);
    database.close();
    flipBytes(join(root, "log.db"), command(7, 1, 200).data);
    const { content, message } = whatOpens(root);
    expect(content).toBe("storageCorrupt");
    expect(message).toContain(join(root, "log.db"));
    expect(message).toContain("entry 7 does not match its checksum");
  });

  it("is refused when a page has forgotten its last row", () => {
    const database = new Database({ dir: root });
    fill(database, 100);
    database.close();
    const path = join(root, "log.db");
    const bytes = readFileSync(path);
    const leaf = Math.floor(bytes.indexOf(command(100, 1, 200).data) / 4096) * 4096;
    // A leaf of a table, and its number of cells (https://sqlite.org/fileformat2.html#b_tree_pages).
    expect(bytes[leaf]).toBe(0x0d);
    bytes.writeUInt16BE(bytes.readUInt16BE(leaf + 3) - 1, leaf + 3);
    writeFileSync(path, bytes);
    expect(whatOpens(root).content).toBe("storageCorrupt");
  });

  it("is refused when hard state, identity or the log's beginning are not what was written", () => {
    const hardState = patternBytes(40, 1);
    const identity = patternBytes(40, 2);
    const database = new Database({ dir: root });
    database.verifyLog();
    database.write([{ hardState, entries: null, firstIndex: 0 }]);
    database.saveIdentity(identity);
    database.reset(0x123456, 0x654321);
    database.close();
    const sound = whatOpens(root).content;
    const path = join(root, "log.db");
    const bytes = readFileSync(path);
    for (const record of [hardState, identity, encodeBase(0x123456, 0x654321)]) {
      const damaged = Buffer.from(bytes);
      // Every copy: pages keep outdated ones in their free space.
      let at = damaged.indexOf(record);
      expect(at).toBeGreaterThan(0);
      for (; at >= 0; at = damaged.indexOf(record)) damaged[at]! ^= 1;
      writeFileSync(path, damaged);
      const { content, message } = whatOpens(root);
      expect(content).toBe("storageCorrupt");
      expect(message).toContain("does not match its checksum");
    }
    writeFileSync(path, bytes);
    expect(whatOpens(root).content).toBe(sound);
  });

  it("keeps its sound entries when it is refused: put right, it opens again", () => {
    const database = new Database({ dir: root });
    fill(database, 10);
    database.close();
    const sound = whatOpens(root).content;
    const { data } = command(7, 1, 200);
    const offset = readFileSync(join(root, "log.db")).indexOf(data);
    flipBytes(join(root, "log.db"), offset);
    expect(whatOpens(root).content).toBe("storageCorrupt");
    expect(whatOpens(root).content).toBe("storageCorrupt");
    flipBytes(join(root, "log.db"), offset);
    expect(whatOpens(root).content).toBe(sound);
  });
});

describe("the write-ahead log", () => {
  const COMMITS = 20;
  let wal: string;
  let frameBytes: number;

  /** A store as a power cut would leave it: its commits are in the WAL, and nobody has closed it. */
  beforeEach(() => {
    const live = join(root, "live");
    const database = new Database({ dir: live });
    fill(database, COMMITS);
    mkdirSync(join(root, "cut"));
    for (const name of ["log.db", "log.db-wal"]) copyFileSync(join(live, name), join(root, "cut", name));
    database.close();
    wal = join(root, "cut", "log.db-wal");
    frameBytes = readFileSync(wal).readUInt32BE(8) + 24;
  });
  const open = (): ReturnType<typeof whatOpens> => whatOpens(join(root, "cut"));
  const frames = (): number => (statSync(wal).size - 32) / frameBytes;

  /** A commit's last frame has the size of the database in its header, the others a zero. */
  function lastCommitsFirstFrame(): number {
    const bytes = readFileSync(wal);
    let frame = frames() - 1;
    while (bytes.readUInt32BE(32 + (frame - 1) * frameBytes + 4) === 0) frame--;
    return frame;
  }

  it("is taken over whole", () => {
    expect(open().content).toMatch(/^1-20 /);
  });

  it("loses only the last commit when that was torn", () => {
    truncateSync(wal, statSync(wal).size - 10);
    expect(open().content).toMatch(/^1-19 /);
    expect(open().content).toMatch(/^1-19 /);
  });

  it("loses only the last commit when one of its frames never reached the disk", () => {
    const first = lastCommitsFirstFrame();
    expect(first).toBeLessThan(frames() - 1);
    flipBytes(wal, 32 + first * frameBytes + 1000);
    expect(open().content).toMatch(/^1-19 /);
  });

  it("is refused when a bad frame is followed by acknowledged ones, and nothing is overwritten", () => {
    const soundDatabase = readFileSync(join(root, "cut", "log.db"));
    for (const frame of [0, 1, Math.floor(frames() / 2), frames() - 5]) {
      // In the header: salt, checksum; in the page.
      for (const within of [9, 17, 24 + 1000]) {
        const offset = 32 + frame * frameBytes + within;
        flipBytes(wal, offset);
        const damaged = readFileSync(wal);
        const { content, message } = open();
        expect(content).toBe("storageCorrupt");
        expect(message).toContain("log.db-wal");
        expect(readFileSync(wal).equals(damaged)).toBe(true);
        expect(readFileSync(join(root, "cut", "log.db")).equals(soundDatabase)).toBe(true);
        flipBytes(wal, offset);
      }
    }
    expect(open().content).toMatch(/^1-20 /);
  });

  it("is refused when its header is damaged or gone", () => {
    flipBytes(wal, 20);
    expect(open().content).toBe("storageCorrupt");
    flipBytes(wal, 20);
    const bytes = readFileSync(wal);
    writeFileSync(wal, Buffer.from(bytes).fill(0, 0, 32));
    expect(open().content).toBe("storageCorrupt");
    writeFileSync(wal, bytes);
    expect(open().content).toMatch(/^1-20 /);
  });
});

describe("a directory that is not ours", () => {
  const refusal = async (dir: string): Promise<EngineError> => {
    try {
      await (await openSqliteStorage({ dir })).close();
    } catch (error) {
      if (error instanceof EngineError) return error;
      throw error;
    }
    throw new Error("it was opened");
  };

  it("is refused when its database is another program's, which keeps it", async () => {
    const other = new DatabaseSync(join(root, "log.db"));
    other.exec("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    other.close();
    const before = readFileSync(join(root, "log.db"));
    expect((await refusal(root)).code).toBe("storageForeign");
    expect(readFileSync(join(root, "log.db")).equals(before)).toBe(true);
  });

  it("is refused when it has another format version, naming both", async () => {
    new Database({ dir: root }).close();
    const newer = new DatabaseSync(join(root, "log.db"));
    newer.exec("PRAGMA user_version = 2");
    newer.close();
    const error = await refusal(root);
    expect(error.code).toBe("storageForeign");
    expect(error.message).toMatch(/version 2.*version 1/);
  });

  it("is refused when its database is no database", async () => {
    writeFileSync(
      join(root, "log.db"),
      "these are my notes, and there is more of them than one line\n".repeat(100),
    );
    expect((await refusal(root)).code).toBe("storageCorrupt");
  });

  it("is refused when the database is gone and snapshots are still there", async () => {
    const storage = await openSqliteStorage({ dir: root });
    const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const writer = await storage.snapshots.create({ index: 9, term: 1, config }, new Uint8Array());
    await writer.commit();
    await storage.close();
    rmSync(join(root, "log.db"));
    expect((await refusal(root)).code).toBe("storageCorrupt");
    expect(existsSync(join(root, "log.db"))).toBe(false);
  });

  it("is refused when it is a file", async () => {
    writeFileSync(join(root, "file"), "");
    expect((await refusal(join(root, "file"))).code).toBe("storageFailed");
  });
});
