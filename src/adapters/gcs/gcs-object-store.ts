import { createHash, randomUUID } from "node:crypto";
import { EngineError } from "../../core/errors/index.ts";
import {
  checkBody,
  firstPage,
  inParallel,
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
  return new GcsObjectStore(options.storage ?? (await makeGcsClient(options)), requests, bucket, prefix);
}

class GcsObjectStore implements ObjectStore {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly location: string;
  readonly #client: GcsClientLike;
  readonly #requests: ObjectRequests;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(client: GcsClientLike, requests: ObjectRequests, bucket: string, prefix: string) {
    this.#client = client;
    this.#requests = requests;
    this.#bucket = bucket;
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

  async #get(key: string, options: ObjectCallOptions = {}): Promise<StoredObject | null> {
    const path = `/download/storage/v1${this.#object(key)}?alt=media`;
    return await this.#requests.read(async (signal) => {
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
    }, options.signal);
  }

  putIfAbsent(name: string, body: Uint8Array, options: ObjectCallOptions = {}): Promise<PutOutcome> {
    return this.#put(name, body, NO_GENERATION, options);
  }

  async putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options: ObjectCallOptions = {},
  ): Promise<PutOutcome> {
    if (!/^[1-9][0-9]{0,18}$/.test(version)) {
      throw new EngineError("invalidArgument", { detail: `${JSON.stringify(version)} is no generation` });
    }
    return await this.#put(name, body, version, options);
  }

  async list(
    prefix: string,
    options: ObjectCallOptions & { readonly startAfter?: string; readonly limit?: number } = {},
  ): Promise<ListingPage> {
    const { startAfter, limit = MAX_PAGE } = options;
    const query = new URLSearchParams({
      prefix: this.#prefix + prefix,
      // A listing begins with the offset itself, which is left out below.
      maxResults: String(Math.max(1, Math.min(startAfter === undefined ? limit : limit + 1, MAX_PAGE))),
      fields: "items(name,size),nextPageToken",
    });
    if (startAfter !== undefined) query.set("startOffset", this.#prefix + startAfter);
    return await firstPage(this.location, async (token) => {
      if (token !== null) query.set("pageToken", token);
      const path = `/storage/v1/b/${encodeURIComponent(this.#bucket)}/o?${query.toString()}`;
      const page = await this.#requests.read(async (signal) => {
        const response = await gcsFetch(this.#client, { method: "GET", path }, signal);
        return pageOf(await response.json());
      }, options.signal);
      if (page === null) throw this.#noBucket();
      const listed = page.objects.map(({ name, size }) => ({ name: name.slice(this.#prefix.length), size }));
      return { objects: listed.filter(({ name }) => name !== startAfter), next: page.next };
    });
  }

  async delete(names: readonly string[], options: ObjectCallOptions = {}): Promise<void> {
    const paths = names.map((name) => `/storage/v1${this.#object(keyOf(this.#prefix, name))}`);
    await inParallel(paths, async (path) => {
      await this.#requests.read(async (signal) => {
        const response = await gcsFetch(this.#client, { method: "DELETE", path }, signal);
        await response.arrayBuffer();
      }, options.signal);
    });
  }

  async close(): Promise<void> {
    this.#requests.close();
  }

  async #put(
    name: string,
    body: Uint8Array,
    generation: string,
    options: ObjectCallOptions,
  ): Promise<PutOutcome> {
    const key = keyOf(this.#prefix, name);
    checkBody(body, MAX_OBJECT_BYTES);
    const query = new URLSearchParams({
      uploadType: "multipart",
      ifGenerationMatch: generation,
      fields: "generation",
    });
    const path = `/upload/storage/v1/b/${encodeURIComponent(this.#bucket)}/o?${query.toString()}`;
    const upload = multipart(key, body);
    return await this.#requests.put(async (signal) => {
      const request = { method: "POST", path, ...upload } as const;
      const response = await gcsFetch(this.#client, request, signal).catch((error: unknown) => {
        // An object that is not there fails the condition.
        throw error instanceof GcsError && error.status === 404 ? this.#noBucket() : error;
      });
      const reply: unknown = await response.json();
      const written = (reply as { readonly generation?: unknown } | null)?.generation;
      return typeof written === "string" && written !== "" ? written : null;
    }, options.signal);
  }

  #object(key: string): string {
    return `/b/${encodeURIComponent(this.#bucket)}/o/${encodeURIComponent(key)}`;
  }

  #noBucket(): EngineError {
    return new EngineError("storageFailed", { detail: `${this.location}: ${noBucket(this.#bucket)}` });
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
