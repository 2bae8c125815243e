import type {
  Entry,
  HardState,
  LogIndex,
  Message,
  NodeId,
  RaftStatus,
  Ready,
  Role,
  Term,
} from "../../../src/core/raft/index.ts";
import { type NodeState, termAt, viewOf } from "./node-state.ts";

/**
 * The invariants that one node can break all by itself, checked while an event is carried out (their names are
 * those of the design's list; what takes several nodes to see is in `invariants.ts`):
 *
 * - S2 a leader only appends; S6 commit and applied only grow, applied ≤ commit ≤ last;
 * - S7 terms only grow, one vote a term, over restarts too; S8 no promise leaves before it is durable;
 * - S10 one membership change at a time, not before the leader has committed in its term; nobody campaigns with one
 *   committed and not applied; what was acted upon is not forgotten over a restart. S11 learners do not campaign.
 */
export class Promises {
  readonly broken: string[] = [];
  readonly #node: NodeState;
  readonly #before: {
    readonly role: Role;
    readonly term: Term;
    readonly view: readonly Entry[];
  };
  #commit: LogIndex;
  #applied: LogIndex;

  constructor(node: NodeState) {
    this.#node = node;
    const { raft } = node;
    const status = raft.status();
    this.#before = { role: status.role, term: status.term, view: viewOf(node) };
    this.#commit = status.commitIndex;
    this.#applied = status.appliedIndex;
  }

  #check(holds: boolean, invariant: string, detail: () => string): void {
    if (!holds) this.broken.push(`${invariant}: node ${this.#node.id} ${detail()}`);
  }

  /** What was durable counts; the rest is forgotten, and not by the node's fault. */
  restarted(): void {
    const { raft, hardState, entries, actedOn } = this.#node;
    const status = raft.status();
    this.#commit = status.commitIndex;
    this.#applied = status.appliedIndex;
    this.#check(
      status.term === hardState.term && status.vote === hardState.vote,
      "S7 restart",
      () =>
        `came up in ${status.term}, voted ${status.vote}; its disk says ${hardState.term}, ${hardState.vote}`,
    );
    // Without the entry on its disk it is as one that never heard of the change, and has promised nothing about it.
    const remembers = status.commitIndex >= actedOn || termAt(entries, actedOn) === undefined;
    this.#check(
      remembers,
      "S10 membership forgotten",
      () => `came up knowing ${status.commitIndex} to be committed; it had applied the change at ${actedOn}`,
    );
  }

  checkHardState(next: HardState): void {
    const { term, vote } = this.#node.hardState;
    this.#check(next.term >= term, "S7 term", () => `wrote term ${next.term} over ${term}`);
    this.#check(
      next.term !== term || vote === null || next.vote === vote,
      "S7 vote",
      () => `wrote its vote for ${next.vote} over one for ${vote} in term ${term}`,
    );
  }

  checkReady({ entries }: Ready): void {
    const { role, term, view } = this.#before;
    const { raft } = this.#node;
    const first = entries[0]?.index;
    if (first === undefined || role !== "leader" || raft.role !== "leader" || raft.term !== term) return;
    this.#check(first > (view.at(-1)?.index ?? 1), "S2 append-only", () => `overwrote ${first} as leader`);
  }

  checkSent(message: Message, promisedTerm: Term | null): void {
    const { hardState, entries, id } = this.#node;
    const { type, term, to } = message;
    switch (type) {
      case "RequestVoteResult":
        if (message.granted) this.#checkVote(term, to);
        return;
      case "RequestVote":
        return this.#checkVote(term, id);
      case "AppendEntriesResult":
        if (!message.success) return;
        this.#check(
          termAt(entries, message.matchIndex) === promisedTerm,
          "S8 durable entries",
          () => `acknowledges ${message.matchIndex}/${promisedTerm}; its disk has ${describe(entries)}`,
        );
        break;
      case "AppendEntries":
      case "Heartbeat":
      case "HeartbeatResult":
        break;
      default:
        return;
    }
    this.#check(
      hardState.term >= term,
      "S8 durable term",
      () => `sends ${type} of term ${term}, its disk has ${hardState.term}`,
    );
  }

  #checkVote(term: Term, candidate: NodeId): void {
    const { hardState, granted } = this.#node;
    this.#check(
      hardState.term > term || (hardState.term === term && hardState.vote === candidate),
      "S8 durable vote",
      () => `votes for ${candidate} in ${term}, its disk has ${hardState.vote} in ${hardState.term}`,
    );
    const before = granted.get(term);
    this.#check(
      before === undefined || before === candidate,
      "S7 vote",
      () => `votes for ${candidate} in ${term}, after ${before}`,
    );
    granted.set(term, before ?? candidate);
  }

  checkSettled(): void {
    const { raft } = this.#node;
    const status = raft.status();
    const view = viewOf(this.#node);
    this.#checkOrder(status, view);
    if (status.role === "leader") this.#checkLeader(status, view);
    else if (status.role !== "follower") this.#checkCampaign(status, view);
  }

  #checkOrder(status: RaftStatus, view: readonly Entry[]): void {
    const { appliedIndex, commitIndex, lastIndex, lastTerm, durable, persistedIndex } = status;
    const { hardState, entries } = this.#node;
    const last = view.at(-1)?.index ?? 1;
    this.#check(
      appliedIndex <= commitIndex && commitIndex <= lastIndex,
      "S6 order",
      () => `has applied ${appliedIndex}, commit ${commitIndex}, last ${lastIndex}`,
    );
    this.#check(
      commitIndex >= this.#commit && appliedIndex >= this.#applied,
      "S6 monotonic",
      () => `went from commit ${this.#commit}, applied ${this.#applied} to ${commitIndex}, ${appliedIndex}`,
    );
    this.#check(
      lastIndex === last && lastTerm === termAt(view, last),
      "S3 log matching",
      () => `ends at ${lastIndex}/${lastTerm}, what it gave out to be written is ${describe(view)}`,
    );
    this.#check(
      durable.term <= hardState.term && durable.commit <= hardState.commit,
      "S8 durable",
      () => "believes a hard state to be durable that is not",
    );
    this.#check(
      termAt(entries, persistedIndex) === termAt(view, persistedIndex),
      "S8 durable entries",
      () => `believes ${persistedIndex} of ${describe(view)} durable; its disk has ${describe(entries)}`,
    );
  }

  #checkLeader({ appliedIndex, commitIndex, term }: RaftStatus, view: readonly Entry[]): void {
    const changes = view.filter(({ kind, index }) => kind === "confChange" && index > appliedIndex);
    this.#check(
      changes.length <= 1,
      "S10 membership",
      () => `leads with the changes ${changes.map(({ index }) => index).join()} at once`,
    );
    const own = changes.find((change) => change.term === term);
    this.#check(
      own === undefined || termAt(view, commitIndex) === term,
      "S10 too early",
      () => `proposed the change at ${own?.index} before it committed anything of term ${term}`,
    );
  }

  #checkCampaign(
    { role, term, config, appliedIndex, commitIndex }: RaftStatus,
    view: readonly Entry[],
  ): void {
    if (role === this.#before.role && term === this.#before.term) return;
    const { id } = this.#node;
    this.#check(
      config.voters.includes(id) || config.votersOutgoing.includes(id),
      "S11 learners",
      () => "campaigns and is no voter",
    );
    const pending = view.find(
      ({ kind, index }) => kind === "confChange" && index > appliedIndex && index <= commitIndex,
    );
    this.#check(
      pending === undefined,
      "S10 campaign",
      () => `campaigns with the change at ${pending?.index} committed and not applied`,
    );
  }
}

/** Indexes and terms of a log, in short. */
export function describe(log: readonly Entry[]): string {
  return log.length === 0 ? "nothing" : log.map(({ index, term }) => `${index}/${term}`).join(" ");
}
