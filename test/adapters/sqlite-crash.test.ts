import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteStorage } from "../../src/adapters/sqlite/index.ts";
import type { StorageEngine } from "../../src/core/node/index.ts";
import { command, commands, rejection, summary } from "./storage-helpers.ts";

const CHILD = fileURLToPath(new URL("./sqlite-child.ts", import.meta.url));

let dir: string;
let children: ChildProcess[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "d-engine-crash-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(dir, { recursive: true });
});

interface Child {
  /** Waits until so many lines have come since the start. */
  lines(count: number): Promise<void>;
  /** SIGKILL; resolves to everything it said, once it is gone. */
  kill(): Promise<string[]>;
}

function start(mode: "append" | "hold"): Child {
  const child = spawn(process.execPath, [CHILD, dir, mode], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  let said = "";
  let wake = (): void => {};
  let ended = false;
  const closed = new Promise<void>((resolve) =>
    child.once("close", () => {
      ended = true;
      wake();
      resolve();
    }),
  );
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    wake();
  });
  // What follows the last line's end has been cut off by the kill.
  const complete = (): string[] => said.split("\n").slice(0, -1);
  return {
    async lines(count) {
      while (complete().length < count) {
        if (ended) throw new Error(`the child ended after ${complete().length} lines`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async kill() {
      child.kill("SIGKILL");
      await closed;
      return complete();
    },
  };
}

/** The last index acknowledged, or where the child began. */
function lastAcknowledged(lines: readonly string[]): number {
  return Math.max(...lines.map((line) => Number(line.split(" ")[1])));
}

async function expectWholeLog(storage: StorageEngine): Promise<number> {
  const { firstIndex, lastIndex } = await storage.log.open();
  if (lastIndex < firstIndex) return lastIndex;
  const entries = await storage.log.read(firstIndex, lastIndex, Number.MAX_SAFE_INTEGER);
  const expected = entries.map(({ index }, i) => {
    expect(index).toBe(firstIndex + i);
    const { data } = entries[i] as { data: Uint8Array };
    return command(index, 1, data.length);
  });
  expect(entries).toHaveLength(lastIndex - firstIndex + 1);
  expect(summary(entries)).toEqual(summary(expected));
  return lastIndex;
}

describe("a process that is killed", () => {
  it("loses nothing that it acknowledged, however often", { timeout: 60_000 }, async () => {
    for (const lines of [1, 2, 10, 40, 150, 400]) {
      const child = start("append");
      await child.lines(lines);
      const acknowledged = lastAcknowledged(await child.kill());
      const storage = await openSqliteStorage({ dir });
      expect(await expectWholeLog(storage)).toBeGreaterThanOrEqual(acknowledged);
      await storage.close();
    }
  });

  it("gives the directory free at once", async () => {
    const child = start("hold");
    await child.lines(1);
    expect(await rejection(openSqliteStorage({ dir }))).toBe("storageLocked");
    expect(await rejection(openSqliteStorage({ dir }))).toBe("storageLocked");
    await child.kill();
    const storage = await openSqliteStorage({ dir });
    await storage.log.open();
    await storage.log.append(commands(1, 1, 1));
    await storage.close();
  });
});

describe("one directory", () => {
  it("cannot be opened twice in one process, and can once it is closed", async () => {
    const first = await openSqliteStorage({ dir });
    expect(await rejection(openSqliteStorage({ dir }))).toBe("storageLocked");
    await first.log.open();
    await first.log.append(commands(1, 3, 1));
    await first.close();
    const second = await openSqliteStorage({ dir });
    expect((await second.log.open()).lastIndex).toBe(3);
    await second.close();
  });

  it("is not looked at before the lock is had: its holder may be in the middle of making it", async () => {
    const lock = new DatabaseSync(join(dir, "lock"));
    lock.exec("BEGIN EXCLUSIVE");
    writeFileSync(join(dir, "log.db"), "half of a database");
    expect(await rejection(openSqliteStorage({ dir }))).toBe("storageLocked");
    lock.close();
    expect(await rejection(openSqliteStorage({ dir }))).toBe("storageCorrupt");
  });

  it("is cleared of snapshots that a dead process left unfinished", async () => {
    const storage = await openSqliteStorage({ dir });
    const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const writer = await storage.snapshots.create({ index: 1, term: 1, config }, new Uint8Array());
    await writer.write(new Uint8Array(1 << 20));
    const left = readdirSync(join(dir, "snapshots"));
    expect(left).toHaveLength(1);
    await storage.close();
    writeFileSync(join(dir, "snapshots", left[0]!), "torn");
    const again = await openSqliteStorage({ dir });
    expect(readdirSync(join(dir, "snapshots"))).toEqual([]);
    await again.close();
  });
});

describe("a full disk", () => {
  it("fails the write, every write after it, and nothing before it", async () => {
    const full = await openSqliteStorage({ dir, maxPages: 40 });
    await full.log.open();
    let acknowledged = 0;
    const failed = await (async () => {
      for (;;) {
        const code = await rejection(full.log.append([command(acknowledged + 1, 1, 3000)]));
        if (code !== "not refused") return code;
        acknowledged++;
      }
    })();
    expect(failed).toBe("storageFull");
    expect(acknowledged).toBeGreaterThan(10);
    expect(await rejection(full.log.append([command(acknowledged + 1, 1, 1)]))).toBe("storageFailed");
    expect(await rejection(full.meta.saveHardState({ term: 1, vote: null, commit: 0 }))).toBe(
      "storageFailed",
    );
    expect(await rejection(full.log.compact(5))).toBe("storageFailed");
    await full.close();

    const roomy = await openSqliteStorage({ dir });
    expect(await expectWholeLog(roomy)).toBe(acknowledged);
    await roomy.log.append([command(acknowledged + 1, 1, 3000)]);
    await roomy.close();
  });

  it("fails all writes of the commit that did not fit", async () => {
    const full = await openSqliteStorage({ dir, maxPages: 40 });
    await full.log.open();
    await full.log.append([command(1, 1, 1000)]);
    // The first is committed alone or with others, in a round of its own; the last two cannot fit.
    const codes = await Promise.all([
      rejection(full.log.append([command(2, 1, 200_000)])),
      rejection(full.log.append([command(3, 1, 10)])),
    ]);
    expect(codes[0]).toBe("storageFull");
    expect(["storageFull", "storageFailed"]).toContain(codes[1]);
    await full.close();
    const roomy = await openSqliteStorage({ dir });
    expect(await expectWholeLog(roomy)).toBe(1);
    await roomy.close();
  });
});
