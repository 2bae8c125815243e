import type { KeyValue, Revision } from "../../kv/index.ts";
import type { ReadOptions, WriteOptions } from "../engine.ts";
import type { Bytes } from "./bytes.ts";
import type { Client, GetOptions, PagesOptions, PutOptions } from "./client.ts";
import { type Codec, decodeValue, encodeValue } from "./codec.ts";
import type { Change, Watch, WatchOptions } from "./watch.ts";

/** A key and its value, read by a codec. */
export type TypedEntry<T> = Omit<KeyValue, "value"> & { readonly value: T };

/** As {@link Scan}, the values read by a codec. */
export interface TypedScan<T> {
  readonly entries: readonly TypedEntry<T>[];
  readonly revision: Revision;
}

/** One change of one key, its values read by a codec. */
export interface TypedChange<T> {
  readonly type: "put" | "delete";
  readonly key: string;
  /** Null for a deleted key. */
  readonly value: T | null;
  /** Before the change, where that was asked for and can be had. */
  readonly previous: T | null;
  readonly revision: Revision;
  readonly initial: boolean;
}

/**
 * A client whose values are of one type, written and read by a codec. What cannot be read is an EngineError
 * `malformed` that names the key.
 *
 * @example
 * const tasks = client.withCodec(jsonCodec<Task>());
 * await tasks.put("task/1", { title: "write", done: false });
 * const task = await tasks.get("task/1"); // Task | null
 */
export class TypedClient<T> {
  readonly #client: Client;
  readonly #codec: Codec<T>;

  constructor(client: Client, codec: Codec<T>) {
    this.#client = client;
    this.#codec = codec;
  }

  async put(key: Bytes, value: T, options?: PutOptions): Promise<Revision> {
    return await this.#client.put(key, this.#encode(value), options);
  }

  async get(key: Bytes, options?: GetOptions): Promise<T | null> {
    return (await this.getEntry(key, options))?.value ?? null;
  }

  async getEntry(key: Bytes, options?: GetOptions): Promise<TypedEntry<T> | null> {
    const entry = await this.#client.getEntry(key, options);
    return entry === null ? null : this.#typed(entry);
  }

  async delete(key: Bytes, options?: WriteOptions): Promise<boolean> {
    return await this.#client.delete(key, options);
  }

  /** As {@link Client.compareAndSwap}; values are compared as they are written. */
  async compareAndSwap(
    key: Bytes,
    expected: T | null,
    next: T | null,
    options?: WriteOptions,
  ): Promise<boolean> {
    const written = (value: T | null): Uint8Array | null => (value === null ? null : this.#encode(value));
    return await this.#client.compareAndSwap(key, written(expected), written(next), options);
  }

  async scanPrefix(prefix: Bytes, options?: ReadOptions): Promise<TypedScan<T>> {
    const { entries, revision } = await this.#client.scanPrefix(prefix, options);
    return { entries: entries.map((entry) => this.#typed(entry)), revision };
  }

  async *pages(prefix: Bytes, options?: PagesOptions): AsyncGenerator<TypedScan<T>, void, undefined> {
    for await (const { entries, revision } of this.#client.pages(prefix, options)) {
      yield { entries: entries.map((entry) => this.#typed(entry)), revision };
    }
  }

  watch(key: Bytes, options?: WatchOptions): TypedWatch<T> {
    return new TypedWatch(this.#client.watch(key, options), this.#codec);
  }

  watchPrefix(prefix: Bytes, options?: WatchOptions): TypedWatch<T> {
    return new TypedWatch(this.#client.watchPrefix(prefix, options), this.#codec);
  }

  #encode(value: T): Uint8Array {
    return encodeValue(this.#codec, value);
  }

  #typed(entry: KeyValue): TypedEntry<T> {
    return { ...entry, value: decodeValue(this.#codec, entry) };
  }
}

/** A {@link Watch} whose values are read by a codec. */
export class TypedWatch<T> implements AsyncIterable<TypedChange<T>> {
  readonly #watch: Watch;
  readonly #codec: Codec<T>;

  constructor(watch: Watch, codec: Codec<T>) {
    this.#watch = watch;
    this.#codec = codec;
  }

  get toldRevision(): Revision {
    return this.#watch.toldRevision;
  }

  async ready(): Promise<void> {
    await this.#watch.ready();
  }

  close(): void {
    this.#watch.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TypedChange<T>, void, undefined> {
    for await (const change of this.#watch) yield this.#typed(change);
  }

  #typed({ type, key, kv, prevKv, revision, initial }: Change): TypedChange<T> {
    return {
      type,
      key,
      value: type === "delete" ? null : decodeValue(this.#codec, kv),
      previous: prevKv === null ? null : decodeValue(this.#codec, prevKv),
      revision,
      initial,
    };
  }
}
