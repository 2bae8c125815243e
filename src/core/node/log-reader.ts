import type { LogIndex, LogReadRequest, RaftEvent, Term } from "../raft/index.ts";
import type { LogStore } from "./ports.ts";

/** The term, and what of the log is in the store. */
export interface LogExtent {
  readonly term: Term;
  readonly firstIndex: LogIndex;
  readonly persistedIndex: LogIndex;
}

/**
 * Reads what a lagging member needs from the store, as the event that tells Raft what was found. `null` when
 * the term has ended meanwhile: a later leader, even on this node, may have replaced what was read.
 *
 * @param stored tells the present term, and where the stored log begins and ends.
 */
export async function readForMember(
  log: LogStore,
  request: LogReadRequest,
  stored: () => LogExtent,
): Promise<RaftEvent | null> {
  const { to, from, maxBytes } = request;
  const compacted: RaftEvent = { type: "logReadCompacted", to, from };
  const { firstIndex, persistedIndex, term } = stored();
  if (from < firstIndex) return compacted;
  if (from > persistedIndex) return { type: "logRead", to, from, prevTerm: 0, entries: [] };
  try {
    const [prevTerm, entries] = await Promise.all([
      log.term(from - 1),
      log.read(from, persistedIndex, maxBytes),
    ]);
    return stored().term === term ? { type: "logRead", to, from, prevTerm, entries } : null;
  } catch (error) {
    if (stored().term !== term) return null;
    // Compacted while it was being read.
    if (from < stored().firstIndex) return compacted;
    throw error;
  }
}
