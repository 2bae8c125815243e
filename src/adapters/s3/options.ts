/** An `S3Client` of `@aws-sdk/client-s3`, said so that nobody needs that package to check types. */
export interface S3ClientLike {
  readonly send: (command: never, options?: never) => unknown;
  destroy(): void;
}

/** Which bucket, and which part of it. */
export interface S3ObjectStoreOptions {
  readonly bucket: string;
  /** What all keys begin with, such as `prod/node-1`. Default: none. */
  readonly prefix?: string;
  /** Default: what the SDK finds (`AWS_REGION`, the profile). */
  readonly region?: string;
  /**
   * URL of a server other than AWS: R2, MinIO, Ceph and so on. The bucket then goes into the path, and checksums in
   * headers, which some of them refuse, are left out. It must have conditional writes, which is tried out first.
   */
  readonly endpoint?: string;
  /**
   * Used instead of a client made here; it is not closed with the store. Its server must have conditional writes too,
   * which is not tried out: one that ignores the headers cannot keep two owners apart.
   */
  readonly client?: S3ClientLike;
  /** How long one request may take, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number;
}
