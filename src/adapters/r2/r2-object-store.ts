import { EngineError } from "../../core/errors/index.ts";
import {
  checkBody,
  firstPage,
  keyOf,
  keyPrefix,
  type ListingPage,
  type ObjectCallOptions,
  type ObjectReader,
  ObjectRequests,
  type ObjectStore,
  type ObjectVersion,
  prefixBeside,
  type PutOutcome,
  type StoredObject,
} from "../object-store/index.ts";
import type { R2BucketLike, R2ObjectStoreOptions, R2PutConditionLike } from "./options.ts";
import { ConditionFailed, explainR2Error } from "./r2-errors.ts";

/** R2 takes 5 GB in one put; an isolate has 128 MB in all. */
const MAX_OBJECT_BYTES = 16 << 20;
/** Of one deletion, and of one page of a listing. */
const MAX_KEYS = 1000;
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Objects in a bucket of R2, by its Workers binding. Elsewhere than on Workers, use the S3 dialect with R2's endpoint.
 *
 * Throws `invalidConfig` for options that cannot be right.
 */
export function r2ObjectStore(options: R2ObjectStoreOptions): ObjectStore {
  // What a Worker without the binding in its configuration hands over.
  if ((options.bucket as unknown) === undefined) {
    throw new EngineError("invalidConfig", {
      detail: "bucket: there is no such binding: add it to r2_buckets in the Worker's configuration",
    });
  }
  const prefix = keyPrefix(options.prefix ?? "");
  const requests = new ObjectRequests({
    location: `r2://${options.name ?? "binding"}/${prefix}`,
    explain: explainR2Error,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  return new R2ObjectStore(options.bucket, requests, prefix);
}

class R2ObjectStore implements ObjectStore {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly location: string;
  readonly #bucket: R2BucketLike;
  readonly #requests: ObjectRequests;
  readonly #prefix: string;

  constructor(bucket: R2BucketLike, requests: ObjectRequests, prefix: string) {
    this.#bucket = bucket;
    this.#requests = requests;
    this.#prefix = prefix;
    this.location = requests.location;
  }

  async get(name: string, options?: ObjectCallOptions): Promise<StoredObject | null> {
    return await this.#get(keyOf(this.#prefix, name), options);
  }

  beside(location: string): ObjectReader | null {
    const prefix = prefixBeside({ location: this.location, prefix: this.#prefix }, location);
    if (prefix === null) return null;
    return { location, get: async (name, options) => await this.#get(keyOf(prefix, name), options) };
  }

  async #get(key: string, { signal }: ObjectCallOptions = {}): Promise<StoredObject | null> {
    return await this.#requests.read(async () => {
      const found = await this.#bucket.get(key);
      if (found === null) return null;
      if (found.size > MAX_OBJECT_BYTES) {
        throw new EngineError("storageCorrupt", {
          detail: `${this.location}: ${key} has ${found.size} bytes`,
        });
      }
      const body = new Uint8Array(await found.arrayBuffer());
      if (body.length !== found.size) throw new Error(`the reply broke off after ${body.length} bytes`);
      return { body, version: found.etag };
    }, signal);
  }

  putIfAbsent(name: string, body: Uint8Array, options: ObjectCallOptions = {}): Promise<PutOutcome> {
    // Headers, because "*" in `etagDoesNotMatch` was once taken for an ETag, which no object has: an overwrite.
    return this.#put(name, body, new Headers({ "if-none-match": "*" }), options);
  }

  putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options: ObjectCallOptions = {},
  ): Promise<PutOutcome> {
    return this.#put(name, body, { etagMatches: version }, options);
  }

  async list(
    prefix: string,
    options: ObjectCallOptions & { readonly startAfter?: string; readonly limit?: number } = {},
  ): Promise<ListingPage> {
    const { startAfter, limit = MAX_KEYS, signal } = options;
    return await firstPage(this.location, async (cursor) => {
      const page = await this.#requests.read(
        () =>
          this.#bucket.list({
            prefix: this.#prefix + prefix,
            limit: Math.max(1, Math.min(limit, MAX_KEYS)),
            ...(startAfter === undefined ? {} : { startAfter: this.#prefix + startAfter }),
            ...(cursor === null ? {} : { cursor }),
          }),
        signal,
      );
      if (page === null)
        throw new EngineError("storageFailed", { detail: `${this.location}: nothing to list` });
      const objects = page.objects.map(({ key, size }) => ({ name: key.slice(this.#prefix.length), size }));
      return { objects, next: page.truncated ? (page.cursor ?? "") : null };
    });
  }

  async delete(names: readonly string[], { signal }: ObjectCallOptions = {}): Promise<void> {
    const keys = names.map((name) => keyOf(this.#prefix, name));
    for (let at = 0; at < keys.length; at += MAX_KEYS) {
      await this.#requests.read(() => this.#bucket.delete(keys.slice(at, at + MAX_KEYS)), signal);
    }
  }

  async close(): Promise<void> {
    this.#requests.close();
  }

  async #put(
    name: string,
    body: Uint8Array,
    onlyIf: R2PutConditionLike["onlyIf"],
    { signal }: ObjectCallOptions,
  ): Promise<PutOutcome> {
    const key = keyOf(this.#prefix, name);
    checkBody(body, MAX_OBJECT_BYTES);
    return await this.#requests.put(async () => {
      const httpMetadata = { contentType: "application/octet-stream" };
      const written = await this.#bucket.put(key, body, { onlyIf, httpMetadata });
      if (written === null) throw new ConditionFailed();
      return written.etag;
    }, signal);
  }
}
