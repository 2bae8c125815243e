import { EngineError } from "../../core/errors/index.ts";
import type { LogBounds, LogStore } from "../../core/node/index.ts";
import type { Entry, LogIndex, Term } from "../../core/raft/index.ts";
import type { DatabaseThread } from "./database-thread.ts";
import { packEntries, unpackEntries } from "./packed-entries.ts";

/** The log in the database's `log` table. */
export class SqliteLogStore implements LogStore {
  readonly #thread: DatabaseThread;

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
  }

  open(): Promise<LogBounds> {
    return this.#thread.call({ type: "verifyLog" });
  }

  append(entries: readonly Entry[]): Promise<void> {
    return writeBatch(this.#thread, null, entries);
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    return unpackEntries(await this.#thread.call({ type: "read", from, to, maxBytes }));
  }

  term(index: LogIndex): Promise<Term> {
    return this.#thread.call({ type: "term", index });
  }

  compact(to: LogIndex): Promise<void> {
    return this.#thread.call({ type: "compact", to });
  }

  reset(index: LogIndex, term: Term): Promise<void> {
    return this.#thread.call({ type: "reset", index, term });
  }
}

/** Hard state and entries, in one commit; async, so that a refusal is a rejection. */
export async function writeBatch(
  thread: DatabaseThread,
  hardState: Uint8Array | null,
  entries: readonly Entry[],
): Promise<void> {
  const firstIndex = entries[0]?.index ?? 0;
  entries.forEach(({ index }, i) => {
    if (index !== firstIndex + i) {
      throw new EngineError("invalidArgument", {
        detail: `entry ${index} stands where ${firstIndex + i} should`,
      });
    }
  });
  if (entries.length === 0) {
    await thread.call({ type: "write", hardState, entries: null, firstIndex });
    return;
  }
  const packed = packEntries(entries);
  await thread.call({ type: "write", hardState, entries: packed, firstIndex }, [packed.buffer]);
}
