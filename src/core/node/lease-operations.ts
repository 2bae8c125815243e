import { EngineError } from "../errors/index.ts";
import {
  ANONYMOUS,
  encodeCommand,
  type ExpiredLease,
  type KvCommand,
  type KvResult,
  type KvStore,
  MAX_LEASE_TTL_SECONDS,
} from "../kv/index.ts";
import type { Term } from "../raft/index.ts";
import type {
  CallOptions,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from "./engine.ts";
import {
  decodeLeaseAnswer,
  decodeLeaseQuestion,
  encodeLeaseAnswer,
  encodeLeaseQuestion,
  type LeaseAnswer,
  type LeaseQuestion,
} from "./lease-query.ts";
import { Lessor, type SavedLeases } from "./lessor.ts";
import type { NodeOptions } from "./options.ts";
import type { Random } from "./ports.ts";
import type { Replica } from "./replica.ts";

/** Proposes a command that is sound. */
type Write = (command: KvCommand, call: CallOptions) => Promise<KvResult>;

/** What clients do with leases. Grants and revocations go through the log, the rest is asked of the leader. */
export class LeaseOperations {
  readonly #replica: Replica<KvResult>;
  readonly #store: KvStore;
  readonly #random: Random;
  readonly #write: Write;
  readonly #lessor: Lessor;

  constructor(
    replica: Replica<KvResult>,
    store: KvStore,
    { clock, random, savedLeases }: Pick<NodeOptions, "clock" | "random" | "savedLeases">,
    write: Write,
  ) {
    this.#replica = replica;
    this.#store = store;
    this.#random = random;
    this.#write = write;
    const { clockDriftBoundMs, electionTimeoutMs, quiesceAfterMs } = replica.raftOptions;
    const host = {
      leadingTerm: () => replica.leadingTerm,
      priorTerm: () => replica.priorTerm,
      leases: () => store.leases(),
      lease: (id: bigint) => store.lease(id),
      rouse: quiesceAfterMs === 0 ? null : () => void this.#barrier().catch(() => {}),
      expire: (term: Term, leases: readonly ExpiredLease[]) =>
        // It ends when it is applied, or when another leads: then it is nothing but an empty command.
        replica.propose(encodeCommand({ type: "leaseExpire", request: { term, leases } }), {
          timeoutMs: Infinity,
        }),
    };
    this.#lessor = new Lessor(clock, clockDriftBoundMs / electionTimeoutMs, host, savedLeases ?? null);
    replica.answerQuestions((question) => this.#answer(decodeLeaseQuestion(question)));
    replica.onLeaderChange(() => void this.#takeOver());
    replica.onStopped(() => this.#lessor.stop());
    void this.#takeOver();
  }

  /** A lease has come or gone in the store. */
  changed(id: bigint): void {
    this.#lessor.changed(id);
  }

  /** When this node must be awake for the sake of leases, on its clock; null: they do not need it. */
  get nextDeadlineMs(): number | null {
    return this.#lessor.nextDeadlineMs;
  }

  /** See {@link KvEngine.rest}. */
  rest(resting: boolean): void {
    this.#lessor.rest(resting);
  }

  /** See {@link KvEngine.ringLeases}. */
  ring(): void {
    this.#lessor.ring();
  }

  /** See {@link KvEngine.saveLeases}. */
  save(): SavedLeases | null {
    return this.#lessor.save();
  }

  /** Counts what makes an earlier `save` wrong. */
  get version(): number {
    return this.#lessor.version;
  }

  /** Positive, so that it looks like an id in every client. */
  drawId(): bigint {
    for (;;) {
      const id = BigInt.asUintN(63, this.#random.id());
      if (id !== 0n) return id;
    }
  }

  async grant(request: LeaseGrantRequest, call: CallOptions): Promise<LeaseGrantResponse> {
    const ttlMs = request.ttlMs ?? this.#wholeSeconds(request.ttlSeconds ?? 0) * 1000;
    const id = (request.id ?? 0n) === 0n ? this.drawId() : request.id!;
    await this.#write({ type: "leaseGrant", request: { id, ttlMs } }, call);
    return { id, ttlMs };
  }

  /** etcd raises what is too short to survive a change of leaders, 0 and less included. */
  #wholeSeconds(seconds: number): number {
    if (!Number.isInteger(seconds)) {
      throw new EngineError("invalidArgument", { detail: "TTL is not a whole number of seconds" });
    }
    if (seconds > MAX_LEASE_TTL_SECONDS) throw new EngineError("leaseTtlTooLarge");
    const minimum = Math.ceil((1.5 * this.#replica.raftOptions.electionTimeoutMs) / 1000);
    return Math.max(seconds, minimum);
  }

  async keepAlive(id: bigint, call: CallOptions): Promise<LeaseKeepAliveResponse> {
    const answer = await this.#ask("renew", id, call);
    return { id, ttlMs: answer?.ttlMs ?? 0 };
  }

  async timeToLive(
    { id, keys = false }: LeaseTimeToLiveRequest,
    call: CallOptions,
  ): Promise<LeaseTimeToLiveResponse> {
    const answer = await this.#ask("look", id, call);
    if (answer === null) return { id, remainingMs: -1, ttlMs: 0, keys: [] };
    if (keys) await this.#replica.barrier({ ...call, consistency: "linearizable" });
    return { id, ...answer, keys: keys ? this.#store.leaseKeys(id) : [] };
  }

  async list(call: CallOptions): Promise<bigint[]> {
    await this.#replica.barrier({ ...call, consistency: "linearizable" });
    return Array.from(this.#store.leases(), ({ id }) => id);
  }

  async #ask(
    kind: LeaseQuestion["kind"],
    id: bigint,
    { caller = ANONYMOUS, ...call }: CallOptions,
  ): Promise<Exclude<LeaseAnswer, { readonly refused: unknown }>> {
    if (BigInt.asIntN(64, id) !== id) {
      throw new EngineError("invalidArgument", { detail: "ID does not fit into 64 bits" });
    }
    const question = encodeLeaseQuestion({ kind, id, caller });
    const answer = decodeLeaseAnswer(await this.#replica.askLeader(question, call));
    if (answer !== null && "refused" in answer) throw new EngineError(answer.refused);
    return answer;
  }

  /** As the leader, if this node is it; null if it is not, or the lease is about to go. */
  async #answer({ kind, id, caller }: LeaseQuestion): Promise<Uint8Array | null> {
    // Confirmed after the question came: whoever leads next gives the lease its whole time from later than that.
    await this.#barrier();
    // By what the group has decided, whatever the member that asks has heard of it.
    const standing = this.#store.auth.standing(caller);
    if (standing.type === "refused") return encodeLeaseAnswer({ refused: standing.code });
    const state = kind === "renew" ? this.#lessor.renew(id) : this.#lessor.look(id);
    switch (state.type) {
      case "ending":
        return null;
      case "gone":
        return encodeLeaseAnswer(null);
      case "alive":
        return encodeLeaseAnswer({
          ttlMs: state.lease.ttlMs,
          remainingMs: Math.ceil(state.remainingMs),
        });
    }
  }

  /** A new leader knows all leases once it has applied what earlier ones committed. */
  async #takeOver(): Promise<void> {
    const replica = this.#replica;
    while (replica.isLeader && replica.leadingTerm === null && !replica.isStopped) {
      // Without a quorum it takes as long as it takes.
      await this.#barrier().catch(() => {});
    }
    this.#lessor.sync();
  }

  /** Resolves when this node knows everything that had been committed, and whoever was asked leads. */
  async #barrier(): Promise<void> {
    await this.#replica.barrier({ consistency: "linearizable" });
  }
}
