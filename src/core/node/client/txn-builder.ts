import type { Compare, CompareResult, RequestOp, ResponseOp, Revision, TxnRequest } from "../../kv/index.ts";
import { type Bytes, prefixRange, toBytes } from "./bytes.ts";
import type { ReadOptions, WriteOptions } from "../engine.ts";
import type { ClientEngine } from "./client-engine.ts";

/** What a transaction did. */
export interface TxnResult {
  /** Every condition held, so the `then` branch ran; otherwise the `else` branch did. */
  readonly succeeded: boolean;
  /** One for each operation of the branch that ran, in order. */
  readonly responses: readonly ResponseOp[];
  /** The store's revision afterwards. */
  readonly revision: Revision;
}

/**
 * Collects a transaction: if all conditions hold, the operations given by `then…`, else those given by `else…`,
 * in one atomic step.
 * Conditions see the state before it, operations see the effect of earlier ones.
 *
 * @example
 * const { succeeded } = await client
 *   .txn()
 *   .ifValue("balance/ann", "equal", "100")
 *   .ifExists("balance/bob")
 *   .thenPut("balance/ann", "70")
 *   .thenPut("balance/bob", "30")
 *   .elseGet("balance/ann")
 *   .commit();
 */
export class TxnBuilder {
  readonly #engine: Pick<ClientEngine, "txn">;
  readonly #compare: Compare[] = [];
  readonly #success: RequestOp[] = [];
  readonly #failure: RequestOp[] = [];

  constructor(engine: Pick<ClientEngine, "txn">) {
    this.#engine = engine;
  }

  /** Compares a value bytewise; false for a key that does not exist. */
  ifValue(key: Bytes, result: CompareResult, value: Bytes): this {
    return this.when({ key: toBytes(key), result, target: "value", value: toBytes(value) });
  }

  ifExists(key: Bytes): this {
    return this.when({ key: toBytes(key), result: "greater", target: "version", version: 0 });
  }

  ifMissing(key: Bytes): this {
    return this.when({ key: toBytes(key), result: "equal", target: "version", version: 0 });
  }

  /** Compares the revision of a key's last change; 0 for a key that does not exist. */
  ifModRevision(key: Bytes, result: CompareResult, modRevision: Revision): this {
    return this.when({ key: toBytes(key), result, target: "mod", modRevision });
  }

  /**
   * Compares the revision that a key was created at; 0 for a key that does not exist. With a lock's key and its
   * fencing token: whether the lock is still held.
   */
  ifCreateRevision(key: Bytes, result: CompareResult, createRevision: Revision): this {
    return this.when({ key: toBytes(key), result, target: "create", createRevision });
  }

  /** Any condition, in etcd's form. */
  when(compare: Compare): this {
    this.#compare.push(compare);
    return this;
  }

  thenPut(key: Bytes, value: Bytes): this {
    return this.andThen(putOp(key, value));
  }

  thenGet(key: Bytes): this {
    return this.andThen(getOp(key));
  }

  thenDelete(key: Bytes): this {
    return this.andThen(deleteOp(key));
  }

  thenDeletePrefix(prefix: Bytes): this {
    return this.andThen(deletePrefixOp(prefix));
  }

  /** Any operation, in etcd's form. */
  andThen(operation: RequestOp): this {
    this.#success.push(operation);
    return this;
  }

  elsePut(key: Bytes, value: Bytes): this {
    return this.orElse(putOp(key, value));
  }

  elseGet(key: Bytes): this {
    return this.orElse(getOp(key));
  }

  elseDelete(key: Bytes): this {
    return this.orElse(deleteOp(key));
  }

  elseDeletePrefix(prefix: Bytes): this {
    return this.orElse(deletePrefixOp(prefix));
  }

  /** Any operation, in etcd's form. */
  orElse(operation: RequestOp): this {
    this.#failure.push(operation);
    return this;
  }

  /** What has been collected, in etcd's form. */
  build(): TxnRequest {
    return { compare: [...this.#compare], success: [...this.#success], failure: [...this.#failure] };
  }

  /** Runs it. A transaction that only reads is served under `consistency`, like any read. */
  async commit(options?: ReadOptions & WriteOptions): Promise<TxnResult> {
    const { succeeded, responses, revision } = await this.#engine.txn(this.build(), options);
    return { succeeded, responses, revision };
  }
}

function putOp(key: Bytes, value: Bytes): RequestOp {
  return { type: "put", request: { key: toBytes(key), value: toBytes(value) } };
}

function getOp(key: Bytes): RequestOp {
  return { type: "range", request: { key: toBytes(key) } };
}

function deleteOp(key: Bytes): RequestOp {
  return { type: "deleteRange", request: { key: toBytes(key) } };
}

function deletePrefixOp(prefix: Bytes): RequestOp {
  return { type: "deleteRange", request: prefixRange(toBytes(prefix)) };
}
