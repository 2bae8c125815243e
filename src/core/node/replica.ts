import { EngineError } from "../errors/index.ts";
import type { NodeId, RaftOptions, Term } from "../raft/index.ts";
import type { CallOptions, Member, MemberAddRequest, ReadOptions, ReplicaStatus } from "./engine.ts";
import type { Answerer } from "./leader-queries.ts";
import { MemberOperations } from "./member-operations.ts";
import type { NodeOptions, NodeTuning } from "./options.ts";
import type { SnapshotInfo, StoreIdentity } from "./ports.ts";
import { RaftNode } from "./raft-node.ts";
import type { StateMachine } from "./state-machine.ts";

/** How long the node waits between attempts to tell the group its name and addresses. */
const ANNOUNCE_RETRY_MS = 500;

/** One member of a group, with any state machine: the way into the log, and who else there is. */
export class Replica<R> {
  readonly #options: NodeOptions;
  readonly #node: RaftNode<R>;
  readonly #memberOperations: MemberOperations<R>;

  /** Recovers the node from its stores and starts it. It may be some time until there is a leader: see `ready`. */
  static async start<R>(options: NodeOptions, stateMachine: StateMachine<R>): Promise<Replica<R>> {
    const replica = new Replica(options, await RaftNode.start(options, stateMachine));
    replica.#announce();
    return replica;
  }

  private constructor(options: NodeOptions, node: RaftNode<R>) {
    this.#options = options;
    this.#node = node;
    this.#memberOperations = new MemberOperations(node, options.clock, options.random);
  }

  // Life

  /** Resolves when this node knows a leader and has caught up with it. @throws EngineError `timeout`, `noLeader`. */
  async ready(timeoutMs: number): Promise<void> {
    await this.#node.barrier("linearizable", { timeoutMs });
  }

  /** Stops the node, after handing leadership over if it leads and `transferLeadership` is not false. */
  async stop(options: { readonly transferLeadership?: boolean } = {}): Promise<void> {
    const successor = this.isLeader ? this.#memberOperations.mostCaughtUpVoter() : null;
    if (options.transferLeadership !== false && successor !== null) {
      const timeoutMs = 2 * this.#node.raftOptions.electionTimeoutMs;
      // Best effort: if nobody can take over, the others will elect somebody by themselves.
      await this.#memberOperations.transferLeadership(successor, { timeoutMs }).catch(() => {});
    }
    await this.#node.stop();
  }

  get isStopped(): boolean {
    return this.#node.isStopped;
  }

  get identity(): StoreIdentity {
    return this.#options.identity;
  }

  get nodeId(): NodeId {
    return this.#options.identity.nodeId;
  }

  get term(): Term {
    return this.#node.term;
  }

  get leaderId(): NodeId | null {
    return this.#node.leaderId;
  }

  /** The term in which this member leads and has applied an entry; null otherwise. */
  get leadingTerm(): Term | null {
    return this.#node.leadingTerm;
  }

  /** The term of the last entry before those of the term that was applied last; 0: not known. */
  get priorTerm(): Term {
    return this.#node.priorTerm;
  }

  get isLeader(): boolean {
    return this.#node.leaderId === this.nodeId;
  }

  /** The group sleeps, as far as this member knows: nothing happens here until somebody asks for something. */
  get isAsleep(): boolean {
    return this.#node.isAsleep;
  }

  get raftOptions(): RaftOptions {
    return this.#node.raftOptions;
  }

  get tuning(): NodeTuning {
    return this.#node.tuning;
  }

  status(): ReplicaStatus {
    const { clusterId, groupId, nodeId } = this.#options.identity;
    const { role, leaderId, term, commitIndex, lastIndex, firstIndex } = this.#node.status();
    const isLearner = this.#node.member(nodeId)?.isLearner ?? true;
    return {
      clusterId,
      groupId,
      nodeId,
      name: this.#options.self.name,
      role: isLearner && role === "follower" ? "learner" : role,
      leaderId,
      term,
      commitIndex,
      appliedIndex: this.#node.appliedIndex,
      lastIndex,
      firstIndex,
      isLearner,
      isAsleep: this.isAsleep,
      pendingProposals: this.#node.pendingProposals,
    };
  }

  /** Calls back when the node has stopped by itself; returns the way to stop listening. */
  onFailure(listener: (error: unknown) => void): () => void {
    return this.#node.events.failure.add(listener);
  }

  /** Calls back when the node has stopped, for whatever reason; returns the way to stop listening. */
  onStopped(listener: () => void): () => void {
    return this.#node.events.stopped.add(listener);
  }

  onLeaderChange(listener: (leaderId: NodeId | null) => void): () => void {
    return this.#node.events.leader.add(listener);
  }

  onMembershipChange(listener: (members: readonly Member[]) => void): () => void {
    return this.#node.events.membership.add(listener);
  }

  /** Takes a snapshot now and shortens the log. */
  async takeSnapshot(): Promise<SnapshotInfo> {
    return await this.#node.takeSnapshot();
  }

  // Writes and reads

  /** Appends a command to the replicated log; resolves with what applying it on *this* member gave. */
  async propose(command: Uint8Array, options: CallOptions = {}): Promise<R> {
    this.refuseAsLearner();
    return await this.#node.propose(command, options);
  }

  /** Resolves when this member may answer a read under the policy. Read at once then, before the next `await`. */
  async barrier({ consistency, ...call }: ReadOptions = {}): Promise<void> {
    const policy = consistency ?? this.tuning.defaultConsistency;
    if (policy !== "eventual") this.refuseAsLearner();
    await this.#node.barrier(policy, call);
  }

  /** Asks the leader, this member or another, for what is in no replicated state; see `answerQuestions`. */
  async askLeader(question: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    this.refuseAsLearner();
    return await this.#node.queries.ask(question, options);
  }

  /** Who answers what members ask this one as their leader. The question is only to be looked at before any `await`. */
  answerQuestions(answerer: Answerer): void {
    this.#node.queries.answerWith(answerer);
  }

  /**
   * As in etcd, a learner serves its status and eventual reads, and nothing else.
   *
   * @throws EngineError `notSupportedForLearner`.
   */
  refuseAsLearner(): void {
    if (this.#node.member(this.nodeId)?.isLearner === true) throw new EngineError("notSupportedForLearner");
  }

  // Membership

  /** In order of id, as this member knows them; by default without asking anybody. */
  async memberList({ consistency = "eventual", ...call }: ReadOptions = {}): Promise<readonly Member[]> {
    await this.#node.barrier(consistency, call);
    return this.members();
  }

  members(): readonly Member[] {
    return this.#node.members();
  }

  async memberAdd(request: MemberAddRequest, options: CallOptions = {}): Promise<Member> {
    return await this.#memberOperations.add(request, options);
  }

  async memberRemove(id: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#memberOperations.remove(id, options);
  }

  async memberUpdate(id: NodeId, peerUrls: readonly string[], options: CallOptions = {}): Promise<void> {
    await this.#memberOperations.update(id, peerUrls, options);
  }

  /** Makes a caught-up learner a voter; `learnerNotReady` until it is. */
  async memberPromote(id: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#memberOperations.promote(id, options);
  }

  /** Hands leadership to a voter; resolves when it leads. */
  async transferLeadership(target: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#memberOperations.transferLeadership(target, options);
  }

  /** Tells the group this node's name and client URLs, until the membership shows them. */
  #announce(): void {
    const { name, clientUrls } = this.#options.self;
    const id = this.nodeId;
    const known = (): boolean => {
      const member = this.#node.member(id);
      return member !== undefined && member.name === name && equalLists(member.clientUrls, clientUrls);
    };
    const attempt = (): void => {
      if (this.isStopped || known()) return;
      const again = (): void => void this.#options.clock.setTimer(ANNOUNCE_RETRY_MS, attempt);
      // Not a member yet: whoever adds it will be heard of through the log.
      if (this.#node.member(id) === undefined) return again();
      // Nobody has asked for anything yet, and this is no reason to awaken the group.
      if (this.isAsleep) return this.#afterLeaderChange(attempt);
      this.#node.updateMember({ id, name, clientUrls }).then(again, again);
    };
    attempt();
  }

  #afterLeaderChange(act: () => void): void {
    const stopListening = this.#node.events.leader.add(() => {
      stopListening();
      act();
    });
  }
}

function equalLists(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
