import type { LogIndex, LogReadRequest, RaftEvent } from "../raft/index.ts";
import type { LogStore } from "./ports.ts";

/** What of the log is in the store. */
export interface StoredLog {
  readonly firstIndex: LogIndex;
  readonly persistedIndex: LogIndex;
}

/**
 * Reads what a lagging member needs from the store, as the event that tells Raft what was found.
 *
 * @param stored tells where the stored log begins and ends now.
 */
export async function readForMember(
  log: LogStore,
  request: LogReadRequest,
  stored: () => StoredLog,
): Promise<RaftEvent> {
  const { to, from, maxBytes } = request;
  const compacted: RaftEvent = { type: "logReadCompacted", to, from };
  const { firstIndex, persistedIndex } = stored();
  if (from < firstIndex) return compacted;
  if (from > persistedIndex) return { type: "logRead", to, from, prevTerm: 0, entries: [] };
  try {
    const [prevTerm, entries] = await Promise.all([
      log.term(from - 1),
      log.read(from, persistedIndex, maxBytes),
    ]);
    return { type: "logRead", to, from, prevTerm, entries };
  } catch (error) {
    // Compacted while it was being read.
    if (from < stored().firstIndex) return compacted;
    throw error;
  }
}
