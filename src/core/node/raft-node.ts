import { AssertionError, EngineError } from "../errors/index.ts";
import {
  type ConfChangeStep,
  type LogIndex,
  type LogReadRequest,
  type Message,
  type NodeId,
  Raft,
  type RaftOptions,
  type RaftStatus,
  type Ready,
  type Term,
} from "../raft/index.ts";
import { Alarm } from "./alarm.ts";
import { Applier } from "./applier.ts";
import { ApplyLoop } from "./apply-loop.ts";
import type { CallOptions, Consistency, Member } from "./engine.ts";
import type { FrameBody, MemberUpdate } from "./frames.ts";
import { Lead } from "./lead.ts";
import { LeaderQueries } from "./leader-queries.ts";
import { readForMember } from "./log-reader.ts";
import { type NodeEvents, nodeEvents } from "./node-events.ts";
import { Meter } from "./observer.ts";
import { NODE_DEFAULTS, type NodeOptions, type NodeTuning } from "./options.ts";
import { Ownership } from "./ownership.ts";
import { PeerPort } from "./peer-port.ts";
import { Persister } from "./persister.ts";
import type { SnapshotInfo } from "./ports.ts";
import { Proposals } from "./proposals.ts";
import { ProposalRouter } from "./proposal-router.ts";
import { Reads } from "./reads.ts";
import { recover, type Recovered } from "./recovery.ts";
import { Snapshots } from "./snapshots.ts";
import type { StateMachine } from "./state-machine.ts";

/** How often waiting requests are looked at for their deadlines. */
const SWEEP_INTERVAL_MS = 50;
/** Readys in persistence beyond which nothing more is begun: the disk hangs, and so must its promises. */
const MAX_INFLIGHT_READYS = 1024;

/**
 * The driver of one Raft node: the only writer of its core. Inputs become `step`s; in the next turn of the event
 * loop everything that has gathered becomes Readys, and each Ready is sent, persisted, applied and answered as
 * its contract says. No vendor code, no clock but the one it was given.
 */
export class RaftNode<R> {
  readonly events: NodeEvents = nodeEvents();
  readonly tuning: NodeTuning;
  /** What only the leader can answer. */
  readonly queries: LeaderQueries;
  readonly #options: NodeOptions;
  readonly #raft: Raft;
  readonly #applier: Applier<R>;
  readonly #peers: PeerPort;
  readonly #ownership: Ownership;
  readonly #persister: Persister;
  readonly #applyLoop: ApplyLoop<R>;
  readonly #proposals: Proposals<R>;
  readonly #router: ProposalRouter<R>;
  readonly #reads: Reads;
  readonly #snapshots: Snapshots<R>;
  readonly #lead: Lead;
  /** The core's next deadline, and the next look at requests that wait. */
  readonly #deadline: Alarm;
  readonly #sweeper: Alarm;
  #scheduled = false;
  #pumping = false;
  #stopped = false;
  #ended: Promise<void> | null = null;

  /** Recovers the node from its stores and starts it. */
  static async start<R>(options: NodeOptions, stateMachine: StateMachine<R>): Promise<RaftNode<R>> {
    const recovered = await recover(options, stateMachine);
    return new RaftNode(options, stateMachine, recovered);
  }

  private constructor(options: NodeOptions, stateMachine: StateMachine<R>, recovered: Recovered) {
    const { clock, random, storage, logger, identity, transport } = options;
    this.#options = options;
    this.#peers = new PeerPort(identity, transport, logger);
    this.tuning = { ...NODE_DEFAULTS, ...options.tuning };
    this.#raft = new Raft(
      { ...options.raft, nodeId: identity.nodeId },
      { ...recovered.raft, rested: options.rested ?? false },
      random,
      clock.nowMs(),
    );
    const meter = new Meter(clock, options.observer ?? null);
    this.#lead = new Lead(identity.nodeId, this.#raft.term, meter, () => this.#onLeaderChange());
    this.#applier = new Applier(stateMachine, recovered.membership, recovered.applied, meter, {
      onConfChange: (change) => this.#step({ type: "applyConfChange", change }).config!,
      onResult: (id, _index, result) => {
        this.#proposals.applied(id, result, this.#applyLoop.committedAtMs);
        options.applied?.onResult(id, result);
      },
      onMembership: () => this.#onMembership(),
    });
    this.#applier.sinceSnapshot = recovered.sinceSnapshot;
    const fail = (error: unknown): void => this.#fail(error);
    const send = (to: NodeId, body: FrameBody): void => this.#peers.send(to, body);
    this.#ownership = new Ownership(storage, (message) => this.#dispatch(message), fail);
    this.#persister = new Persister(storage, meter, (ready) => this.#onPersisted(ready), fail);
    this.#applyLoop = new ApplyLoop(this.#applier, this.#persister, storage.snapshots, meter, {
      isStopped: () => this.#stopped,
      restored: (info) => this.#onRestored(info),
      applied: (index) => this.#onApplied(index),
      fail,
    });
    const { maxPendingRequests, requestTimeoutMs } = this.tuning;
    const { electionTimeoutMs } = this.raftOptions;
    this.#proposals = new Proposals(random.id(), maxPendingRequests, requestTimeoutMs, meter);
    this.#router = new ProposalRouter(this.#raft, this.#proposals, clock, meter, () => this.members(), send);
    const session = random.id();
    this.#reads = new Reads(session, maxPendingRequests, requestTimeoutMs, electionTimeoutMs / 2, meter);
    this.queries = new LeaderQueries(session, this.tuning, electionTimeoutMs / 2, clock, meter, {
      nodeId: identity.nodeId,
      leaderId: () => this.leaderId,
      wake: () => this.#wake(),
      send,
    });
    this.#snapshots = new Snapshots(options, this.tuning, this.#applier, meter, {
      raft: this.#raft,
      send,
      input: (event) => this.#input(() => this.#step(event)),
      fail,
    });
    this.#deadline = new Alarm(clock, () => this.#input(() => this.#step({ type: "wake" })));
    this.#sweeper = new Alarm(clock, () => this.#sweep());
    this.#openPeers();
    this.#schedule();
  }

  // What callers may ask

  get leaderId(): NodeId | null {
    return this.#lead.leaderId;
  }

  get term(): number {
    return this.#raft.term;
  }

  /** The term in which this node leads and has applied an entry: it knows then what earlier leaders committed. */
  get leadingTerm(): Term | null {
    const { role, term } = this.#raft;
    return role === "leader" && this.#applier.appliedTerm === term ? term : null;
  }

  /** The term of the last entry before those of the term that was applied last; 0: not known. */
  get priorTerm(): Term {
    return this.#applier.priorTerm;
  }

  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }

  get raftOptions(): RaftOptions {
    return this.#raft.options;
  }

  /** Proposals of this member's callers that are not answered yet. */
  get pendingProposals(): number {
    return this.#proposals.size;
  }

  get isAsleep(): boolean {
    return this.#raft.asleep;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  members(): Member[] {
    return this.#applier.membership.list();
  }

  member(id: NodeId): Member | undefined {
    return this.#applier.membership.get(id);
  }

  /** Appends a command to the replicated log; resolves with what applying it on *this* node gave. */
  async propose(command: Uint8Array, call: CallOptions = {}): Promise<R> {
    const result = this.#submitting(() =>
      this.#proposals.submit({ type: "command", command }, call, this.#options.clock.nowMs()),
    );
    return (await result) as R;
  }

  /** Changes who the members are; resolves when the change has been applied on this node. */
  async changeMembers(
    steps: readonly ConfChangeStep[],
    members: readonly MemberUpdate[],
    call: CallOptions = {},
  ): Promise<void> {
    const { clock } = this.#options;
    await this.#submitting(() => this.#proposals.submitConfChange(steps, members, call, clock.nowMs()));
  }

  /** Changes a member's name or addresses. */
  async updateMember(update: MemberUpdate, call: CallOptions = {}): Promise<void> {
    const { clock } = this.#options;
    await this.#submitting(() => this.#proposals.submit({ type: "member", update }, call, clock.nowMs()));
  }

  #submitting<T>(submit: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw new EngineError("proposalDropped", { detail: "the node has stopped" });
    const pending = submit();
    this.#wake();
    return pending;
  }

  /** Resolves when this replica may answer a read under the policy. Read at once then, before the next `await`. */
  async barrier(policy: Consistency, call: CallOptions = {}): Promise<void> {
    if (this.#stopped) throw new EngineError("stopped");
    if (policy === "eventual") return;
    const nowMs = this.#options.clock.nowMs();
    if (policy === "lease" && this.#ownership.isCertain) {
      const index = this.#raft.leaseReadIndex(nowMs);
      if (index !== null && index <= this.#applier.appliedIndex) return;
    }
    const confirmed = this.#reads.wait(policy, call, nowMs);
    this.#wake();
    await confirmed;
  }

  /** Begins to hand leadership to `target`. @throws EngineError `notLeader`, `badLeaderTransferee`. */
  beginTransfer(target: NodeId): void {
    this.#input(() => this.#step({ type: "transferLeadership", target }));
  }

  /** Takes a snapshot now and shortens the log. */
  async takeSnapshot(): Promise<SnapshotInfo> {
    return await this.#snapshots.take();
  }

  /** Stops. What was not sent is refused, what was sent is unknown; stores are closed when it resolves. */
  async stop(): Promise<void> {
    await this.#end(null);
  }

  // The loop: inputs change the core, the pump carries out what follows

  /** Runs an input; what it throws and is not the caller's fault stops the node. */
  #input<T>(work: () => T): T | undefined {
    if (this.#stopped) return undefined;
    try {
      return work();
    } catch (error) {
      if (error instanceof EngineError) throw error;
      this.#fail(error);
      return undefined;
    } finally {
      this.#schedule();
    }
  }

  #step(event: Parameters<Raft["step"]>[0]): Extract<ReturnType<Raft["step"]>, { ok: true }> {
    const outcome = this.#raft.step(event, this.#options.clock.nowMs());
    if (!outcome.ok) throw this.#router.errorOf(outcome.rejection);
    return outcome;
  }

  /** A request has come: a sleeping group must notice. */
  #wake(): void {
    this.#input(() => this.#step({ type: "wake" }));
    this.#sweepLater();
  }

  #schedule(): void {
    if (this.#scheduled || this.#pumping || this.#stopped) return;
    this.#scheduled = true;
    // The next turn of the event loop, so that everything this turn brings shares one Ready.
    this.#options.clock.setTimer(0, () => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#stopped) return;
    this.#pumping = true;
    try {
      const nowMs = this.#options.clock.nowMs();
      const { lingerMs, maxInflightReadys } = this.tuning;
      if (!this.#persister.isFull(maxInflightReadys)) this.#router.flush(nowMs, lingerMs);
      this.#reads.ask((readId, lease) => this.#raft.step({ type: "readIndex", readId, lease }, nowMs), nowMs);
      while (this.#persister.inflight < MAX_INFLIGHT_READYS) {
        const ready = this.#raft.ready();
        if (ready === null) break;
        this.#handle(ready);
        if (this.#stopped) return;
      }
      this.#deadline.set(this.#router.nextDeadlineMs(this.#raft.nextDeadlineMs(), nowMs));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = false;
    }
  }

  #handle(ready: Ready): void {
    this.#lead.follow(ready);
    this.#ownership.send(ready.messages);
    this.#persister.persist(ready);
    this.#applyLoop.push(ready);
    for (const state of ready.readStates)
      this.#ownership.answer(() => this.#reads.onReadState(state, this.#applier.appliedIndex));
    for (const request of ready.logReads) this.#readLog(request);
  }

  #onPersisted(ready: Ready): void {
    const wasPumping = this.#pumping;
    this.#input(() => {
      this.#step({ type: "persisted", number: ready.number });
      this.#ownership.sendAfterPersist(ready);
    });
    // Inside the pump its own loop goes on; outside, what this made possible need not wait for another turn.
    if (!wasPumping && !this.#stopped) this.#pump();
  }

  #onLeaderChange(): void {
    const { leaderId, term } = this;
    this.#options.logger.log("info", "leader changed", { leaderId, term });
    this.#reads.onLeaderChange();
    this.#proposals.release();
    this.events.leader.emit(leaderId);
    this.#schedule();
  }

  #sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    this.#proposals.sweep(nowMs, this.leaderId);
    this.#reads.sweep(nowMs);
    this.#schedule();
    if (this.#proposals.size > 0 || this.#reads.size > 0) this.#sweepLater();
  }

  #sweepLater(): void {
    if (!this.#sweeper.isSet && !this.#stopped)
      this.#sweeper.set(this.#options.clock.nowMs() + SWEEP_INTERVAL_MS);
  }

  #onApplied(index: LogIndex): void {
    this.#proposals.termApplied(this.#applier.appliedTerm);
    this.#reads.onApplied(index);
    this.#input(() => this.#step({ type: "applied", index }));
    this.#snapshots.poll();
  }

  #onRestored({ meta, size }: SnapshotInfo): void {
    this.#proposals.restored(meta.term);
    this.#onMembership();
    this.#options.logger.log("info", "snapshot restored", { index: meta.index, bytes: size });
  }

  #onMembership(): void {
    const { membership } = this.#applier;
    this.#peers.setPeers(membership.peers());
    this.events.membership.emit(membership.list());
  }

  #readLog(request: LogReadRequest): void {
    readForMember(this.#options.storage.log, request, () => this.#raft)
      .then((event) => event && this.#input(() => this.#step(event)))
      .catch((error: unknown) => this.#fail(error));
  }

  // Peers

  #dispatch(message: Message): void {
    // The driver moves a snapshot's bytes; the last of them announces it.
    if (message.type === "InstallSnapshot") this.#snapshots.bring(message.to, message.snapshot, message.term);
    else this.#peers.send(message.to, { type: "raft", message });
  }

  #openPeers(): void {
    this.#peers.open({
      message: (message) => this.#receive(message),
      forward: (from, body) => {
        // Of a member that takes this node, which has slept, for the leader.
        if (this.isAsleep) this.#wake();
        this.#input(() => this.#router.onForward(from, body));
      },
      forwardRejected: (body) => this.#input(() => this.#router.onForwardRejected(body)),
      snapshotChunk: (from, body) => this.#snapshots.onChunk(from, body),
      snapshotName: (from, body) => this.#snapshots.onName(from, body),
      snapshotChunkResult: (from, body) => this.#snapshots.onChunkResult(from, body),
      query: (from, body) => {
        if (this.isAsleep) this.#wake();
        this.queries.onQuery(from, body);
      },
      queryResult: (body) => this.queries.onResult(body),
      unreachable: (node) => this.#input(() => this.#step({ type: "unreachable", node })),
      fail: (error) => this.#fail(error),
    });
    this.#peers.setPeers(this.#applier.membership.peers());
  }

  #receive(message: Message): void {
    this.#input(() => this.#step({ type: "message", message }));
  }

  // The end

  #fail(error: unknown): void {
    if (this.#stopped) return;
    const broken = error instanceof AssertionError ? "a broken invariant" : "a failure";
    this.#options.logger.log("error", `the node stops because of ${broken}`, { error: String(error) });
    this.#end(error).catch((late: unknown) =>
      this.#options.logger.log("error", "stopping failed as well", { error: String(late) }),
    );
  }

  /** Whoever asks second waits for the same end: the stores are not closed before. */
  #end(failure: unknown): Promise<void> {
    this.#ended ??= this.#shutDown(failure);
    return this.#ended;
  }

  async #shutDown(failure: unknown): Promise<void> {
    this.#stopped = true;
    this.#deadline.set(null);
    this.#sweeper.set(null);
    this.#proposals.stop();
    this.#reads.stop();
    this.queries.stop();
    this.#ownership.stop();
    this.#snapshots.endSending();
    this.events.stopped.emit();
    if (failure !== null) this.events.failure.emit(failure);
    // Whatever fails of it: files and locks are let go of.
    try {
      await this.#options.transport.stop();
      await this.#snapshots.stop();
    } finally {
      await this.#options.storage.close();
    }
  }
}
