import { RAFT_DEFAULTS, entryBytes } from "../../../../src/core/raft/index.ts";
import type {
  ClusterConfig,
  Entry,
  LogIndex,
  Message,
  NodeId,
  Outcome,
  RaftEvent,
  RaftOptions,
  RaftStatus,
  Ready,
  Role,
  SnapshotMeta,
  Term,
} from "../../../../src/core/raft/index.ts";
import { CommitNews } from "./commit-news.ts";
import { Oracle } from "./oracle.ts";
import type { SimEvent } from "./sim-event.ts";
import type { SimNode } from "./sim-node.ts";

/** The whole cluster, as far as checks that compare nodes need it. */
interface Everyone {
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
}

/** What a node looked like after its previous step, in the same life. */
interface Before {
  readonly role: Role;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly asleep: boolean;
}

/** A broken invariant, by its name in the list of the class below. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * What must hold after every step, whatever happened before. The names are those of the design's list:
 *
 * - S1 one leader in a term; S2 a leader only appends; S3 log matching; S4 a leader has all that is committed;
 * - S5 the same entry applied at an index everywhere; S6 commit and applied only grow, applied ≤ commit ≤ last;
 * - S7 terms only grow and a vote is kept, over restarts too; S8 no promise leaves before it is durable;
 * - S9 what is committed is durable on a quorum, of both halves while joint; S10 one membership change at a time,
 *   and no campaign while one is committed and not applied; S11 learners are never counted;
 * - S12, S13 a read sees all that was committed before it began; S18 limits on bytes and messages are kept;
 * - S22 members hear of what is committed in time, and at once where somebody waits for it.
 *
 * A step changes one node, so only that one is looked at again; what the rest must agree on is in the oracle.
 */
export class Invariants {
  readonly #everyone: Everyone;
  readonly #oracle: Oracle = new Oracle();
  readonly #options: Omit<RaftOptions, "nodeId">;
  readonly #clocksWithinBound: boolean;
  readonly #before: Map<NodeId, Before> = new Map();
  readonly #news: Map<NodeId, CommitNews> = new Map();
  /**
   * Messages that a node wrote in this step. An answer to the heartbeat that put it to sleep, late or repeated,
   * does not count.
   */
  #written = 0;
  /** How many steps were checked. */
  steps = 0;

  constructor(
    everyone: Everyone,
    { raft, clocksWithinBound }: { raft: Partial<RaftOptions>; clocksWithinBound: boolean },
  ) {
    this.#everyone = everyone;
    this.#options = { ...RAFT_DEFAULTS, ...raft };
    this.#clocksWithinBound = clocksWithinBound;
  }

  /** The highest index that any leader has ever known to be committed. */
  get committedIndex(): LogIndex {
    return this.#oracle.committedIndex;
  }

  observe(event: SimEvent): void {
    switch (event.type) {
      case "started":
        return this.#onStarted(event.node);
      case "crashed":
        this.#before.delete(event.node.id);
        this.#news.delete(event.node.id);
        return;
      case "stepped":
        return this.#onStepped(event.node, event.event, event.outcome);
      case "ready":
        return this.#onReady(event.node, event.ready);
      case "sent":
        return this.#onSent(event.node, event.message, event.promisedTerm);
      case "persisted":
        return this.#onPersisted(event.node);
      case "applied":
        return this.#onApplied(event.node, event.entry, event.config);
      case "restored":
        return this.#onRestored(event.node, event.snapshot);
      case "readBegan":
        this.#oracle.reads.set(event.readId, { floor: this.#oracle.committedIndex, lease: event.lease });
        return;
      case "readAnswered":
        return this.#onReadAnswered(event.node, event.readId, event.index);
      case "settled":
        return this.#onSettled(event.node, event.event?.type === "wake");
      default:
        return;
    }
  }

  #check(holds: boolean, invariant: string, node: SimNode, detail: () => string): asserts holds {
    if (!holds) throw new InvariantError(`${invariant}: node ${node.id}: ${detail()}`);
  }

  // Over restarts

  #onStarted(node: SimNode): void {
    const { status } = node;
    const { hardState } = node.disk;
    this.#check(
      status.term >= hardState.term,
      "S7 term",
      node,
      () => `restarted at ${status.term}, durable ${hardState.term}`,
    );
    if (status.term === hardState.term)
      this.#check(status.vote === hardState.vote, "S7 vote", node, () => "forgot its vote over a restart");
    this.#checkDurableVote(node);
  }

  #onPersisted(node: SimNode): void {
    this.#checkDurableVote(node);
  }

  #checkDurableVote(node: SimNode): void {
    const { term, vote } = node.disk.hardState;
    const terms = this.#oracle.durableTerms;
    const highest = terms.get(node.id) ?? 0;
    this.#check(term >= highest, "S7 term", node, () => `durable term went from ${highest} to ${term}`);
    terms.set(node.id, term);
    const kept = this.#oracle.vote(node.id, term);
    if (kept !== undefined)
      this.#check(vote === kept, "S7 vote", node, () => `voted for ${kept} and then ${vote} in term ${term}`);
    if (vote !== null) this.#oracle.recordVote(node.id, term, vote);
  }

  // Logs

  #onReady(node: SimNode, ready: Ready): void {
    const before = this.#before.get(node.id);
    const { status, view } = node;
    const messages = [...ready.messages, ...ready.messagesAfterPersist];
    this.#written += messages.filter(({ type }) => type !== "HeartbeatResult").length;
    const leads = before?.role === "leader" && status.role === "leader" && before.term === status.term;
    if (leads) {
      this.#check(ready.snapshot === null, "S2 append-only", node, () => "a leader restored a snapshot");
      const first = ready.entries[0]?.index ?? view.lastIndex + 1;
      this.#check(first === view.lastIndex + 1, "S2 append-only", node, () => `overwrote ${first}`);
    }
    const position = ready.snapshot ?? view.base;
    let previous: Term | undefined = position.term;
    if (ready.entries.length > 0 && ready.snapshot === null)
      previous = view.term(ready.entries[0]!.index - 1);
    for (const entry of ready.entries) {
      const conflict = this.#oracle.recordEntry(entry, previous!);
      this.#check(conflict === null, "S3 log matching", node, () => conflict ?? "");
      previous = entry.term;
    }
    this.#checkNoCommittedLoss(node, ready);
    this.#checkNews(node, ready);
  }

  #newsOf(node: SimNode): CommitNews {
    const news = this.#news.get(node.id) ?? new CommitNews(this.#options.commitNewsDelayMs);
    this.#news.set(node.id, news);
    return news;
  }

  #onStepped(node: SimNode, event: RaftEvent, outcome: Outcome): void {
    if (outcome.ok) this.#newsOf(node).proposed(event, node.status.lastIndex, node.status.term);
  }

  #checkNews(node: SimNode, ready: Ready | null): void {
    const problem = this.#newsOf(node).collected(ready, node.status, node.nowMs);
    this.#check(problem === null, "S22 commit news", node, () => problem ?? "");
  }

  /** A committed entry is never overwritten, by entries or by a snapshot. */
  #checkNoCommittedLoss(node: SimNode, ready: Ready): void {
    for (const { index, term } of [...ready.entries, ...(ready.snapshot === null ? [] : [ready.snapshot])]) {
      const committed = this.#oracle.committed.get(index);
      // A follower may well write an entry that will be replaced; not one that it knows to be committed.
      if (committed === undefined || index > node.status.commitIndex) continue;
      this.#check(
        committed === term,
        "S3 log matching",
        node,
        () => `${index}/${term} in place of committed ${index}/${committed}`,
      );
    }
  }

  // Promises

  #onSent(node: SimNode, message: Message, promisedTerm: Term | undefined): void {
    const { hardState, log } = node.disk;
    const { term } = message;
    switch (message.type) {
      case "RequestVoteResult":
        if (!message.granted) return;
        this.#check(
          hardState.term > term || (hardState.term === term && hardState.vote === message.to),
          "S8 durable vote",
          node,
          () => `granted ${message.to} term ${term} with ${hardState.term}/${hardState.vote} on disk`,
        );
        this.#oracle.recordGrant(term, message.to, node.id);
        return;
      case "RequestVote":
        this.#check(
          hardState.term > term || (hardState.term === term && hardState.vote === node.id),
          "S8 durable vote",
          node,
          () => `asks for votes in ${term} without its own on disk`,
        );
        this.#oracle.recordGrant(term, node.id, node.id);
        return;
      case "AppendEntriesResult":
        if (!message.success) return;
        this.#check(hardState.term >= term, "S8 durable term", node, () => `acknowledges in term ${term}`);
        this.#check(
          log.base.index >= message.matchIndex || log.term(message.matchIndex) === promisedTerm,
          "S8 durable entries",
          node,
          () =>
            `acknowledges ${message.matchIndex}/${promisedTerm} with a log on disk up to ${log.lastIndex}/${log.lastTerm}`,
        );
        return;
      case "AppendEntries":
      case "Heartbeat":
      case "InstallSnapshot":
        this.#check(hardState.term >= term, "S8 durable term", node, () => `leads in undurable ${term}`);
        if (message.type === "AppendEntries") this.#checkSentEntries(node, message);
        return;
      case "HeartbeatResult":
        this.#check(hardState.term >= term, "S8 durable term", node, () => `answers in undurable ${term}`);
        return;
      default:
        return;
    }
  }

  #checkSentEntries(node: SimNode, message: Extract<Message, { type: "AppendEntries" }>): void {
    let previous = message.prevLogTerm;
    for (const entry of message.entries) {
      const conflict = this.#oracle.recordEntry(entry, previous);
      this.#check(conflict === null, "S3 log matching", node, () => `sends what it has not: ${conflict}`);
      previous = entry.term;
    }
    const bytes = message.entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    this.#check(
      message.entries.length <= 1 || bytes <= this.#options.maxAppendBytes,
      "S18 limits",
      node,
      () => `an append of ${bytes} bytes`,
    );
  }

  // Applying

  #onApplied(node: SimNode, entry: Entry, config: ClusterConfig | undefined): void {
    const conflict = this.#oracle.recordApplied(entry, config);
    this.#check(conflict === null, "S5 applied", node, () => conflict ?? "");
    this.#check(
      entry.index <= this.#oracle.committedIndex,
      "S9 durable",
      node,
      () => `applied ${entry.index}, which no leader has committed`,
    );
  }

  #onRestored(node: SimNode, snapshot: SnapshotMeta): void {
    const conflict = this.#oracle.checkSnapshot(snapshot);
    this.#check(conflict === null, "S5 applied", node, () => conflict ?? "");
  }

  #onReadAnswered(node: SimNode, readId: bigint, index: LogIndex | null): void {
    const read = this.#oracle.reads.get(readId);
    this.#check(read !== undefined, "S12 reads", node, () => `answered read ${readId} that nobody asked`);
    if (index === null || (read.lease && !this.#clocksWithinBound)) return;
    this.#check(
      index >= read.floor,
      read.lease ? "S13 lease reads" : "S12 reads",
      node,
      () => `read ${readId} at ${index}, but ${read.floor} was committed before it began`,
    );
  }

  // After a step

  #onSettled(node: SimNode, wasWake: boolean): void {
    this.steps++;
    const { status } = node;
    const before = this.#before.get(node.id);
    this.#checkOrder(node, status, before);
    if (status.role === "leader") this.#checkLeader(node, status, before);
    else if (status.role !== "follower") this.#checkCampaign(node, status, before);
    this.#checkCommit(node, status, before);
    this.#checkMembership(node, status);
    this.#checkTime(node, status, wasWake, before);
    this.#checkNews(node, null);
    const { role, term, commitIndex, appliedIndex, lastIndex, asleep } = status;
    this.#before.set(node.id, { role, term, commitIndex, appliedIndex, lastIndex, asleep });
    this.#written = 0;
  }

  #checkOrder(node: SimNode, status: RaftStatus, before: Before | undefined): void {
    const { appliedIndex, commitIndex, lastIndex, term } = status;
    this.#check(
      appliedIndex <= commitIndex && commitIndex <= lastIndex,
      "S6 order",
      node,
      () => `applied ${appliedIndex}, commit ${commitIndex}, last ${lastIndex}`,
    );
    this.#check(
      lastIndex === node.view.lastIndex && status.lastTerm === node.view.lastTerm,
      "S3 log matching",
      node,
      () => `its log ends at ${lastIndex}, its Readys at ${node.view.lastIndex}`,
    );
    const { durable } = status;
    const { hardState } = node.disk;
    this.#check(
      durable.term <= hardState.term && durable.commit <= hardState.commit,
      "S8 durable",
      node,
      () => "believes to be durable what is not",
    );
    this.#checkPersistedIndex(node, status);
    if (before === undefined) return;
    this.#check(term >= before.term, "S7 term", node, () => `term from ${before.term} to ${term}`);
    this.#check(
      commitIndex >= before.commitIndex && appliedIndex >= before.appliedIndex,
      "S6 monotonic",
      node,
      () => `commit ${before.commitIndex} → ${commitIndex}, applied ${before.appliedIndex} → ${appliedIndex}`,
    );
  }

  #checkPersistedIndex(node: SimNode, { persistedIndex }: RaftStatus): void {
    const { log } = node.disk;
    this.#check(
      persistedIndex <= log.base.index || log.term(persistedIndex) === node.view.term(persistedIndex),
      "S8 durable entries",
      node,
      () => `believes ${persistedIndex} durable, the disk ends at ${log.lastIndex}/${log.lastTerm}`,
    );
  }

  #checkLeader(node: SimNode, status: RaftStatus, before: Before | undefined): void {
    const { term, config } = status;
    const other = this.#oracle.leaders.get(term);
    this.#check(
      other === undefined || other === node.id,
      "S1 one leader",
      node,
      () => `leads in term ${term} as ${other} did`,
    );
    if (before?.role !== "leader" || before.term !== term) this.#checkElection(node, status);
    this.#oracle.leaders.set(term, node.id);
    const waiting = node.view.slice(status.commitIndex + 1).reduce((sum, e) => sum + entryBytes(e), 0);
    this.#check(
      status.uncommittedBytes === waiting,
      "S18 limits",
      node,
      () => `counts ${status.uncommittedBytes} uncommitted bytes of ${waiting}`,
    );
    for (const [id, progress] of status.progress) {
      this.#check(
        progress.match < progress.next && progress.match <= status.lastIndex,
        "progress",
        node,
        () => `match ${progress.match}, next ${progress.next} of ${id}`,
      );
      this.#checkMatch(node, status, id, progress.match);
      this.#check(
        progress.inflightMessages <= this.#options.maxInflightMessages,
        "S18 limits",
        node,
        () => `${progress.inflightMessages} messages in flight to ${id}`,
      );
      const slack = Math.max(this.#options.maxAppendBytes, this.#oracle.largestEntryBytes);
      this.#check(
        progress.inflightBytes < this.#options.maxInflightBytes + slack,
        "S18 limits",
        node,
        () => `${progress.inflightBytes} bytes in flight to ${id}`,
      );
    }
    const tracked = [...status.progress.keys()];
    const wanted = allMembers(config).filter((id) => id !== node.id);
    this.#check(
      tracked.length === wanted.length && wanted.every((id) => tracked.includes(id)),
      "progress",
      node,
      () => `tracks ${tracked.join()} of ${wanted.join()}`,
    );
  }

  /** What a leader believes of a member is on that member's disk. */
  #checkMatch(node: SimNode, status: RaftStatus, id: NodeId, match: LogIndex): void {
    const member = this.#everyone.nodes.get(id);
    if (member === undefined || match === 0 || member.disk.hardState.term > status.term) return;
    const { log } = member.disk;
    const mine = node.view.term(match);
    this.#check(
      match <= log.base.index || mine === undefined || log.term(match) === mine,
      "S8 durable entries",
      node,
      () => `believes that ${id} holds ${match}/${mine}; it holds ${log.lastIndex}/${log.lastTerm}`,
    );
  }

  #checkElection(node: SimNode, { term, config }: RaftStatus): void {
    const grants = this.#oracle.grants(term, node.id);
    const { hardState } = node.disk;
    if (hardState.term === term && hardState.vote === node.id) grants.add(node.id);
    this.#check(
      isQuorum(config, (id) => grants.has(id)),
      "S11 quorum",
      node,
      () => `leads in ${term} with votes of ${[...grants].join()}`,
    );
    for (const [index, committed] of this.#oracle.committed) {
      if (index <= node.view.base.index || this.#oracle.committedIn.get(index)! >= term) continue;
      this.#check(
        node.view.term(index) === committed,
        "S4 leader completeness",
        node,
        () => `leads in ${term} without ${index}/${committed}`,
      );
    }
  }

  #checkCampaign(node: SimNode, status: RaftStatus, before: Before | undefined): void {
    if (before?.role === status.role && before.term === status.term) return;
    this.#check(
      allVoters(status.config).includes(node.id),
      "S11 learners",
      node,
      () => "campaigns and is no voter",
    );
    const unapplied = node.view
      .slice(status.appliedIndex + 1, status.commitIndex)
      .find(({ kind }) => kind === "confChange");
    this.#check(
      unapplied === undefined,
      "S10 membership",
      node,
      () => `campaigns with ${unapplied?.index} committed and not applied`,
    );
  }

  #checkCommit(node: SimNode, status: RaftStatus, before: Before | undefined): void {
    const { commitIndex, role, term } = status;
    if (before !== undefined && commitIndex === before.commitIndex) return;
    if (role === "leader") {
      for (let index = this.#oracle.committedIndex + 1; index <= commitIndex; index++) {
        this.#checkQuorumHolds(node, status.config, index);
        this.#oracle.committed.set(index, node.view.term(index)!);
        this.#oracle.committedIn.set(index, term);
      }
      const newest = node.view.term(commitIndex);
      this.#check(
        before?.role !== "leader" || newest === term,
        "S9 old term",
        node,
        () => `committed ${commitIndex}/${newest} in term ${term} by counting`,
      );
      this.#oracle.committedIndex = Math.max(this.#oracle.committedIndex, commitIndex);
    }
    this.#check(
      commitIndex <= this.#oracle.committedIndex,
      "S9 durable",
      node,
      () => `commit index ${commitIndex}, but no leader committed beyond ${this.#oracle.committedIndex}`,
    );
    const mine = node.view.term(commitIndex);
    const theirs = this.#oracle.committed.get(commitIndex);
    this.#check(
      mine === undefined || theirs === undefined || mine === theirs,
      "S3 log matching",
      node,
      () => `holds ${commitIndex}/${mine} as committed, the leader committed ${commitIndex}/${theirs}`,
    );
  }

  #checkQuorumHolds(node: SimNode, config: ClusterConfig, index: LogIndex): void {
    const term = node.view.term(index);
    const holds = (id: NodeId): boolean => {
      const log = this.#everyone.nodes.get(id)?.disk.log;
      return log !== undefined && (log.base.index >= index || log.term(index) === term);
    };
    this.#check(isQuorum(config, holds), "S9 durable", node, () => {
      const holders = [...this.#everyone.nodes.keys()].filter(holds);
      return `committed ${index}/${term}, which only ${holders.join() || "nobody"} of ${allVoters(config).join()} holds`;
    });
  }

  #checkMembership(node: SimNode, status: RaftStatus): void {
    const invalid = configProblem(status.config);
    this.#check(invalid === null, "configuration", node, () => invalid ?? "");
    // From where nobody can have forgotten: a leader knows what it applied, the rest what they know committed.
    const from = status.role === "leader" ? status.appliedIndex : status.commitIndex;
    const changes = node.view.slice(from + 1).filter(({ kind }) => kind === "confChange");
    this.#check(
      changes.length <= 1,
      "S10 membership",
      node,
      () => `changes ${changes.map(({ index }) => index).join()} at once`,
    );
  }

  #checkTime(node: SimNode, status: RaftStatus, wasWake: boolean, before: Before | undefined): void {
    const deadlineMs = node.core.nextDeadlineMs();
    this.#check(
      deadlineMs === null || Number.isFinite(deadlineMs),
      "deadline",
      node,
      () => `next deadline ${deadlineMs}`,
    );
    if (status.asleep) {
      this.#check(deadlineMs === null, "quiescence", node, () => `a deadline at ${deadlineMs} while asleep`);
      this.#check(
        before?.asleep !== true || this.#written === 0,
        "quiescence",
        node,
        () => "writes messages while asleep",
      );
    }
    this.#check(
      deadlineMs === null || !wasWake || deadlineMs > node.nowMs,
      "deadline",
      node,
      () => `woke at ${node.nowMs}, and wants to be woken at ${deadlineMs}`,
    );
  }
}

function allVoters({ voters, votersOutgoing }: ClusterConfig): NodeId[] {
  return [...new Set([...voters, ...votersOutgoing])];
}

function allMembers(config: ClusterConfig): NodeId[] {
  return [...new Set([...allVoters(config), ...config.learners])];
}

/** Written anew, so as not to trust the code under test. */
function isQuorum(config: ClusterConfig, holds: (id: NodeId) => boolean): boolean {
  const majority = (half: readonly NodeId[]): boolean => half.filter(holds).length * 2 > half.length;
  const { voters, votersOutgoing } = config;
  return majority(voters) && (votersOutgoing.length === 0 || majority(votersOutgoing));
}

function configProblem(config: ClusterConfig): string | null {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = config;
  for (const list of [voters, votersOutgoing, learners, learnersNext]) {
    if (list.some((id, i) => i > 0 && list[i - 1]! >= id)) return "a list is not sorted";
  }
  if (voters.length === 0 && votersOutgoing.length > 0) return "no incoming voters";
  if (learners.some((id) => voters.includes(id) || votersOutgoing.includes(id))) return "a learner votes";
  if (learnersNext.some((id) => voters.includes(id) || !votersOutgoing.includes(id))) return "learnersNext";
  if (votersOutgoing.length === 0 && (autoLeave || learnersNext.length > 0)) return "not joint, yet leaving";
  return null;
}
