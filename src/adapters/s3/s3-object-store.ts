import type { S3Client } from "@aws-sdk/client-s3";
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
  const dialect = new S3Dialect(sdk, sdkClient, given === undefined, bucket);
  const store = new KeyedObjectStore(dialect, requests, prefix);
  return given === undefined && options.endpoint !== undefined ? demandConditions(store) : store;
}

class S3Dialect implements KeyDialect {
  readonly maxObjectBytes: number = MAX_OBJECT_BYTES;
  readonly maxKeys: number = MAX_KEYS;
  readonly #sdk: S3Sdk;
  readonly #client: S3Client;
  readonly #ownsClient: boolean;
  readonly #bucket: string;
  /** Until the server turns out to want another checksum with it than the SDK sends. */
  #deletesMany = true;

  constructor(sdk: S3Sdk, client: S3Client, ownsClient: boolean, bucket: string) {
    this.#sdk = sdk;
    this.#client = client;
    this.#ownsClient = ownsClient;
    this.#bucket = bucket;
  }

  async get(key: string, abortSignal: AbortSignal): Promise<StoredObject | null> {
    const command = new this.#sdk.GetObjectCommand({ Bucket: this.#bucket, Key: key });
    const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
    if (reply.Body === undefined || reply.ETag === undefined) throw new Error("a reply without body or ETag");
    const chunks = reply.Body as AsyncIterable<Uint8Array>;
    const body = await readBody(chunks, reply.ContentLength ?? null, MAX_OBJECT_BYTES);
    return { body, version: reply.ETag };
  }

  async put(
    key: string,
    body: Uint8Array,
    version: ObjectVersion | null,
    abortSignal: AbortSignal,
  ): Promise<ObjectVersion | null> {
    const command = new this.#sdk.PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: body,
      ContentType: "application/octet-stream",
      ...(version === null ? { IfNoneMatch: "*" } : { IfMatch: version }),
    });
    const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
    return reply.ETag ?? null;
  }

  async list({ prefix, startAfter, limit, token }: KeyPage, abortSignal: AbortSignal): Promise<StorePage> {
    const command = new this.#sdk.ListObjectsV2Command({
      Bucket: this.#bucket,
      Prefix: prefix,
      MaxKeys: limit,
      ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
      ...(token === null ? {} : { ContinuationToken: token }),
    });
    const page = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
    const objects = (page.Contents ?? []).map(({ Key = "", Size = 0 }) => ({ name: Key, size: Size }));
    return { objects, next: page.IsTruncated === true ? (page.NextContinuationToken ?? "") : null };
  }

  async delete(keys: readonly string[], abortSignal: AbortSignal): Promise<boolean> {
    if (this.#deletesMany) this.#deletesMany = await this.#deleteMany(keys, abortSignal);
    if (this.#deletesMany) return true;
    const [Key] = keys;
    if (keys.length > 1) return false;
    const command = new this.#sdk.DeleteObjectCommand({ Bucket: this.#bucket, Key });
    await sendOnce(command, () => this.#client.send(command, { abortSignal }));
    return true;
  }

  close(): void {
    if (this.#ownsClient) this.#client.destroy();
  }

  async #deleteMany(keys: readonly string[], abortSignal: AbortSignal): Promise<boolean> {
    const command = new this.#sdk.DeleteObjectsCommand({
      Bucket: this.#bucket,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    });
    try {
      const reply = await sendOnce(command, () => this.#client.send(command, { abortSignal }));
      const failed = reply.Errors?.find(({ Code }) => Code !== "NoSuchKey");
      if (failed !== undefined) throw new PartialFailure(failed.Code ?? "", failed.Message ?? "");
      return true;
    } catch (error) {
      if (!NO_BULK_DELETE.has((error as Error).name)) throw error;
      return false;
    }
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
