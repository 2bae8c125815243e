import { assert, EngineError } from "../errors/index.ts";
import {
  type CompactRequest,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  encodeCommand,
  isReadOnly,
  type KvCommand,
  type KvResult,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  requestSize,
  type Revision,
  type TxnRequest,
  type TxnResponse,
  validateCommand,
  validateRange,
  validateTxn,
} from "../kv/index.ts";
import type { NodeId } from "../raft/index.ts";
import type {
  CallOptions,
  Consistency,
  Engine,
  EngineStatus,
  Member,
  MemberAddRequest,
  ReadOptions,
  ResponseHeader,
  WithHeader,
} from "./engine.ts";
import { KvStateMachine } from "./kv-state-machine.ts";
import { MemberOperations } from "./member-operations.ts";
import type { NodeOptions } from "./options.ts";
import type { SnapshotInfo } from "./ports.ts";
import { RaftNode } from "./raft-node.ts";

/** How long the node waits between attempts to tell the group its name and addresses. */
const ANNOUNCE_RETRY_MS = 500;

type Members = { readonly members: readonly Member[] } & WithHeader;

/** The key-value store, replicated: one node's {@link Engine}. */
export class KvEngine implements Engine {
  readonly #options: NodeOptions;
  readonly #node: RaftNode<KvResult>;
  readonly #machine: KvStateMachine;
  readonly #memberOperations: MemberOperations<KvResult>;

  /** Recovers the node from its stores and starts it. It may be some time until there is a leader: see `ready`. */
  static async start(options: NodeOptions): Promise<KvEngine> {
    const machine = new KvStateMachine();
    const node = await RaftNode.start(options, machine);
    const engine = new KvEngine(options, node, machine);
    engine.#announce();
    return engine;
  }

  private constructor(options: NodeOptions, node: RaftNode<KvResult>, machine: KvStateMachine) {
    this.#options = options;
    this.#node = node;
    this.#machine = machine;
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

  get nodeId(): NodeId {
    return this.#options.identity.nodeId;
  }

  get leaderId(): NodeId | null {
    return this.#node.leaderId;
  }

  get isLeader(): boolean {
    return this.#node.leaderId === this.nodeId;
  }

  /** Calls back when the node has stopped by itself; returns the way to stop listening. */
  onFailure(listener: (error: unknown) => void): () => void {
    return this.#node.events.failure.add(listener);
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
      this.#node.updateMember({ id, name, clientUrls }).then(again, again);
    };
    attempt();
  }

  // Status

  header(): ResponseHeader {
    return this.#header(this.#machine.store.revision);
  }

  #header(revision: Revision): ResponseHeader {
    const { clusterId, nodeId } = this.#options.identity;
    return { clusterId, memberId: nodeId, revision, raftTerm: this.#node.term };
  }

  status(): EngineStatus {
    const { clusterId, groupId, nodeId } = this.#options.identity;
    const raft = this.#node.status();
    const isLearner = this.#node.member(nodeId)?.isLearner ?? true;
    const { store } = this.#machine;
    return {
      clusterId,
      groupId,
      nodeId,
      name: this.#options.self.name,
      role: isLearner && raft.role === "follower" ? "learner" : raft.role,
      leaderId: raft.leaderId,
      term: raft.term,
      commitIndex: raft.commitIndex,
      appliedIndex: this.#node.appliedIndex,
      lastIndex: raft.lastIndex,
      firstIndex: raft.firstIndex,
      revision: store.revision,
      compactRevision: store.compactRevision,
      isLearner,
      dbSize: store.sizeBytes,
      stateHash: () => store.hash(),
    };
  }

  // Key-value

  async range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse & WithHeader> {
    validateRange(request);
    await this.#barrier(options);
    const { store } = this.#machine;
    return { ...store.range(request), header: this.#header(store.revision) };
  }

  async put(request: PutRequest, options: CallOptions = {}): Promise<PutResponse & WithHeader> {
    const result = await this.#write({ type: "put", request }, options);
    assert(result.type === "put", "a put is answered as one");
    return { ...result.response, header: this.#header(result.revision) };
  }

  async deleteRange(
    request: DeleteRangeRequest,
    options: CallOptions = {},
  ): Promise<DeleteRangeResponse & WithHeader> {
    const result = await this.#write({ type: "deleteRange", request }, options);
    assert(result.type === "deleteRange", "a deletion is answered as one");
    return { ...result.response, header: this.#header(result.revision) };
  }

  async txn(request: TxnRequest, options: ReadOptions = {}): Promise<TxnResponse & WithHeader> {
    if (isReadOnly(request)) {
      validateTxn(request, this.#node.tuning.maxTxnOps);
      await this.#barrier(options);
      const { store } = this.#machine;
      return { ...store.readTxn(request), header: this.#header(store.revision) };
    }
    const result = await this.#write({ type: "txn", request }, options);
    assert(result.type === "txn", "a transaction is answered as one");
    return { ...result.response, header: this.#header(result.revision) };
  }

  async compact(request: CompactRequest, options: CallOptions = {}): Promise<WithHeader> {
    const result = await this.#write({ type: "compact", request }, options);
    return { header: this.#header(result.revision) };
  }

  async #barrier({ consistency, ...call }: ReadOptions): Promise<void> {
    const policy: Consistency = consistency ?? this.#node.tuning.defaultConsistency;
    if (policy !== "eventual") this.#refuseAsLearner();
    await this.#node.barrier(policy, call);
  }

  async #write(command: KvCommand, options: CallOptions): Promise<KvResult> {
    const { maxTxnOps, maxRequestBytes } = this.#node.tuning;
    validateCommand(command, maxTxnOps);
    if (requestSize(command) > maxRequestBytes) throw new EngineError("requestTooLarge");
    this.#refuseAsLearner();
    const result = await this.#node.propose(encodeCommand(command), options);
    if (result.type === "error") throw new EngineError(result.code);
    return result;
  }

  /** As in etcd, a learner serves its status and eventual reads, and nothing else. */
  #refuseAsLearner(): void {
    if (this.#node.member(this.nodeId)?.isLearner === true) throw new EngineError("notSupportedForLearner");
  }

  // Membership

  async memberList({ consistency = "eventual", ...call }: ReadOptions = {}): Promise<Members> {
    await this.#node.barrier(consistency, call);
    return this.#members();
  }

  async memberAdd(
    request: MemberAddRequest,
    options: CallOptions = {},
  ): Promise<{ readonly member: Member } & Members> {
    const member = await this.#memberOperations.add(request, options);
    return { member, ...this.#members() };
  }

  async memberRemove(id: NodeId, options: CallOptions = {}): Promise<Members> {
    await this.#memberOperations.remove(id, options);
    return this.#members();
  }

  async memberUpdate(id: NodeId, peerUrls: readonly string[], options: CallOptions = {}): Promise<Members> {
    await this.#memberOperations.update(id, peerUrls, options);
    return this.#members();
  }

  async memberPromote(id: NodeId, options: CallOptions = {}): Promise<Members> {
    await this.#memberOperations.promote(id, options);
    return this.#members();
  }

  async transferLeadership(target: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#memberOperations.transferLeadership(target, options);
  }

  #members(): Members {
    return { members: this.#node.members(), header: this.header() };
  }
}

function equalLists(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
