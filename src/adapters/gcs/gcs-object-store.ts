import { createHash, randomUUID } from "node:crypto";
import { EngineError } from "../../core/errors/index.ts";
import {
  type KeyDialect,
  KeyedObjectStore,
  type KeyPage,
  keyPrefix,
  ObjectRequests,
  type ObjectStore,
  type ObjectVersion,
  readBody,
  type StoredObject,
  type StorePage,
} from "../object-store/index.ts";
import { gcsFetch, makeGcsClient } from "./gcs-client.ts";
import { explainGcsError, GcsError, noBucket } from "./gcs-errors.ts";
import type { GcsClientLike, GcsObjectStoreOptions } from "./options.ts";

/** GCS takes 5 TB; this bounds what one request holds in memory. */
const MAX_OBJECT_BYTES = 64 << 20;
const MAX_PAGE = 1000;
const DEFAULT_TIMEOUT_MS = 10_000;
/** Of an object that does not exist, for `ifGenerationMatch`. */
const NO_GENERATION = "0";

/**
 * Objects in a bucket of Google Cloud Storage; their versions are generations. Makes no request yet. Unless a client is
 * given, the SDK, `@google-cloud/storage`, is loaded here and must be installed; its chain finds the credentials.
 *
 * Rejects with `invalidConfig` for options that cannot be right.
 */
export async function gcsObjectStore(options: GcsObjectStoreOptions): Promise<ObjectStore> {
  const { bucket } = options;
  if (!/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket)) {
    throw new EngineError("invalidConfig", { detail: `${JSON.stringify(bucket)} is no name of a bucket` });
  }
  const prefix = keyPrefix(options.prefix ?? "");
  const requests = new ObjectRequests({
    location: `gs://${bucket}/${prefix}`,
    explain: (error) => explainGcsError(error, bucket),
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  const client = options.storage ?? (await makeGcsClient(options));
  return new KeyedObjectStore(new GcsDialect(client, bucket, requests.location), requests, prefix);
}

class GcsDialect implements KeyDialect {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly maxKeys: number = MAX_PAGE;
  readonly #client: GcsClientLike;
  readonly #bucket: string;
  readonly #location: string;

  constructor(client: GcsClientLike, bucket: string, location: string) {
    this.#client = client;
    this.#bucket = bucket;
    this.#location = location;
  }

  async get(key: string, signal: AbortSignal): Promise<StoredObject | null> {
    const path = `/download/storage/v1${this.#object(key)}?alt=media`;
    const { headers, body } = await gcsFetch(this.#client, { method: "GET", path }, signal);
    const version = headers.get("x-goog-generation");
    const length = headers.get("content-length");
    if (version === null) throw new Error("a reply without a generation");
    const bytes = await readBody(
      body ?? emptyBody(),
      length === null ? null : Number(length),
      MAX_OBJECT_BYTES,
    );
    const md5 = /(?:^|,\s*)md5=([A-Za-z0-9+/]+=*)/.exec(headers.get("x-goog-hash") ?? "")?.[1];
    if (md5 !== undefined && md5 !== md5Of(bytes)) throw new Error("a reply that was damaged on its way");
    return { body: bytes, version };
  }

  async put(
    key: string,
    body: Uint8Array,
    version: ObjectVersion | null,
    signal: AbortSignal,
  ): Promise<ObjectVersion | null> {
    if (version !== null && !/^[1-9][0-9]{0,18}$/.test(version)) {
      throw new EngineError("invalidArgument", { detail: `${JSON.stringify(version)} is no generation` });
    }
    const query = new URLSearchParams({
      uploadType: "multipart",
      ifGenerationMatch: version ?? NO_GENERATION,
      fields: "generation",
    });
    const path = `/upload/storage/v1/b/${encodeURIComponent(this.#bucket)}/o?${query.toString()}`;
    const request = { method: "POST", path, ...multipart(key, body) } as const;
    const response = await gcsFetch(this.#client, request, signal).catch((error: unknown) => {
      // An object that is not there fails the condition.
      throw this.#withoutBucket(error);
    });
    const reply: unknown = await response.json();
    const written = (reply as { readonly generation?: unknown } | null)?.generation;
    return typeof written === "string" && written !== "" ? written : null;
  }

  async list({ prefix, startAfter, limit, token }: KeyPage, signal: AbortSignal): Promise<StorePage> {
    const query = new URLSearchParams({
      prefix,
      // A listing begins with the offset itself, which is left out below.
      maxResults: String(startAfter === undefined ? limit : Math.min(limit + 1, MAX_PAGE)),
      fields: "items(name,size),nextPageToken",
    });
    if (startAfter !== undefined) query.set("startOffset", startAfter);
    if (token !== null) query.set("pageToken", token);
    const path = `/storage/v1/b/${encodeURIComponent(this.#bucket)}/o?${query.toString()}`;
    const response = await gcsFetch(this.#client, { method: "GET", path }, signal).catch((error: unknown) => {
      throw this.#withoutBucket(error);
    });
    const { objects, next } = pageOf(await response.json());
    return { objects: objects.filter(({ name }) => name !== startAfter), next };
  }

  async delete(keys: readonly string[], signal: AbortSignal): Promise<boolean> {
    const [key] = keys;
    if (keys.length !== 1 || key === undefined) return false;
    const path = `/storage/v1${this.#object(key)}`;
    const response = await gcsFetch(this.#client, { method: "DELETE", path }, signal);
    await response.arrayBuffer();
    return true;
  }

  close(): void {
    // The SDK's client has nothing to let go of.
  }

  #object(key: string): string {
    return `/b/${encodeURIComponent(this.#bucket)}/o/${encodeURIComponent(key)}`;
  }

  /** Where the object's absence would be told otherwise, a 404 says that there is no bucket. */
  #withoutBucket(error: unknown): unknown {
    if (!(error instanceof GcsError && error.status === 404)) return error;
    return new EngineError("storageFailed", { detail: `${this.#location}: ${noBucket(this.#bucket)}` });
  }
}

/** What Cloud Storage takes in one request: the object's metadata, by which it checks what arrives, and its content. */
function multipart(
  key: string,
  body: Uint8Array,
): { readonly contentType: string; readonly body: Uint8Array<ArrayBuffer> } {
  const contentType = "application/octet-stream";
  // Without `no-store` an object that is public would be served from caches.
  const metadata = { name: key, contentType, md5Hash: md5Of(body), cacheControl: "no-store" };
  const boundary = randomUUID();
  const encoder = new TextEncoder();
  const head = encoder.encode(
    `--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(metadata)}\r\n` +
      `--${boundary}\r\nContent-Type: ${contentType}\r\n\r\n`,
  );
  const tail = encoder.encode(`\r\n--${boundary}--\r\n`);
  const whole = new Uint8Array(head.length + body.length + tail.length);
  whole.set(head);
  whole.set(body, head.length);
  whole.set(tail, head.length + body.length);
  return { contentType: `multipart/related; boundary=${boundary}`, body: whole };
}

function md5Of(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {
  // A reply without a body.
}

function pageOf(reply: unknown): StorePage {
  const { items, nextPageToken } = reply as {
    readonly items?: readonly { readonly name?: unknown; readonly size?: unknown }[];
    readonly nextPageToken?: unknown;
  };
  const objects = (items ?? []).map(({ name, size }) => {
    if (typeof name !== "string") throw new Error("a listing of something else than objects");
    return { name, size: Number(size) };
  });
  return { objects, next: typeof nextPageToken === "string" && nextPageToken !== "" ? nextPageToken : null };
}
