// A process for tests to kill: appends for as long as it lives, and says what has been acknowledged.
//
//     node sqlite-child.ts <dir> append|hold

import { writeSync } from "node:fs";
import { openSqliteStorage } from "../../src/adapters/sqlite/index.ts";
import { command } from "./storage-helpers.ts";

/** Appends under way at the same time. */
const MAX_INFLIGHT = 4;
const TERM = 1;

const [dir, mode] = process.argv.slice(2);
if (dir === undefined) throw new Error("usage: sqlite-child.ts <dir> append|hold");

const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

const storage = await openSqliteStorage({ dir });
const { lastIndex } = await storage.log.open();
let next = lastIndex + 1;
say(`open ${lastIndex}`);
if (mode === "hold") setInterval(() => {}, 1000);
else await Promise.all(Array.from({ length: MAX_INFLIGHT }, appendForEver));

async function appendForEver(): Promise<void> {
  for (;;) {
    const first = next;
    // From one entry to some that fill pages of their own, with a hard state every other time.
    const count = 1 + (first % 5);
    next += count;
    const entries = Array.from({ length: count }, (_, i) => command(first + i, TERM, (first * 37) % 9000));
    if (first % 2 === 0) await storage.log.append(entries);
    else await storage.commit!({ term: TERM, vote: 1n, commit: first }, entries);
    say(`acknowledged ${first + count - 1}`);
    if (first % 50 === 0) await storage.log.compact(Math.max(first - 40, 1));
  }
}
