import { expect, it } from "vitest";
import {
  type DurableObjectStorageEngine,
  openDurableObjectStorage,
} from "../../src/adapters/durable-object/index.ts";
import type { NodeTuning } from "../../src/core/node/index.ts";
import { memories, PacedGroup } from "../workerd/paced-group.ts";
import { objectSite } from "../workerd/storage-site.ts";
import { command, commands, patternBytes } from "./storage-helpers.ts";

/*
 * Rows written are what a Durable Object costs under load: $1 a million, while a request costs $0.15. They are
 * counted by the platform itself, `rowsWritten` of each statement.
 */

/** Rows that `work` writes in a new object's storage, by the adapter's count, after it was opened. */
async function rowsOf(
  work: (storage: DurableObjectStorageEngine, sync: () => Promise<void>) => Promise<void>,
): Promise<number> {
  const site = await objectSite();
  const rows = await site.run(async (ours) => {
    const storage = openDurableObjectStorage(ours);
    await storage.log.open();
    const before = storage.rowsWritten;
    await work(storage, () => ours.sync());
    const written = storage.rowsWritten - before;
    await storage.close();
    return written;
  });
  await site.remove();
  return rows;
}

it("costs one row to write, whatever is written with it", async () => {
  const state = { term: 1, vote: 1n, commit: 0 };
  expect(await rowsOf(({ log }) => log.append(commands(1, 1, 1)))).toBe(1);
  expect(await rowsOf(({ log }) => log.append(commands(1, 1000, 1)))).toBe(1);
  expect(await rowsOf((storage) => storage.commit(state, commands(1, 1000, 1)))).toBe(1);
  expect(await rowsOf(({ meta }) => meta.saveHardState(state))).toBe(1);
  expect(await rowsOf((storage) => storage.confirmOwner())).toBe(1);
  expect(await rowsOf(async (storage) => storage.touch())).toBe(0);
  expect(await rowsOf(({ log }) => log.append([command(1, 1, 5 << 20)]))).toBe(3);
});

it("costs nothing to replace what was written, and one row to compact however much", async () => {
  const written = await rowsOf(async ({ log }) => {
    for (let i = 1; i <= 100; i++) await log.append(commands(i, 1, 1));
    await log.append(commands(2, 1, 2));
    await log.compact(2);
    await log.append(commands(3, 1, 2));
  });
  expect(written).toBe(103);
});

it("costs a row for each MiB of a snapshot, one to commit it, and one to drop it", async () => {
  const written = await rowsOf(async ({ snapshots }) => {
    const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const writer = await snapshots.create({ index: 5, term: 1, config }, new Uint8Array());
    await writer.write(patternBytes(2_500_000, 1));
    await snapshots.drop(await writer.commit());
  });
  expect(written).toBe(5);
});

it("costs one row for all who ask at once whether the store is still theirs, and for those who ask meanwhile", async () => {
  expect(
    await rowsOf(async (storage) => {
      const first = Array.from({ length: 10 }, () => storage.confirmOwner());
      await Promise.resolve().then(() => {});
      const meanwhile = Array.from({ length: 10 }, () => storage.confirmOwner());
      await Promise.all([...first, ...meanwhile]);
    }),
  ).toBe(2);
});

const PUTS = 300;

/** Rows for each of 100 puts a second, on a node with the object's storage that leads two others or follows. */
async function rowsPerPut(role: "leader" | "follower", tuning: Partial<NodeTuning>): Promise<number> {
  let written = 0;
  await rowsOf(async (storage, sync) => {
    const group = await PacedGroup.start([storage, ...memories(2)], sync, tuning);
    await group.lead(role === "leader" ? 1 : 2);
    const before = storage.rowsWritten;
    await group.puts(PUTS, 10);
    written = storage.rowsWritten - before;
    await group.stop();
  });
  return written / PUTS;
}

it("prints what a put costs, at 100 of 1 KB a second", { timeout: 60_000 }, async () => {
  const measured: string[] = [];
  for (const { lingerMs, most } of [
    { lingerMs: 0, most: 1.1 },
    { lingerMs: 50, most: 0.2 },
  ]) {
    for (const role of ["leader", "follower"] as const) {
      const rows = await rowsPerPut(role, { lingerMs });
      measured.push(`linger ${lingerMs} ms, ${role}: ${rows.toFixed(3)} rows written for each put`);
      expect(rows).toBeLessThanOrEqual(most);
      expect(rows).toBeGreaterThan(0.1);
    }
  }
  console.log(measured.join("\n"));
});

it("writes nothing while nothing happens", async () => {
  let written = -1;
  await rowsOf(async (storage, sync) => {
    const group = await PacedGroup.start([storage, ...memories(2)], sync, {});
    await group.lead(1);
    const before = storage.rowsWritten;
    await group.idle(10_000);
    written = storage.rowsWritten - before;
    await group.stop();
  });
  expect(written).toBe(0);
});
