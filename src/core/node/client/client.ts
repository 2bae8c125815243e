import type { KeyValue, RangeRequest, RangeResponse, Revision, TxnRequest } from "../../kv/index.ts";
import { EngineError } from "../../errors/index.ts";
import type { NodeId } from "../../raft/index.ts";
import type { CallOptions, Member, MemberAddRequest, ReadOptions, WriteOptions } from "../engine.ts";
import { NODE_DEFAULTS } from "../options.ts";
import { type Bytes, prefixRange, toBytes, toText } from "./bytes.ts";
import type { ClientEngine, MemberStatus } from "./client-engine.ts";
import type { Codec } from "./codec.ts";
import {
  type ElectOptions,
  type HeldLock,
  Holdings,
  type Leader,
  type Leadership,
  type LockOptions,
  type TryLockResult,
} from "./holding.ts";
import { grantLease, type Lease, type LeaseOptions } from "./lease.ts";
import { TxnBuilder, type TxnResult } from "./txn-builder.ts";
import { TypedClient } from "./typed-client.ts";
import { Patience, type Surroundings } from "./waiting.ts";
import { Watch, type WatchOptions } from "./watch.ts";

/** Where a scan stood, and what it found. */
export interface Scan {
  /** In bytewise order of their keys. */
  readonly entries: readonly KeyValue[];
  /** The revision that all of them are from. */
  readonly revision: Revision;
}

/** What a read of keys may be given. Errors: `compacted`, `futureRevision`. */
export interface GetOptions extends ReadOptions {
  /** Read as of this revision instead of the latest. */
  readonly revision?: Revision;
}

/** What a put may be given: at most one of `lease` and `ttlMs` (`invalidArgument`). */
export interface PutOptions extends WriteOptions {
  /** The key goes when this lease ends. */
  readonly lease?: bigint | Pick<Lease, "id">;
  /** The key goes after so many milliseconds, unless it is put anew. */
  readonly ttlMs?: number;
}

/** What a scan may be given. All its pages are of one revision. */
export interface PagesOptions extends GetOptions {
  /** Keys of a page. Default: the client's `pageSize`. */
  readonly pageSize?: number;
  /** Without values. */
  readonly keysOnly?: boolean;
}

/** As etcd's range request, with keys as text or bytes. */
export type RangeQuery = Omit<RangeRequest, "key" | "rangeEnd"> & {
  readonly key: Bytes;
  /** Exclusive. Absent: just `key`. */
  readonly rangeEnd?: Bytes;
};

/** What a {@link Client} needs of its surroundings, and its limits. */
export interface ClientOptions extends Surroundings {
  /** The engine's limit of operations in one transaction. Default: the engine's default. */
  readonly maxTxnOps?: number;
  /** Keys fetched at a time by scans, so that a large one does not hold everyone up. Default: 1000. */
  readonly pageSize?: number;
  /** How long granting a lease may take when it is not said, in milliseconds. Default: the engine's default. */
  readonly timeoutMs?: number;
}

/**
 * The everyday methods of a group, in this process or behind a network. Keys and values may be text, which stands for
 * its UTF-8; values come back as bytes, and `getText` reads them as text. All errors are `EngineError`s, and
 * `ClientError` is their union; where `maybeApplied` is true after a write, it may have happened.
 *
 * @example
 * await client.put("config/limit", "100");
 * await client.getText("config/limit"); // "100"
 * await client.getText("config/limit", { consistency: "eventual" });
 * await client.compareAndSwap("config/limit", "100", "200"); // true
 * const { entries, revision } = await client.scanPrefix("config/");
 * for await (const { type, key, value } of client.watchPrefix("config/")) console.log(type, key, value);
 * await client.lock("report", async ({ fencingToken, signal }) => printReport(fencingToken, signal));
 */
export class Client {
  readonly #engine: ClientEngine;
  readonly #surroundings: Surroundings;
  readonly #maxTxnOps: number;
  readonly #pageSize: number;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  readonly #holdings: Holdings;

  /** For an engine of this process, or another one. `EmbeddedEngine` and `createClient` make theirs. */
  constructor(engine: ClientEngine, options: ClientOptions) {
    const { clock, random } = options;
    this.#engine = engine;
    this.#surroundings = { clock, random };
    this.#maxTxnOps = options.maxTxnOps ?? NODE_DEFAULTS.maxTxnOps;
    this.#pageSize = options.pageSize ?? 1000;
    this.#timeoutMs = options.timeoutMs ?? NODE_DEFAULTS.requestTimeoutMs;
    this.#holdings = new Holdings(engine, this.#surroundings, this.#closed.signal, this.#timeoutMs);
  }

  /** Ends what goes on in the background: watches, the renewal of leases, waiting for locks. */
  close(): void {
    this.#closed.abort(new EngineError("canceled", { detail: "the client was closed" }));
  }

  // Keys

  /** Writes a value; resolves once a quorum has it, with the revision of the write. */
  async put(key: Bytes, value: Bytes, options: PutOptions = {}): Promise<Revision> {
    const { lease = 0n, ttlMs = 0, ...call } = options;
    const id = typeof lease === "bigint" ? lease : lease.id;
    const request = { key: toBytes(key), value: toBytes(value), lease: id, ttlMs };
    const { header } = await this.#engine.put(request, call);
    return header.revision;
  }

  /** The value, or null when there is no such key. */
  async get(key: Bytes, options?: GetOptions): Promise<Uint8Array | null> {
    const entry = await this.getEntry(key, options);
    return entry === null ? null : entry.value;
  }

  /** The value as text. Throws `TypeError` when it is not UTF-8. */
  async getText(key: Bytes, options?: GetOptions): Promise<string | null> {
    const value = await this.get(key, options);
    return value === null ? null : toText(value);
  }

  /** The value with its revisions, or null when there is no such key. */
  async getEntry(key: Bytes, options?: GetOptions): Promise<KeyValue | null> {
    const { kvs } = await this.#engine.range(
      { key: toBytes(key), revision: options?.revision ?? 0 },
      options,
    );
    return kvs[0] ?? null;
  }

  /** The values in the order of `keys`, null for those that do not exist; all from the same moment. */
  async getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | null)[]> {
    const values: (Uint8Array | null)[] = [];
    let revision: Revision | undefined;
    while (values.length < keys.length) {
      const part = keys.slice(values.length, values.length + this.#maxTxnOps);
      const pin: { revision?: Revision } = revision === undefined ? {} : { revision };
      const request: TxnRequest = {
        compare: [],
        success: part.map((key) => ({ type: "range", request: { key: toBytes(key), ...pin } })),
        failure: [],
      };
      const result = await this.#engine.txn(request, revision === undefined ? options : pinned(options));
      revision ??= result.revision;
      for (const response of result.responses) {
        values.push(response.type === "range" ? (response.response.kvs[0]?.value ?? null) : null);
      }
    }
    return values;
  }

  /** Removes a key; false when there was none. */
  async delete(key: Bytes, options?: WriteOptions): Promise<boolean> {
    const { deleted } = await this.#engine.deleteRange({ key: toBytes(key) }, options);
    return deleted > 0;
  }

  /** Removes every key that begins with `prefix`, in one step; resolves with their number. */
  async deletePrefix(prefix: Bytes, options?: WriteOptions): Promise<number> {
    const { deleted } = await this.#engine.deleteRange(prefixRange(toBytes(prefix)), options);
    return deleted;
  }

  /**
   * Sets `key` to `next` if its value is `expected`, in one step; false when it was something else. Null as
   * `expected` means that the key must not exist, null as `next` removes it.
   */
  async compareAndSwap(
    key: Bytes,
    expected: Bytes | null,
    next: Bytes | null,
    options?: WriteOptions,
  ): Promise<boolean> {
    const txn = this.txn();
    if (expected === null) txn.ifMissing(key);
    else txn.ifValue(key, "equal", expected);
    if (next === null) txn.thenDelete(key);
    else txn.thenPut(key, next);
    const { succeeded } = await txn.commit(options);
    return succeeded;
  }

  /**
   * All keys that begin with `prefix`, in order, as they were at one revision. Fails with `compacted` when that
   * revision is compacted away while the scan goes on.
   */
  async scanPrefix(prefix: Bytes, options?: ReadOptions): Promise<Scan> {
    const entries: KeyValue[] = [];
    let revision: Revision = 0;
    for await (const page of this.pages(prefix, options)) {
      for (const entry of page.entries) entries.push(entry);
      ({ revision } = page);
    }
    return { entries, revision };
  }

  /** As {@link scanPrefix}, page by page: what is not asked for is not fetched. At least one page, if an empty one. */
  async *pages(prefix: Bytes, options: PagesOptions = {}): AsyncGenerator<Scan, void, undefined> {
    const { pageSize = this.#pageSize, keysOnly = false, revision: asOf = 0, ...read } = options;
    const { key, rangeEnd } = prefixRange(toBytes(prefix));
    const paging = { rangeEnd, limit: pageSize, keysOnly, withoutCount: true };
    let page = await this.#engine.range({ key, ...paging, revision: asOf }, read);
    const revision = asOf > 0 ? asOf : page.header.revision;
    for (;;) {
      yield { entries: page.kvs, revision };
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return;
      page = await this.#engine.range({ key: nextKey(last.key), ...paging, revision }, pinned(read));
    }
  }

  /** Reads a range in etcd's terms: sorted, filtered, counted. */
  async range(
    query: RangeQuery,
    options?: ReadOptions,
  ): Promise<RangeResponse & { readonly revision: Revision }> {
    const { key, rangeEnd, ...rest } = query;
    const request = { ...rest, key: toBytes(key), rangeEnd: toBytes(rangeEnd ?? "") };
    const { header, kvs, more, count } = await this.#engine.range(request, options);
    return { kvs, more, count, revision: header.revision };
  }

  /** Forgets history before this revision. @throws EngineError `compacted`, `futureRevision`. */
  async compact(revision: Revision, options?: CallOptions): Promise<void> {
    await this.#engine.compact({ revision }, options);
  }

  /** A transaction, collected by {@link TxnBuilder}... */
  txn(): TxnBuilder;
  /** ...or given in etcd's form, and run. */
  txn(request: TxnRequest, options?: ReadOptions & WriteOptions): Promise<TxnResult>;
  txn(request?: TxnRequest, options?: ReadOptions & WriteOptions): TxnBuilder | Promise<TxnResult> {
    return request === undefined ? new TxnBuilder(this.#engine) : this.#runTxn(request, options);
  }

  /** The changes of one key. @throws EngineError `canceled`, and as a watch's own, when it cannot even begin. */
  watch(key: Bytes, options?: WatchOptions): Watch {
    return this.#watch({ key: toBytes(key) }, options);
  }

  /** The changes of all keys that begin with `prefix`. */
  watchPrefix(prefix: Bytes, options?: WatchOptions): Watch {
    return this.#watch(prefixRange(toBytes(prefix)), options);
  }

  // Leases, and what rests on them

  /** Grants a lease, to be kept alive or not. */
  async grantLease(options: LeaseOptions = {}): Promise<Lease> {
    const wanted = { ...options, defaultTimeoutMs: this.#timeoutMs };
    return await grantLease(this.#engine, this.#surroundings, this.#closed.signal, wanted);
  }

  /** The ids of all leases, oldest first. */
  async listLeases(options?: CallOptions): Promise<readonly bigint[]> {
    return (await this.#engine.leaseList(options)).ids;
  }

  /**
   * Waits for the lock, does the work, and gives the lock back; gives what the work gives. The lock rests on a lease
   * that is renewed meanwhile. When that is lost, the work's `signal` aborts, and afterwards this fails with
   * `leaseLost`, whatever the work gave. `timeoutMs` is how long to wait for the lock; default: as long as it takes.
   *
   * @throws EngineError `timeout`, `canceled`, `leaseLost`; or what the work throws.
   */
  async lock<T>(
    name: Bytes,
    work: (held: HeldLock) => T | Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    return await this.#holdings.lock(name, work, options);
  }

  /** As {@link lock}, unless somebody else has it: then nothing is done. */
  async tryLock<T>(
    name: Bytes,
    work: (held: HeldLock) => T | Promise<T>,
    options: LockOptions = {},
  ): Promise<TryLockResult<T>> {
    return await this.#holdings.tryLock(name, work, options);
  }

  /**
   * Waits to be elected, leads for as long as the work takes, and resigns; otherwise as {@link lock}. A lock and an
   * election of the same name are the same.
   */
  async elect<T>(
    name: Bytes,
    work: (leadership: Leadership) => T | Promise<T>,
    options: ElectOptions = {},
  ): Promise<T> {
    return await this.#holdings.elect(name, work, options);
  }

  /** Who leads; null for nobody. */
  async leader(name: Bytes): Promise<Leader | null> {
    return await this.#holdings.leader(name);
  }

  /** Who leads now, and then every new leader and every new proclamation; between two, some may be left out. */
  observe(
    name: Bytes,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Leader, void, undefined> {
    return this.#holdings.observe(name, options.signal);
  }

  // The group

  async listMembers(options?: ReadOptions): Promise<readonly Member[]> {
    return (await this.#engine.memberList(options)).members;
  }

  async addMember(request: MemberAddRequest, options?: CallOptions): Promise<Member> {
    return (await this.#engine.memberAdd(request, options)).member;
  }

  async removeMember(id: NodeId, options?: CallOptions): Promise<void> {
    await this.#engine.memberRemove(id, options);
  }

  async updateMember(id: NodeId, peerUrls: readonly string[], options?: CallOptions): Promise<void> {
    await this.#engine.memberUpdate(id, peerUrls, options);
  }

  /** Makes a learner a voter. @throws EngineError `learnerNotReady` until it has caught up. */
  async promoteMember(id: NodeId, options?: CallOptions): Promise<void> {
    await this.#engine.memberPromote(id, options);
  }

  /** Hands leadership to a voter. */
  async transferLeadership(id: NodeId, options?: CallOptions): Promise<void> {
    await this.#engine.transferLeadership(id, options);
  }

  /** What the member that is asked says of itself, and who leads as far as it knows. */
  async status(options?: CallOptions): Promise<MemberStatus> {
    const { clusterId, nodeId, leaderId, term, commitIndex, appliedIndex, isLearner, revision, dbSize } =
      await this.#engine.status(options);
    return { clusterId, nodeId, leaderId, term, commitIndex, appliedIndex, isLearner, revision, dbSize };
  }

  /** The same client for values of a type. */
  withCodec<T>(codec: Codec<T>): TypedClient<T> {
    return new TypedClient(this, codec);
  }

  #watch(
    range: { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array },
    { signal, requireLeader, ...wanted }: WatchOptions = {},
  ): Watch {
    const over = new Patience(this.#surroundings.clock, [signal, this.#closed.signal]);
    try {
      const stream = this.#engine.watch({
        signal: over.signal,
        ...(requireLeader === undefined ? {} : { requireLeader }),
      });
      return new Watch(stream, { ...range, ...wanted }, this.#engine.header().revision, () => over.end());
    } catch (error) {
      over.end();
      throw error;
    }
  }

  async #runTxn(request: TxnRequest, options?: ReadOptions & WriteOptions): Promise<TxnResult> {
    const { succeeded, responses, revision } = await this.#engine.txn(request, options);
    return { succeeded, responses, revision };
  }
}

/**
 * For what follows the first part of a longer read: this node has applied the revision that it is pinned to, and
 * what was at a revision never changes, so its own state is as good as anyone's.
 */
function pinned(options: ReadOptions | undefined): ReadOptions {
  return { ...options, consistency: "eventual" };
}

/** The first key behind `key`. */
function nextKey(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
