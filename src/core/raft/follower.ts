import { assert, assertNever } from "../errors/index.ts";
import type { Core, RoleBehaviour } from "./core.ts";
import type { AppendEntries, Heartbeat, InstallSnapshot, Message } from "./messages.ts";
import type { LogIndex, NodeId, Role, SnapshotMeta, Term } from "./types.ts";
import { answerPreVote, answerRequestVote } from "./voting.ts";

/** Told by the follower when a write under way is no longer what the log holds. */
export interface LogReplacement {
  truncated(from: LogIndex): void;
  restored(snapshot: SnapshotMeta): void;
}

/** Takes entries from a leader, and campaigns when there is none (paper §5.2, figure 2 "Followers"). */
export class Follower implements RoleBehaviour {
  readonly role: Role = "follower";
  protected readonly core: Core;
  readonly #replacement: LogReplacement;
  #electionDeadlineMs: number;
  /** The newest heartbeat round of this term that was heard. */
  #newestRound: { readonly term: Term; readonly round: number } = { term: 0, round: 0 };

  constructor(core: Core, replacement: LogReplacement) {
    this.core = core;
    this.#replacement = replacement;
    this.#electionDeadlineMs = core.randomElectionDeadline();
  }

  deadlineMs(): number | null {
    return this.core.asleep ? null : this.#electionDeadlineMs;
  }

  onDeadline(): void {
    // Also when it may not campaign now: what forbids it may be gone by the next deadline.
    this.postponeElection();
    if (!this.core.mayCampaign()) return;
    this.core.become.campaign("preVote");
  }

  /** Campaigns then, unless a leader is heard before. */
  hurryElection(atMs: number): void {
    this.#electionDeadlineMs = atMs;
  }

  /** Starts the election timeout anew. */
  postponeElection(): void {
    this.#electionDeadlineMs = this.core.randomElectionDeadline();
  }

  onMessage(message: Message): void {
    switch (message.type) {
      case "AppendEntries":
        this.#heardFrom(message.from);
        return this.#onAppendEntries(message);
      case "Heartbeat":
        this.#heardFrom(message.from);
        return this.#onHeartbeat(message);
      case "InstallSnapshot":
        this.#heardFrom(message.from);
        return this.#onInstallSnapshot(message);
      case "RequestVote":
        if (answerRequestVote(this.core, message)) this.postponeElection();
        return;
      case "PreVote":
        return answerPreVote(this.core, message);
      case "TimeoutNow":
        if (this.core.mayCampaign()) this.core.become.campaign("transfer");
        return;
      case "ReadIndexRequest":
        return this.core.send({
          type: "ReadIndexResult",
          to: message.from,
          readId: message.readId,
          index: null,
        });
      case "ReadIndexResult":
        this.core.readStates.push({ readId: message.readId, index: message.index });
        return;
      case "AppendEntriesResult":
      case "HeartbeatResult":
      case "RequestVoteResult":
      case "PreVoteResult":
        return; // Answers to what this node was before.
      default:
        assertNever(message, "message");
    }
  }

  onPersisted(): void {}
  onApplied(): void {}
  onConfig(): void {}
  onExit(): void {}

  #heardFrom(leader: NodeId): void {
    assert(this.core.leaderId === null || this.core.leaderId === leader, "one leader in a term (paper §5.2)");
    this.core.leaderId = leader;
    this.core.lastLeaderContactMs = this.core.nowMs;
    this.postponeElection();
  }

  #onAppendEntries(message: AppendEntries): void {
    const { log, options } = this.core;
    if (message.prevLogIndex < log.commitIndex) return this.#acknowledge(message.from, log.commitIndex);
    // Dropped as if lost: the leader sends it again when the next heartbeat's answer shows that it is missing. Only
    // while there is something to apply, which makes room: what is not committed may wait for this very message.
    const full = log.unappliedBytes > options.maxUnappliedBytes && log.appliedIndex < log.commitIndex;
    if (full && message.entries.length > 0) return;
    const prev = { index: message.prevLogIndex, term: message.prevLogTerm };
    const lastNew = log.tryAppend(prev, message.entries, (from) => {
      this.#replacement.truncated(from);
      this.core.withdrawAcknowledgements(from);
    });
    if (lastNew === undefined) return this.#refuse(message);
    // Not past the last *new* entry: what lies beyond it in this log has not been compared (paper figure 2).
    log.commitTo(Math.min(message.leaderCommit, lastNew));
    this.#acknowledge(message.from, lastNew);
  }

  #acknowledge(leader: NodeId, matchIndex: LogIndex): void {
    const result = { type: "AppendEntriesResult", to: leader, success: true, matchIndex } as const;
    this.core.sendAfterPersist({ ...result, hintIndex: 0, hintTerm: 0 });
  }

  #refuse(message: AppendEntries): void {
    const { log } = this.core;
    // Below the commit index every leader's log agrees with this one, so the search ends there.
    const hint = log.lastAgreementCandidate(message.prevLogIndex, message.prevLogTerm, log.commitIndex);
    this.core.send({
      type: "AppendEntriesResult",
      to: message.from,
      success: false,
      matchIndex: message.prevLogIndex,
      hintIndex: hint.index,
      hintTerm: hint.term,
    });
  }

  #onHeartbeat(message: Heartbeat): void {
    const { core } = this;
    core.log.commitTo(Math.min(message.leaderCommit, core.log.lastIndex));
    const result = { type: "HeartbeatResult", to: message.from, round: message.round } as const;
    if (core.durable.term === core.term) core.send(result);
    else core.sendAfterPersist(result);
    // Only when nothing is missing here; otherwise the election timer stays, and with it the way to get help.
    const caughtUp =
      core.log.lastIndex === message.leaderCommit && core.log.commitIndex === message.leaderCommit;
    // Nor by a good night that was long under way: its leader has got up since, and relies on what was promised then.
    const newest = message.term !== this.#newestRound.term || message.round >= this.#newestRound.round;
    if (newest) this.#newestRound = { term: message.term, round: message.round };
    // Which a node that has just started cannot tell: it has forgotten what it heard.
    const owesNothingOlder = core.nowMs >= core.owesSilenceUntilMs;
    core.asleep = message.quiesce && caughtUp && newest && owesNothingOlder;
  }

  #onInstallSnapshot(message: InstallSnapshot): void {
    const { core } = this;
    const { snapshot } = message;
    if (snapshot.index <= core.log.commitIndex) return this.#acknowledge(message.from, core.log.commitIndex);
    if (core.log.term(snapshot.index) === snapshot.term) {
      // The log has everything the snapshot stands for: nothing to restore, and nothing after it to lose.
      core.log.commitTo(snapshot.index);
      return this.#acknowledge(message.from, snapshot.index);
    }
    core.log.restore(snapshot);
    core.config = snapshot.config;
    this.#replacement.restored(snapshot);
    core.withdrawAcknowledgements(snapshot.index + 1);
    this.#acknowledge(message.from, snapshot.index);
    // The snapshot may have made a voter of a learner.
    core.become.follow(core.term, message.from);
  }
}
