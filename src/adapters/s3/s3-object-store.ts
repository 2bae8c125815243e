import type { S3Client } from "@aws-sdk/client-s3";
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
} from "../object-store/index.ts";
import { demandConditions } from "./demand-conditions.ts";
import type { S3ObjectStoreOptions } from "./options.ts";
import { loadS3Sdk, makeS3Client, type S3Sdk, sendOnce } from "./s3-client.ts";
import { explainS3Error } from "./s3-errors.ts";

/** S3 takes 5 GB in one PUT; this bounds what one request holds in memory. */
const MAX_OBJECT_BYTES = 64 << 20;
/** Of one DeleteObjects request, and of one page of a listing. */
const MAX_KEYS = 1000;
/**
 * How servers other than AWS refuse a DeleteObjects without Content-MD5, which the SDK no longer sends, or without
 * knowing it at all.
 */
const NO_BULK_DELETE: ReadonlySet<string> = new Set(["MissingContentMD5", "InvalidDigest", "NotImplemented"]);
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Objects in a bucket of S3, or of a server that speaks its protocol and has conditional writes (`If-None-Match: *`
 * and `If-Match` on PUT). Makes no request yet. The SDK, `@aws-sdk/client-s3`, is loaded here and must be installed.
 *
 * Rejects with `invalidConfig` for options that cannot be right.
 */
export async function s3ObjectStore(options: S3ObjectStoreOptions): Promise<ObjectStore> {
  const { bucket, client } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) {
    throw new EngineError("invalidConfig", { detail: `${JSON.stringify(bucket)} is no name of a bucket` });
  }
  if (bucket.endsWith("--x-s3")) {
    throw new EngineError("invalidConfig", {
      detail: `${bucket} is a directory bucket (S3 Express), which does not list names in order: use a general purpose bucket`,
    });
  }
  const prefix = keyPrefix(options.prefix ?? "");
  const sdk = await loadS3Sdk();
  const requests = new ObjectRequests({
    location: `s3://${bucket}/${prefix}`,
    explain: (error) => explainS3Error(error, bucket, prefix),
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  const given = client as unknown as S3Client | undefined;
  const sdkClient = given ?? makeS3Client(sdk, options);
  const store = new S3ObjectStore(sdk, sdkClient, given === undefined, requests, bucket, prefix);
  return given === undefined && options.endpoint !== undefined ? demandConditions(store) : store;
}

class S3ObjectStore implements ObjectStore {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly location: string;
  readonly #sdk: S3Sdk;
  readonly #client: S3Client;
  readonly #ownsClient: boolean;
  readonly #requests: ObjectRequests;
  readonly #bucket: string;
  readonly #prefix: string;
  /** Until the server turns out to want another checksum with it than the SDK sends. */
  #deletesMany = true;

  constructor(
    sdk: S3Sdk,
    client: S3Client,
    ownsClient: boolean,
    requests: ObjectRequests,
    bucket: string,
    prefix: string,
  ) {
    this.#sdk = sdk;
    this.#client = client;
    this.#ownsClient = ownsClient;
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
    return await this.#requests.read(async (abortSignal) => {
      const command = new this.#sdk.GetObjectCommand({ Bucket: this.#bucket, Key: key });
      const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
      if (reply.Body === undefined || reply.ETag === undefined)
        throw new Error("a reply without body or ETag");
      const chunks = reply.Body as AsyncIterable<Uint8Array>;
      const body = await readBody(chunks, reply.ContentLength ?? null, MAX_OBJECT_BYTES);
      return { body, version: reply.ETag };
    }, options.signal);
  }

  putIfAbsent(name: string, body: Uint8Array, options: ObjectCallOptions = {}): Promise<PutOutcome> {
    return this.#put(name, body, { IfNoneMatch: "*" }, options);
  }

  putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options: ObjectCallOptions = {},
  ): Promise<PutOutcome> {
    return this.#put(name, body, { IfMatch: version }, options);
  }

  async list(
    prefix: string,
    options: ObjectCallOptions & { readonly startAfter?: string; readonly limit?: number } = {},
  ): Promise<ListingPage> {
    const { startAfter, limit = MAX_KEYS } = options;
    return await firstPage(this.location, async (token) => {
      const page = await this.#requests.read(async (abortSignal) => {
        const command = new this.#sdk.ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          MaxKeys: Math.max(1, Math.min(limit, MAX_KEYS)),
          ...(startAfter === undefined ? {} : { StartAfter: this.#prefix + startAfter }),
          ...(token === null ? {} : { ContinuationToken: token }),
        });
        return await sendOnce(command, () => this.#client.send(command, { abortSignal }));
      }, options.signal);
      if (page === null)
        throw new EngineError("storageFailed", { detail: `${this.location}: nothing to list` });
      const objects = (page.Contents ?? []).map(({ Key = "", Size = 0 }) => ({
        name: Key.slice(this.#prefix.length),
        size: Size,
      }));
      return { objects, next: page.IsTruncated === true ? (page.NextContinuationToken ?? "") : null };
    });
  }

  async delete(names: readonly string[], options: ObjectCallOptions = {}): Promise<void> {
    const keys = names.map((name) => keyOf(this.#prefix, name));
    for (let at = 0; at < keys.length; at += MAX_KEYS) {
      const batch = keys.slice(at, at + MAX_KEYS);
      if (this.#deletesMany) await this.#deleteMany(batch, options.signal);
      if (!this.#deletesMany) await this.#deleteEach(batch, options.signal);
    }
  }

  async close(): Promise<void> {
    this.#requests.close();
    if (this.#ownsClient) this.#client.destroy();
  }

  async #put(
    name: string,
    body: Uint8Array,
    condition: { readonly IfNoneMatch: "*" } | { readonly IfMatch: string },
    { signal }: ObjectCallOptions,
  ): Promise<PutOutcome> {
    const key = keyOf(this.#prefix, name);
    checkBody(body, MAX_OBJECT_BYTES);
    return await this.#requests.put(async (abortSignal) => {
      const command = new this.#sdk.PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: body,
        ContentType: "application/octet-stream",
        ...condition,
      });
      const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
      return reply.ETag ?? null;
    }, signal);
  }

  async #deleteMany(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    await this.#requests.read(async (abortSignal) => {
      const command = new this.#sdk.DeleteObjectsCommand({
        Bucket: this.#bucket,
        Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
      });
      try {
        const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
        const failed = reply.Errors?.find(({ Code }) => Code !== "NoSuchKey");
        if (failed !== undefined) throw new PartialFailure(failed.Code ?? "", failed.Message ?? "");
      } catch (error) {
        if (!NO_BULK_DELETE.has((error as Error).name)) throw error;
        this.#deletesMany = false;
      }
    }, signal);
  }

  async #deleteEach(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    await inParallel(keys, async (Key) => {
      await this.#requests.read(async (abortSignal) => {
        const command = new this.#sdk.DeleteObjectCommand({ Bucket: this.#bucket, Key });
        await sendOnce(command, () => this.#client.send(command, { abortSignal }));
      }, signal);
    });
  }
}

/** What S3 says of one key among many, in the form of the SDK's errors. */
class PartialFailure extends Error {
  override readonly name: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = code;
  }
}
