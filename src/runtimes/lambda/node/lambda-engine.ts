import { assert, EngineError } from "../../../core/errors/index.ts";
import {
  type CompactRequest,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  isReadOnly,
  type KvResult,
  type LeaseRevokeRequest,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type Revision,
  type TxnRequest,
  type TxnResponse,
  validateRange,
  validateTxn,
} from "../../../core/kv/index.ts";
import {
  type AlarmRequest,
  type AlarmResponse,
  type CallOptions,
  type Engine,
  type EngineStatus,
  type KvEngine,
  type LeaseGrantRequest,
  type LeaseGrantResponse,
  type LeaseKeepAliveResponse,
  type LeaseTimeToLiveRequest,
  type LeaseTimeToLiveResponse,
  type Member,
  NODE_DEFAULTS,
  type Random,
  type ReadOptions,
  type ResponseHeader,
  type WatchStream,
  type WithHeader,
  type WithReplay,
  type WriteOptions,
} from "../../../core/node/index.ts";
import type { LambdaNode } from "./lambda-node.ts";
import type { Followed } from "./log-follower.ts";

type Abortable = Pick<CallOptions, "signal">;
type Members = { readonly members: readonly Member[] } & WithHeader;

/**
 * What one invocation sees of the node: an engine whose calls end before the invocation does. What needs more than one
 * invocation, watches and other members, it refuses.
 */
export class LambdaEngine implements Engine {
  readonly #node: LambdaNode;
  readonly #random: Random;
  readonly #deadlineMs: number;

  /** @param deadlineMs of the invocation, on the node's clock. */
  constructor(node: LambdaNode, random: Random, deadlineMs: number) {
    this.#node = node;
    this.#random = random;
    this.#deadlineMs = deadlineMs;
    node.invoked(deadlineMs);
  }

  get auth(): Engine["auth"] {
    return this.#current().auth;
  }

  status(options: Pick<CallOptions, "caller"> = {}): EngineStatus {
    return this.#current().status(options);
  }

  header(): ResponseHeader {
    return this.#current().header();
  }

  /** Resolves when there is an engine that was confirmed to own the log. */
  async open(): Promise<void> {
    await this.#read({}, async (engine, call) => await engine.replica.barrier(call));
  }

  range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse & WithHeader> {
    validateRange(request);
    const peek = ({ store, header }: Followed): RangeResponse & WithHeader => ({
      ...store.range(request, NODE_DEFAULTS.maxRangeBytes),
      header,
    });
    return this.#read(
      options,
      (engine, call) => engine.range(request, call),
      // What a revision says that is still to come, only the engine knows.
      options.minRevision === undefined ? peek : undefined,
    );
  }

  put(request: PutRequest, options: WriteOptions = {}): Promise<PutResponse & WithReplay> {
    return this.#write(
      options,
      (engine, call) => engine.put(request, call),
      (result, engine) => {
        assert(result.type === "put", "a put is answered as one");
        return { ...result.response, ...answered(result, engine) };
      },
    );
  }

  deleteRange(
    request: DeleteRangeRequest,
    options: WriteOptions = {},
  ): Promise<DeleteRangeResponse & WithReplay> {
    return this.#write(
      options,
      (engine, call) => engine.deleteRange(request, call),
      (result, engine) => {
        assert(result.type === "deleteRange", "a deletion is answered as one");
        return { ...result.response, ...answered(result, engine) };
      },
    );
  }

  txn(request: TxnRequest, options: ReadOptions & WriteOptions = {}): Promise<TxnResponse & WithReplay> {
    return this.#write(
      options,
      (engine, call) => engine.txn(request, call),
      (result, engine) => {
        assert(result.type === "txn", "a transaction is answered as one");
        return { ...result.response, ...answered(result, engine) };
      },
      options.minRevision === undefined && options.idempotencyKey === undefined
        ? (followed) => txnWithoutWrites(request, followed)
        : undefined,
    );
  }

  compact(request: CompactRequest, options: CallOptions = {}): Promise<WithHeader> {
    return this.#write(options, (engine, call) => engine.compact(request, call), answered);
  }

  /** The id is drawn here, so that a grant that was looked for in the log has the same. */
  async leaseGrant(
    request: LeaseGrantRequest,
    options: CallOptions = {},
  ): Promise<LeaseGrantResponse & WithHeader> {
    const given = request.id ?? 0n;
    const id = given === 0n ? BigInt.asUintN(63, this.#random.id() | 1n) : given;
    return await this.#write(
      options,
      (engine, call) => engine.leaseGrant({ ...request, id }, call),
      async (result, engine) => {
        // 0: it has ended since.
        const { ttlMs } = await engine.leaseTimeToLive({ id }, options);
        return { id, ttlMs, ...answered(result, engine) };
      },
    );
  }

  leaseRevoke(request: LeaseRevokeRequest, options: CallOptions = {}): Promise<WithHeader> {
    return this.#write(options, (engine, call) => engine.leaseRevoke(request, call), answered);
  }

  leaseKeepAlive(id: bigint, options: CallOptions = {}): Promise<LeaseKeepAliveResponse & WithHeader> {
    return this.#read(options, (engine, call) => engine.leaseKeepAlive(id, call));
  }

  leaseTimeToLive(
    request: LeaseTimeToLiveRequest,
    options: CallOptions = {},
  ): Promise<LeaseTimeToLiveResponse & WithHeader> {
    return this.#read(options, (engine, call) => engine.leaseTimeToLive(request, call));
  }

  leaseList(options: CallOptions = {}): Promise<{ readonly ids: readonly bigint[] } & WithHeader> {
    return this.#read(options, (engine, call) => engine.leaseList(call));
  }

  watch(): WatchStream {
    throw refused("watches: nothing happens between two invocations; poll, or run a node that stays");
  }

  memberList(options: ReadOptions = {}): Promise<Members> {
    return this.#read(options, (engine, call) => engine.memberList(call));
  }

  async memberAdd(): Promise<{ readonly member: Member } & Members> {
    throw refused("other members: move the log to d-engine serve first");
  }

  async memberRemove(): Promise<Members> {
    throw refused("the removal of the only member");
  }

  async memberUpdate(): Promise<Members> {
    throw refused("addresses of a member that nobody else can reach");
  }

  async memberPromote(): Promise<Members> {
    throw refused("learners");
  }

  alarm(request: AlarmRequest, options: CallOptions = {}): Promise<AlarmResponse & WithHeader> {
    if (request.action === "get") return this.#read(options, (engine, call) => engine.alarm(request, call));
    return this.#write(
      options,
      (engine, call) => engine.alarm(request, call),
      (result, engine) => {
        assert(result.type === "alarm", "an alarm is answered as one");
        return { alarms: result.alarms, ...answered(result, engine) };
      },
    );
  }

  hash(request: { readonly revision?: Revision }, options: Abortable = {}): ReturnType<Engine["hash"]> {
    return this.#read(options, (engine) => engine.hash(request, options));
  }

  async *backup(options: Abortable = {}): ReturnType<Engine["backup"]> {
    await this.open();
    yield* this.#current().backup(options);
  }

  async transferLeadership(): Promise<void> {
    throw refused("other members to lead");
  }

  /** It is always this one. */
  onLeaderChange(): () => void {
    return () => {};
  }

  onMembershipChange(): () => void {
    return () => {};
  }

  #current(): KvEngine {
    const { engine } = this.#node;
    if (engine === null) throw new EngineError("noLeader");
    return engine;
  }

  #read<O extends CallOptions, T>(
    options: O,
    ask: (engine: KvEngine, call: O) => Promise<T>,
    peek?: (followed: Followed) => T | null,
  ): Promise<T> {
    return this.#node.run(this.#deadline(options), {
      ask: (engine, { timeoutMs }) => ask(engine, { ...options, timeoutMs }),
      ...(peek === undefined ? {} : { peek }),
    });
  }

  #write<O extends CallOptions, T>(
    options: O,
    ask: (engine: KvEngine, call: O) => Promise<T>,
    answer: (result: KvResult, engine: KvEngine) => T | Promise<T>,
    peek?: (followed: Followed) => T | null,
  ): Promise<T> {
    return this.#node.run(this.#deadline(options), {
      ask: (engine, { timeoutMs }) => ask(engine, { ...options, timeoutMs }),
      answer,
      ...(peek === undefined ? {} : { peek }),
    });
  }

  #deadline({ timeoutMs }: CallOptions): number {
    if (timeoutMs === undefined) return this.#deadlineMs;
    return Math.min(this.#deadlineMs, this.#node.clock.nowMs() + timeoutMs);
  }
}

/** The header as of what was found in the log. */
function answered(result: KvResult, engine: KvEngine): WithReplay {
  const header = { ...engine.header(), revision: result.revision };
  return "replayed" in result ? { header, replayed: true } : { header };
}

/**
 * What a transaction gives that changes nothing, as things are: it only reads, or what it compares does not hold and it
 * only reads then. Null: it writes.
 */
function txnWithoutWrites(
  request: TxnRequest,
  { store, header }: Followed,
): (TxnResponse & WithReplay) | null {
  validateTxn(request, NODE_DEFAULTS.maxTxnOps);
  const otherwise = isReadOnly(request) ? request : { ...request, success: [] };
  if (!isReadOnly(otherwise)) return null;
  const response = store.readTxn(otherwise, NODE_DEFAULTS.maxRangeBytes);
  return response.succeeded && otherwise !== request ? null : { ...response, header };
}

function refused(what: string): EngineError {
  return new EngineError("unimplemented", { detail: `a function that is the node has no ${what}` });
}
