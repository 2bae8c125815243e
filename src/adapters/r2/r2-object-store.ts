import { EngineError } from "../../core/errors/index.ts";
import {
  type KeyDialect,
  KeyedObjectStore,
  type KeyPage,
  keyPrefix,
  ObjectRequests,
  type ObjectStore,
  type ObjectVersion,
  type StoredObject,
  type StorePage,
} from "../object-store/index.ts";
import type { R2BucketLike, R2ObjectStoreOptions } from "./options.ts";
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
  return new KeyedObjectStore(new R2Dialect(options.bucket), requests, prefix);
}

class R2Dialect implements KeyDialect {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly maxKeys: number = MAX_KEYS;
  readonly #bucket: R2BucketLike;

  constructor(bucket: R2BucketLike) {
    this.#bucket = bucket;
  }

  async get(key: string): Promise<StoredObject | null> {
    const found = await this.#bucket.get(key);
    if (found === null) return null;
    if (found.size > MAX_OBJECT_BYTES) {
      throw new EngineError("storageCorrupt", { detail: `${key} has ${found.size} bytes` });
    }
    const body = new Uint8Array(await found.arrayBuffer());
    if (body.length !== found.size) throw new Error(`the reply broke off after ${body.length} bytes`);
    return { body, version: found.etag };
  }

  async put(key: string, body: Uint8Array, version: ObjectVersion | null): Promise<ObjectVersion> {
    // Headers, because "*" in `etagDoesNotMatch` was once taken for an ETag, which no object has: an overwrite.
    const onlyIf = version === null ? new Headers({ "if-none-match": "*" }) : { etagMatches: version };
    const httpMetadata = { contentType: "application/octet-stream" };
    const written = await this.#bucket.put(key, body, { onlyIf, httpMetadata });
    if (written === null) throw new ConditionFailed();
    return written.etag;
  }

  async list({ prefix, startAfter, limit, token }: KeyPage): Promise<StorePage> {
    const page = await this.#bucket.list({
      prefix,
      limit,
      ...(startAfter === undefined ? {} : { startAfter }),
      ...(token === null ? {} : { cursor: token }),
    });
    const objects = page.objects.map(({ key, size }) => ({ name: key, size }));
    return { objects, next: page.truncated ? (page.cursor ?? "") : null };
  }

  async delete(keys: readonly string[]): Promise<boolean> {
    await this.#bucket.delete([...keys]);
    return true;
  }

  close(): void {
    // A binding has nothing to let go of.
  }
}
