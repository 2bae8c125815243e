import { assert, EngineError } from "../errors/index.ts";
import {
  type CompactRequest,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  highestRevision,
  isReadOnly,
  type KvCommand,
  type KvResult,
  type LeaseRevokeRequest,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type Revision,
  type TxnRequest,
  TRUSTED,
  type TxnResponse,
  validateRange,
  validateTxn,
} from "../kv/index.ts";
import type { NodeId } from "../raft/index.ts";
import { Access } from "./auth/access.ts";
import { AuthOperations } from "./auth/auth-operations.ts";
import { AutoCompactor } from "./auto-compactor.ts";
import { backupOf, type BackupPiece, type Origin } from "./backup/index.ts";
import type {
  AlarmRequest,
  AlarmResponse,
  CallOptions,
  Engine,
  EngineStatus,
  HashResponse,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  Member,
  MemberAddRequest,
  ReadOptions,
  ResponseHeader,
  WithHeader,
  WithReplay,
  WriteOptions,
} from "./engine.ts";
import { countInTurns, readCounted } from "./count-in-turns.ts";
import { KvStateMachine } from "./kv-state-machine.ts";
import { LeaseOperations } from "./lease-operations.ts";
import type { NodeOptions } from "./options.ts";
import type { Clock, SnapshotInfo } from "./ports.ts";
import { Replica } from "./replica.ts";
import { StateWalks } from "./state-walks.ts";
import type { SavedLeases } from "./lessor.ts";
import type { ResumableWatchStream, SavedWatches, WatchStreamOptions } from "./watch/messages.ts";
import { WatchHub } from "./watch/watch-hub.ts";
import { notNameable, Writes } from "./writes.ts";

type Members = { readonly members: readonly Member[] } & WithHeader;

/** The key-value store, replicated: one node's {@link Engine}. */
export class KvEngine implements Engine {
  /** The member below the store. */
  readonly replica: Replica<KvResult>;
  readonly #machine: KvStateMachine;
  readonly #leases: LeaseOperations;
  readonly #watches: WatchHub;
  readonly #writes: Writes;
  readonly #walks: StateWalks;
  readonly #access: Access;
  readonly auth: AuthOperations;
  readonly #clock: Clock;

  /** Recovers the node from its stores and starts it. It may be some time until there is a leader: see `ready`. */
  static async start(options: NodeOptions): Promise<KvEngine> {
    const machine = new KvStateMachine(options.clock);
    return new KvEngine(options, await Replica.start(options, machine), machine);
  }

  private constructor(options: NodeOptions, replica: Replica<KvResult>, machine: KvStateMachine) {
    this.replica = replica;
    this.#machine = machine;
    const { clock, random, logger } = options;
    this.#walks = new StateWalks(machine.store, clock, () => machine.freeCompacted());
    this.#clock = clock;
    const write = (command: KvCommand, call: CallOptions): Promise<KvResult> =>
      this.#writes.propose(command, call);
    const barrier = (read: ReadOptions): Promise<void> => replica.barrier(read);
    this.#access = new Access(machine.store, barrier);
    this.auth = new AuthOperations({
      store: machine.store,
      access: this.#access,
      random,
      header: () => this.header(),
      barrier,
      write,
    });
    this.#leases = new LeaseOperations(replica, machine.store, options, write);
    const drawLeaseId = (): bigint => this.#leases.drawId();
    this.#writes = new Writes({ replica, store: machine.store, clock, logger, drawLeaseId });
    machine.onLeaseChange = (id) => this.#leases.changed(id);
    this.#watches = new WatchHub({
      store: machine.store,
      header: (revision) => this.#header(revision),
      clock,
      random,
      // As etcd has it (v3rpc: maxNoLeaderCnt).
      tuning: { noLeaderPatienceMs: 3 * replica.raftOptions.electionTimeoutMs, ...options.watch },
    });
    machine.observer = this.#watches;
    replica.onLeaderChange((leaderId) => this.#watches.leaderChanged(leaderId !== null));
    replica.onStopped(() => this.#watches.stop());
    const { autoCompaction: wanted } = options;
    if (wanted === undefined) return;
    const compactor = new AutoCompactor({
      wanted,
      clock,
      logger,
      state: () => ({
        isLeader: this.isLeader,
        revision: machine.store.revision,
        compactRevision: machine.store.compactRevision,
      }),
      compact: (revision) => this.compact({ revision }, { caller: TRUSTED }),
    });
    replica.onStopped(() => compactor.stop());
  }

  // Life

  /** Resolves when this node knows a leader and has caught up with it. @throws EngineError `timeout`, `noLeader`. */
  async ready(timeoutMs: number): Promise<void> {
    await this.replica.ready(timeoutMs);
  }

  /** Stops the node, after handing leadership over if it leads and `transferLeadership` is not false. */
  async stop(options: { readonly transferLeadership?: boolean } = {}): Promise<void> {
    this.endStreams();
    await this.replica.stop(options);
  }

  /** Ends all watches, with the error `stopped`. */
  endStreams(): void {
    this.#watches.stop();
  }

  get isStopped(): boolean {
    return this.replica.isStopped;
  }

  get nodeId(): NodeId {
    return this.replica.nodeId;
  }

  get leaderId(): NodeId | null {
    return this.replica.leaderId;
  }

  get isLeader(): boolean {
    return this.replica.isLeader;
  }

  /** Calls back when the node has stopped by itself; returns the way to stop listening. */
  onFailure(listener: (error: unknown) => void): () => void {
    return this.replica.onFailure(listener);
  }

  onLeaderChange(listener: (leaderId: NodeId | null) => void): () => void {
    return this.replica.onLeaderChange(listener);
  }

  onMembershipChange(listener: (members: readonly Member[]) => void): () => void {
    return this.replica.onMembershipChange(listener);
  }

  /** Takes a snapshot now and shortens the log. */
  async takeSnapshot(): Promise<SnapshotInfo> {
    return await this.replica.takeSnapshot();
  }

  // Status

  header(): ResponseHeader {
    return this.#header(this.#machine.store.revision);
  }

  #header(revision: Revision): ResponseHeader {
    const { clusterId, nodeId } = this.replica.identity;
    return { clusterId, memberId: nodeId, revision, raftTerm: this.replica.term };
  }

  status(options: Pick<CallOptions, "caller"> = {}): EngineStatus {
    const { store } = this.#machine;
    return {
      ...this.replica.status(),
      revision: store.revision,
      compactRevision: store.compactRevision,
      dbSize: store.sizeBytes,
      quotaBytes: this.replica.tuning.quotaBytes,
      alarms: store.alarms,
      watches: this.#watches.stats(),
      watchLag: () => this.#watches.lag(),
      leases: store.leaseCount,
      authRevision: store.auth.revision,
      stateHash: () => {
        this.#access.requireRoot(options);
        return store.stateHash();
      },
    };
  }

  async hash(
    { revision = 0 }: { readonly revision?: Revision },
    options: Pick<CallOptions, "signal" | "caller"> = {},
  ): Promise<HashResponse & WithHeader> {
    this.#access.requireRoot(options);
    const hashed = await this.#walks.hash(revision, options.signal);
    return { ...hashed, header: this.header() };
  }

  backup(options: Pick<CallOptions, "signal" | "caller"> = {}): AsyncGenerator<BackupPiece, void, undefined> {
    this.#access.requireRoot(options);
    const origin = (): Origin => {
      const { clusterId, nodeId, groupId } = this.replica.identity;
      const createdMs = Math.max(0, Math.trunc(this.#clock.wallMs()));
      return { clusterId, memberId: nodeId, groupId, term: this.replica.term, createdMs };
    };
    return backupOf(this.#walks, origin, (revision) => this.#header(revision), options);
  }

  // Key-value

  async range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse & WithHeader> {
    validateRange(request);
    await this.#barrier(options, request.revision ?? 0);
    const { store } = this.#machine;
    const permitted = (): void => this.#access.requireRead(options, { type: "range", request });
    permitted();
    const counted = await countInTurns(store, this.#clock, request, options.signal);
    permitted();
    const response = readCounted(store, request, counted, this.replica.tuning.maxRangeBytes);
    return { ...response, header: this.#header(store.revision) };
  }

  /** @param revision as of which is read: a replica that has not got there asks before it says that nobody has. */
  async #barrier(options: ReadOptions, revision: Revision): Promise<void> {
    const { store } = this.#machine;
    const { minRevision = 0, consistency = this.replica.tuning.defaultConsistency } = options;
    await this.replica.barrier(options);
    if (Math.max(minRevision, revision) <= store.revision) return;
    // Whatever anybody was told of is seen by a linearizable read.
    if (minRevision > store.revision || consistency === "eventual") {
      await this.replica.barrier({ ...options, consistency: "linearizable" });
    }
    if (minRevision > store.revision) throw new EngineError("futureRevision");
  }

  async put(request: PutRequest, options: WriteOptions = {}): Promise<PutResponse & WithReplay> {
    const result = await this.#writes.propose({ type: "put", request }, options);
    assert(result.type === "put", "a put is answered as one");
    return { ...result.response, ...this.#answered(result) };
  }

  async deleteRange(
    request: DeleteRangeRequest,
    options: WriteOptions = {},
  ): Promise<DeleteRangeResponse & WithReplay> {
    const result = await this.#writes.propose({ type: "deleteRange", request }, options);
    assert(result.type === "deleteRange", "a deletion is answered as one");
    return { ...result.response, ...this.#answered(result) };
  }

  async txn(
    request: TxnRequest,
    options: ReadOptions & WriteOptions = {},
  ): Promise<TxnResponse & WithReplay> {
    if (isReadOnly(request)) {
      if (options.idempotencyKey !== undefined) throw notNameable("a transaction that only reads");
      validateTxn(request, this.replica.tuning.maxTxnOps);
      await this.#barrier(options, highestRevision(request));
      this.#access.requireRead(options, { type: "txn", request });
      const { store } = this.#machine;
      return {
        ...store.readTxn(request, this.replica.tuning.maxRangeBytes),
        header: this.#header(store.revision),
      };
    }
    const result = await this.#writes.propose({ type: "txn", request }, options);
    assert(result.type === "txn", "a transaction is answered as one");
    return { ...result.response, ...this.#answered(result) };
  }

  async compact(request: CompactRequest, options: CallOptions = {}): Promise<WithHeader> {
    const result = await this.#writes.propose({ type: "compact", request }, options);
    return { header: this.#header(result.revision) };
  }

  watch(options: WatchStreamOptions = {}): ResumableWatchStream {
    this.replica.refuseAsLearner();
    return this.#watches.open(options, this.leaderId !== null);
  }

  /** Goes on with a stream of an earlier life of this node, of which the watcher need not know. @throws as `watch`. */
  resumeWatch(saved: SavedWatches): ResumableWatchStream {
    return this.#watches.resume(saved);
  }

  #answered({ revision, replayed }: { readonly revision: Revision; readonly replayed?: true }): WithReplay {
    const header = this.#header(revision);
    return replayed === true ? { header, replayed } : { header };
  }

  // Space

  async alarm(request: AlarmRequest, options: CallOptions = {}): Promise<AlarmResponse & WithHeader> {
    const { action, ...wanted } = request;
    if (action === "get") {
      await this.#barrier({ ...options, consistency: "linearizable" }, 0);
      this.#access.requireUser(options);
      const alarms = this.#machine.store.alarms.filter(({ type }) => (wanted.type ?? type) === type);
      return { alarms, header: this.header() };
    }
    const { type, memberId } = request;
    const command = { type: "alarm", request: { action, alarm: { type, memberId } } } as const;
    const result = await this.#writes.propose(command, options);
    assert(result.type === "alarm", "an alarm is answered as one");
    return { alarms: result.alarms, header: this.#header(result.revision) };
  }

  // Leases

  async leaseGrant(
    request: LeaseGrantRequest,
    options: CallOptions = {},
  ): Promise<LeaseGrantResponse & WithHeader> {
    const granted = await this.#leases.grant(request, options);
    return { ...granted, header: this.header() };
  }

  async leaseRevoke({ id }: LeaseRevokeRequest, options: CallOptions = {}): Promise<WithHeader> {
    const result = await this.#writes.propose({ type: "leaseRevoke", request: { id } }, options);
    return { header: this.#header(result.revision) };
  }

  async leaseKeepAlive(id: bigint, options: CallOptions = {}): Promise<LeaseKeepAliveResponse & WithHeader> {
    const renewed = await this.#leases.keepAlive(id, options);
    return { ...renewed, header: this.header() };
  }

  async leaseTimeToLive(
    request: LeaseTimeToLiveRequest,
    options: CallOptions = {},
  ): Promise<LeaseTimeToLiveResponse & WithHeader> {
    const found = await this.#leases.timeToLive(request, options);
    for (const key of found.keys) this.#access.requireRead(options, { type: "range", request: { key } });
    return { ...found, header: this.header() };
  }

  async leaseList(options: CallOptions = {}): Promise<{ readonly ids: readonly bigint[] } & WithHeader> {
    const ids = await this.#leases.list(options);
    this.#access.requireUser(options);
    return { ids, header: this.header() };
  }

  /**
   * When this node must be awake for the sake of leases, on its clock; null: they do not need it. The engine sets a
   * timer for it; a runtime whose timers do not outlast sleep must wake it by other means.
   */
  get nextLeaseDeadlineMs(): number | null {
    return this.#leases.nextDeadlineMs;
  }

  // Rest, where timers keep a process that has nothing to do

  /**
   * While it rests the engine has no timers for watches and leases: to be said when the group has gone to sleep, and
   * taken back when it has awakened. The runtime calls `ringLeases` at `nextLeaseDeadlineMs` instead.
   */
  rest(resting: boolean): void {
    this.#leases.rest(resting);
    this.#watches.rest(resting, this.leaderId !== null);
  }

  /** A lease may be due: ends it if this node leads, and makes the group look for its leader if not. */
  ringLeases(): void {
    this.#leases.ring();
  }

  /**
   * What this node knows of leases as their leader, for `NodeOptions.savedLeases` of its next life; null when it does
   * not lead. Wrong as soon as `leaseVersion` is another: then it must be gone before anything leaves this node.
   */
  saveLeases(): SavedLeases | null {
    return this.#leases.save();
  }

  get leaseVersion(): number {
    return this.#leases.version;
  }

  // Membership

  async memberList(options: ReadOptions = {}): Promise<Members> {
    await this.replica.memberList(options);
    this.#access.requireUser(options);
    return this.#members();
  }

  async memberAdd(
    request: MemberAddRequest,
    options: CallOptions = {},
  ): Promise<{ readonly member: Member } & Members> {
    await this.#access.requireRootOfGroup(options);
    const member = await this.replica.memberAdd(request, options);
    return { member, ...this.#members() };
  }

  async memberRemove(id: NodeId, options: CallOptions = {}): Promise<Members> {
    await this.#access.requireRootOfGroup(options);
    await this.replica.memberRemove(id, options);
    return this.#members();
  }

  async memberUpdate(id: NodeId, peerUrls: readonly string[], options: CallOptions = {}): Promise<Members> {
    await this.#access.requireRootOfGroup(options);
    await this.replica.memberUpdate(id, peerUrls, options);
    return this.#members();
  }

  async memberPromote(id: NodeId, options: CallOptions = {}): Promise<Members> {
    await this.#access.requireRootOfGroup(options);
    await this.replica.memberPromote(id, options);
    return this.#members();
  }

  async transferLeadership(target: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#access.requireRootOfGroup(options);
    await this.replica.transferLeadership(target, options);
  }

  #members(): Members {
    return { members: this.replica.members(), header: this.header() };
  }
}
