/*
 * What the segment log asks of a store of named objects: S3, GCS, R2 and DynamoDB differ in dialect, not in this.
 * All of it is strongly consistent: what one call wrote, the next call of anybody sees.
 *
 * What fails is an EngineError:
 *
 * - `storageThrottled`: the store asks for fewer requests, and went on asking. A put was certainly not done.
 * - `storageUnavailable`: a read or a deletion got no answer, however often it was repeated.
 * - `storageFailed`: refused for good (no such bucket or table, no permission, a wrong clock); the message names the
 *   fix, and nothing was written.
 * - `canceled`: a read or a deletion was given up by its signal.
 */

/** Names one version of an object's content (an ETag, a generation, a nonce). Opaque; compared by the store. */
export type ObjectVersion = string;

/** An object as it was read. */
export interface StoredObject {
  readonly body: Uint8Array;
  readonly version: ObjectVersion;
}

/** One line of a listing. */
export interface ObjectListing {
  readonly name: string;
  readonly size: number;
  /** As of some moment during the call; see {@link ListOptions.contents}. */
  readonly stored?: StoredObject;
}

/** Which part of a listing is wanted. */
export interface ListOptions extends ObjectCallOptions {
  readonly startAfter?: string;
  readonly limit?: number;
  /** All that is listed will be read: a store for which that costs nothing more (DynamoDB) gives it along. */
  readonly contents?: boolean;
}

/** A part of a listing. */
export interface ListingPage {
  /** In order of the names. */
  readonly objects: readonly ObjectListing[];
  /** Something may follow the last of them; an empty page is the last one. */
  readonly more: boolean;
}

/**
 * How a conditional write ended.
 *
 * - `written`: it is durable, and this is its version.
 * - `refused`: the condition did not hold, and nothing was written by this call. An attempt whose reply was lost and
 *   which the store repeated on its own may end so too: the caller compares what is there with what it wrote.
 * - `unknown`: the reply was lost or made no sense; it may have been written, or may yet be. The caller reads back.
 */
export type PutOutcome =
  | { readonly type: "written"; readonly version: ObjectVersion }
  | { readonly type: "refused" }
  | { readonly type: "unknown"; readonly cause: unknown };

/** What others may do in a node's store. */
export interface ObjectReader {
  /** For messages, and to tell others: `s3://bucket/prefix/` and the like; no credentials. */
  readonly location: string;
  /** The content and its version; `null` when there is none. */
  get(name: string, options?: ObjectCallOptions): Promise<StoredObject | null>;
}

/** Names are relative to a prefix that the store was opened with: `[a-z0-9/._-]`, at most 200 characters. */
export interface ObjectStore extends ObjectReader {
  /** The most bytes that one object may have (DynamoDB: under 400 KB). */
  readonly maxObjectBytes: number;

  /**
   * The objects of a neighbour: of a store in the same bucket or table whose prefix differs from this one's in its last
   * part alone, as those of the nodes of one group do. Null for every other location, whatever it says. Whether the
   * credentials reach so far shows when something is read. Absent: it has no neighbours.
   */
  beside?(location: string): ObjectReader | null;
  /** Creates the object, or is refused because one of this name exists. Never repeated blindly. */
  putIfAbsent(name: string, body: Uint8Array, options?: ObjectCallOptions): Promise<PutOutcome>;
  /** Replaces the object if it still has this version. Stores allow about one such write a second to a name. */
  putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options?: ObjectCallOptions,
  ): Promise<PutOutcome>;
  /** Names that begin with `prefix`, after `startAfter`, in order of their bytes; one page. */
  list(prefix: string, options?: ListOptions): Promise<ListingPage>;
  /** Deletes; names that are not there are no error. */
  delete(names: readonly string[], options?: ObjectCallOptions): Promise<void>;
  /** Lets go of connections. */
  close(): Promise<void>;
}

/** What any call to a store may be given. */
export interface ObjectCallOptions {
  /** Gives up; a put then ends as `unknown`. */
  readonly signal?: AbortSignal;
}
