/** A `Storage` of `@google-cloud/storage`, said so that nobody needs that package to check types. */
export interface GcsClientLike {
  /** Such as `https://storage.googleapis.com`. */
  readonly apiEndpoint: string;
  readonly customEndpoint?: boolean;
  readonly useAuthWithCustomEndpoint?: boolean;
  readonly authClient: {
    getRequestHeaders(url?: string): Promise<Headers | Readonly<Record<string, string>>>;
  };
}

/** Which bucket, and which part of it. */
export interface GcsObjectStoreOptions {
  readonly bucket: string;
  /** What all names begin with, such as `prod/node-1`. Default: none. */
  readonly prefix?: string;
  /** URL of another server, which is asked without credentials: an emulator. */
  readonly endpoint?: string;
  /** Whose credentials and endpoint to use, instead of the default ones. */
  readonly storage?: GcsClientLike;
  /** How long one request may take, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number;
}
