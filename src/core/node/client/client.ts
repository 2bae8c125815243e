import type { KeyValue, Revision, TxnRequest } from "../../kv/index.ts";
import type { NodeId } from "../../raft/index.ts";
import { type Bytes, prefixRange, toBytes, toText } from "./bytes.ts";
import { TxnBuilder, type TxnResult } from "./txn-builder.ts";
import { Watch, type WatchOptions } from "./watch.ts";
import type { CallOptions, Engine, Member, ReadOptions } from "../engine.ts";
import { NODE_DEFAULTS } from "../options.ts";

/** Where a scan stood, and what it found. */
export interface Scan {
  /** In bytewise order of their keys. */
  readonly entries: readonly KeyValue[];
  /** The revision that all of them are from. */
  readonly revision: Revision;
}

export interface GetOptions extends ReadOptions {
  /** Read as of this revision instead of the latest. */
  readonly revision?: Revision;
}

export interface PutOptions extends CallOptions {
  /** The key goes when this lease ends. */
  readonly lease?: bigint;
  /** The key goes after so many milliseconds, unless it is put anew. */
  readonly ttlMs?: number;
}

export interface ClientOptions {
  /** The engine's limit of operations in one transaction. Default: the engine's default. */
  readonly maxTxnOps?: number;
  /** Keys fetched at a time by scans, so that a large one does not hold everyone up. Default: 1000. */
  readonly pageSize?: number;
}

/**
 * A key-value store's everyday methods, over any {@link Engine}. Keys and values may be text, which stands for its
 * UTF-8; values come back as bytes, and `getText` reads them as text. All errors are `EngineError`s; one of code
 * 14 (`timeout`, `leaderChanged`, ...) after a write means that it may have happened.
 *
 * @example
 * await client.put("config/limit", "100");
 * await client.getText("config/limit"); // "100"
 * await client.getText("config/limit", { consistency: "eventual" });
 * await client.compareAndSwap("config/limit", "100", "200"); // true
 * const { entries, revision } = await client.scanPrefix("config/");
 * for await (const { type, key, value } of client.watchPrefix("config/")) console.log(type, key, value);
 */
export class Client {
  readonly #engine: Engine;
  readonly #maxTxnOps: number;
  readonly #pageSize: number;

  constructor(engine: Engine, options: ClientOptions = {}) {
    this.#engine = engine;
    this.#maxTxnOps = options.maxTxnOps ?? NODE_DEFAULTS.maxTxnOps;
    this.#pageSize = options.pageSize ?? 1000;
  }

  /** Writes a value; resolves once a quorum has it, with the revision of the write. */
  async put(key: Bytes, value: Bytes, options: PutOptions = {}): Promise<Revision> {
    const { lease = 0n, ttlMs = 0, ...call } = options;
    const request = { key: toBytes(key), value: toBytes(value), lease, ttlMs };
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
  async delete(key: Bytes, options?: CallOptions): Promise<boolean> {
    const { deleted } = await this.#engine.deleteRange({ key: toBytes(key) }, options);
    return deleted > 0;
  }

  /** Removes every key that begins with `prefix`, in one step; resolves with their number. */
  async deletePrefix(prefix: Bytes, options?: CallOptions): Promise<number> {
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
    options?: CallOptions,
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
    const { key, rangeEnd } = prefixRange(toBytes(prefix));
    const paging = { rangeEnd, limit: this.#pageSize, withoutCount: true };
    const first = await this.#engine.range({ key, ...paging }, options);
    const revision = first.header.revision;
    const entries = [...first.kvs];
    for (let { more } = first; more;) {
      const after = nextKey(entries.at(-1)!.key);
      const request = { key: after, ...paging, revision };
      const page = await this.#engine.range(request, pinned(options));
      for (const entry of page.kvs) entries.push(entry);
      ({ more } = page);
    }
    return { entries, revision };
  }

  /** A transaction, collected by {@link TxnBuilder}... */
  txn(): TxnBuilder;
  /** ...or given in etcd's form, and run. */
  txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResult>;
  txn(request?: TxnRequest, options?: ReadOptions): TxnBuilder | Promise<TxnResult> {
    return request === undefined ? new TxnBuilder(this.#engine) : this.#runTxn(request, options);
  }

  /** The changes of one key. */
  watch(key: Bytes, options?: WatchOptions): Watch {
    return this.#watch({ key: toBytes(key) }, options);
  }

  /** The changes of all keys that begin with `prefix`. */
  watchPrefix(prefix: Bytes, options?: WatchOptions): Watch {
    return this.#watch(prefixRange(toBytes(prefix)), options);
  }

  #watch(
    range: { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array },
    options: WatchOptions = {},
  ): Watch {
    const { signal, requireLeader, ...wanted } = options;
    const stream = this.#engine.watch({
      ...(signal === undefined ? {} : { signal }),
      ...(requireLeader === undefined ? {} : { requireLeader }),
    });
    return new Watch(stream, { ...range, ...wanted }, this.#engine.header().revision);
  }

  async listMembers(options?: ReadOptions): Promise<readonly Member[]> {
    const { members } = await this.#engine.memberList(options);
    return members;
  }

  /** Who leads, as far as this node knows. */
  get leaderId(): NodeId | null {
    return this.#engine.status().leaderId;
  }

  async #runTxn(request: TxnRequest, options?: ReadOptions): Promise<TxnResult> {
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
