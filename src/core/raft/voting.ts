import type { Core } from "./core.ts";
import type { PreVote, RequestVote } from "./messages.ts";

/**
 * Whether a request to vote is to be ignored because a leader was heard from within an election timeout: without
 * it a node that was cut off, or was removed, could disturb the rest (thesis §4.2.3), and leases would be worth
 * nothing (§6.4.1). The leader itself asks only once it leads no more, and has no lease: it lost its memory, perhaps.
 */
export function refusesToListen(core: Core, message: RequestVote | PreVote, isLeader: boolean): boolean {
  if (message.type === "RequestVote" && message.leadershipTransfer) return false;
  if (message.from === core.leaderId) return false;
  // A leader hears from itself: CheckQuorum is what ends its reign.
  return isLeader || core.nowMs - core.lastLeaderContactMs < core.options.electionTimeoutMs;
}

/** Answers a PreVote: would this node vote for the candidate in that term? Nothing is promised, so nothing waits. */
export function answerPreVote(core: Core, message: PreVote): void {
  const granted = message.term > core.term && core.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
  // Granted: in the candidate's future term, so that it can tell the answer belongs to this attempt. Refused: in
  // ours, so that a candidate with an older term catches up instead of asking for ever.
  core.send({ type: "PreVoteResult", to: message.from, granted, ...(granted ? { term: message.term } : {}) });
}

/**
 * Answers a RequestVote of the current term: one vote a term, first come first served, only for a log at least as
 * up to date (paper figure 2). Learners vote too: whoever asks may know of a promotion that they do not.
 *
 * @returns whether the vote was granted.
 */
export function answerRequestVote(core: Core, message: RequestVote): boolean {
  const free = core.vote === null ? core.leaderId === null : core.vote === message.from;
  const granted = free && core.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
  if (granted) core.vote = message.from;
  core.sendAfterPersist({ type: "RequestVoteResult", to: message.from, granted });
  return granted;
}
