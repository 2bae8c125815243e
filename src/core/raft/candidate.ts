import type { CampaignKind, Core, RoleBehaviour } from "./core.ts";
import type { Message } from "./messages.ts";
import { voteOutcome } from "./quorum.ts";
import { isVoter, members } from "./cluster-config.ts";
import type { NodeId, Role } from "./types.ts";
import { answerPreVote, answerRequestVote } from "./voting.ts";

/** Asks for votes: as a pre-candidate whether an election could be won (thesis §9.6), then for real (paper §5.2). */
export class Candidate implements RoleBehaviour {
  readonly role: Role;
  readonly #core: Core;
  readonly #deadlineMs: number;
  readonly #votes: Map<NodeId, boolean> = new Map();

  constructor(core: Core, kind: CampaignKind) {
    this.#core = core;
    this.role = kind === "preVote" ? "preCandidate" : "candidate";
    this.#deadlineMs = core.randomElectionDeadline();
  }

  /** Sends the requests. May win at once, when this node is the only voter. */
  campaign(kind: CampaignKind): void {
    const core = this.#core;
    const log = { lastLogIndex: core.log.lastIndex, lastLogTerm: core.log.lastTerm };
    for (const to of members(core.config)) {
      if (to === core.id || !isVoter(core.config, to)) continue;
      if (kind === "preVote") core.send({ type: "PreVote", to, term: core.term + 1, ...log });
      else
        core.sendAfterPersist({ type: "RequestVote", to, ...log, leadershipTransfer: kind === "transfer" });
    }
    // A real vote for oneself counts once it is durable, see onPersisted.
    if (kind === "preVote") this.#record(core.id, true);
  }

  deadlineMs(): number | null {
    return this.#deadlineMs;
  }

  onDeadline(): void {
    if (this.#core.mayCampaign()) this.#core.become.campaign("preVote");
    else this.#core.become.follow(this.#core.term, null);
  }

  onMessage(message: Message): void {
    const core = this.#core;
    switch (message.type) {
      case "PreVoteResult":
        // A grant names the term it is for; one for an older attempt says nothing about this one.
        if (this.role !== "preCandidate" || (message.granted && message.term !== core.term + 1)) return;
        return this.#record(message.from, message.granted);
      case "RequestVoteResult":
        if (this.role === "candidate") this.#record(message.from, message.granted);
        return;
      case "RequestVote":
        // A pre-candidate has not voted in this term yet.
        if (answerRequestVote(core, message)) core.become.follow(core.term, null);
        return;
      case "PreVote":
        return answerPreVote(core, message);
      case "ReadIndexRequest":
        return core.send({ type: "ReadIndexResult", to: message.from, readId: message.readId, index: null });
      case "ReadIndexResult":
        core.readStates.push({ readId: message.readId, index: message.index });
        return;
      default:
        return; // A leader's messages have made this node a follower before they get here.
    }
  }

  onPersisted(): void {
    const { durable, term, id } = this.#core;
    if (this.role === "candidate" && durable.term === term && durable.vote === id) this.#record(id, true);
  }

  onApplied(): void {}

  onConfig(): void {
    if (!isVoter(this.#core.config, this.#core.id)) this.#core.become.follow(this.#core.term, null);
    else this.#tally();
  }

  onExit(): void {}

  #record(voter: NodeId, granted: boolean): void {
    // The first answer counts; a repeated or contradicting one is a duplicate from an earlier attempt.
    if (this.#votes.has(voter)) return;
    this.#votes.set(voter, granted);
    this.#tally();
  }

  #tally(): void {
    const outcome = voteOutcome(this.#core.config, (voter) => this.#votes.get(voter));
    if (outcome === "won") {
      if (this.role === "preCandidate") this.#core.become.campaign("vote");
      else this.#core.become.lead();
    } else if (outcome === "lost") this.#core.become.follow(this.#core.term, null);
  }
}
