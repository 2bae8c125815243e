/** What is used of the Workers binding `R2Bucket`, said so that no global of Workers is needed to check types. */
export interface R2BucketLike {
  get(key: string): Promise<R2BodyLike | null>;
  /** Null when the condition did not hold. */
  put(key: string, value: Uint8Array, options: R2PutConditionLike): Promise<R2ObjectLike | null>;
  list(options: { prefix: string; limit: number; startAfter?: string; cursor?: string }): Promise<{
    readonly objects: readonly R2ObjectLike[];
    readonly truncated: boolean;
    readonly cursor?: string;
  }>;
  delete(keys: string[]): Promise<void>;
}

/** What is used of `R2Object`. */
export interface R2ObjectLike {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
}

/** What is used of `R2ObjectBody`. */
export interface R2BodyLike extends R2ObjectLike {
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** What is used of `R2PutOptions`. */
export interface R2PutConditionLike {
  onlyIf: Headers | { etagMatches: string };
  httpMetadata: { contentType: string };
}

/** Which bucket, and which part of it. */
export interface R2ObjectStoreOptions {
  /** The binding: `env.BUCKET`. */
  readonly bucket: R2BucketLike;
  /** For messages: the bucket's name, which the binding does not tell. Default: `binding`. */
  readonly name?: string;
  /** What all keys begin with, such as `prod/node-1`. Default: none. */
  readonly prefix?: string;
  /** How long one request may take, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number;
}
