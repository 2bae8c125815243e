import type { LogReadRequest, RaftEvent } from "../raft/index.ts";
import type { LogStore } from "./ports.ts";

/** Reads what a lagging member needs from the store, as the event that tells Raft what was found. */
export async function readForMember(log: LogStore, request: LogReadRequest): Promise<RaftEvent> {
  const { to, from, maxBytes } = request;
  const bounds = await log.open();
  if (from < bounds.firstIndex) return { type: "logReadCompacted", to, from };
  const [prevTerm, entries] = await Promise.all([
    log.term(from - 1),
    log.read(from, bounds.lastIndex, maxBytes),
  ]);
  return { type: "logRead", to, from, prevTerm, entries };
}
