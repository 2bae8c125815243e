import { EngineError } from "../../core/errors/index.ts";
import { firstPage, type StorePage } from "./first-page.ts";
import { checkBody, keyOf, prefixBeside } from "./object-names.ts";
import type {
  ListingPage,
  ListOptions,
  ObjectCallOptions,
  ObjectReader,
  ObjectStore,
  ObjectVersion,
  PutOutcome,
  StoredObject,
} from "./object-store.ts";
import { inParallel, type ObjectRequests } from "./requests.ts";

/** One page of keys that begin with `prefix`, in order. */
export interface KeyPage {
  readonly prefix: string;
  /** Keys after this one. */
  readonly startAfter: string | undefined;
  readonly limit: number;
  /** What the page before said that the next one is to be asked for with. */
  readonly token: string | null;
}

/**
 * How a server is asked for its objects, by their whole keys. Each call is one attempt, and throws whatever it fails
 * with: `ObjectRequests` asks the dialect what that means, and repeats it where it may.
 */
export interface KeyDialect {
  /** The most bytes that one object may have. */
  readonly maxObjectBytes: number;
  /** Of one deletion, and of one page of a listing. */
  readonly maxKeys: number;
  get(key: string, signal: AbortSignal): Promise<StoredObject | null>;
  /**
   * Replaces this version; null: only where nothing is. Gives the new version, or null if the reply names none.
   */
  put(
    key: string,
    body: Uint8Array,
    version: ObjectVersion | null,
    signal: AbortSignal,
  ): Promise<ObjectVersion | null>;
  /** Names are the whole keys. */
  list(page: KeyPage, signal: AbortSignal): Promise<StorePage>;
  /** False: nothing was done, since the server takes one key at a time only. */
  delete(keys: readonly string[], signal: AbortSignal): Promise<boolean>;
  close(): void;
}

/** The objects under one prefix of a server that has keys. */
export class KeyedObjectStore implements ObjectStore {
  readonly maxObjectBytes: number;
  readonly location: string;
  readonly #dialect: KeyDialect;
  readonly #requests: ObjectRequests;
  readonly #prefix: string;

  constructor(dialect: KeyDialect, requests: ObjectRequests, prefix: string) {
    this.maxObjectBytes = dialect.maxObjectBytes;
    this.location = requests.location;
    this.#dialect = dialect;
    this.#requests = requests;
    this.#prefix = prefix;
  }

  async get(name: string, options?: ObjectCallOptions): Promise<StoredObject | null> {
    return await this.#get(keyOf(this.#prefix, name), options);
  }

  beside(location: string): ObjectReader | null {
    const prefix = prefixBeside({ location: this.location, prefix: this.#prefix }, location);
    if (prefix === null) return null;
    return { location, get: async (name, options) => await this.#get(keyOf(prefix, name), options) };
  }

  putIfAbsent(name: string, body: Uint8Array, options: ObjectCallOptions = {}): Promise<PutOutcome> {
    return this.#put(name, body, null, options);
  }

  putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options: ObjectCallOptions = {},
  ): Promise<PutOutcome> {
    return this.#put(name, body, version, options);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListingPage> {
    const { startAfter, limit = this.#dialect.maxKeys } = options;
    return await firstPage(this.location, async (token) => {
      const asked: KeyPage = {
        prefix: this.#prefix + prefix,
        startAfter: startAfter === undefined ? undefined : this.#prefix + startAfter,
        limit: Math.max(1, Math.min(limit, this.#dialect.maxKeys)),
        token,
      };
      const page = await this.#requests.read((signal) => this.#dialect.list(asked, signal), options.signal);
      if (page === null) {
        throw new EngineError("storageFailed", { detail: `${this.location}: nothing to list` });
      }
      const objects = page.objects.map(({ name, size }) => ({ name: name.slice(this.#prefix.length), size }));
      return { objects, next: page.next };
    });
  }

  async delete(names: readonly string[], { signal }: ObjectCallOptions = {}): Promise<void> {
    const keys = names.map((name) => keyOf(this.#prefix, name));
    const { maxKeys } = this.#dialect;
    const remove = (some: readonly string[]): Promise<boolean | null> =>
      this.#requests.read((ended) => this.#dialect.delete(some, ended), signal);
    for (let at = 0; at < keys.length; at += maxKeys) {
      const batch = keys.slice(at, at + maxKeys);
      if ((await remove(batch)) !== false) continue;
      await inParallel(batch, async (key) => void (await remove([key])));
    }
  }

  async close(): Promise<void> {
    this.#requests.close();
    this.#dialect.close();
  }

  async #get(key: string, { signal }: ObjectCallOptions = {}): Promise<StoredObject | null> {
    return await this.#requests.read((ended) => this.#dialect.get(key, ended), signal);
  }

  async #put(
    name: string,
    body: Uint8Array,
    version: ObjectVersion | null,
    { signal }: ObjectCallOptions,
  ): Promise<PutOutcome> {
    const key = keyOf(this.#prefix, name);
    checkBody(body, this.maxObjectBytes);
    return await this.#requests.put((ended) => this.#dialect.put(key, body, version, ended), signal);
  }
}
