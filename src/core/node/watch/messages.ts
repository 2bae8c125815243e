import type { Caller, Revision, WatchEvent } from "../../kv/index.ts";
import type { CallOptions, WithHeader } from "../engine.ts";

/** Changes that a watch does not want to hear of. */
export type WatchFilter = "noPut" | "noDelete";

/** etcd's WatchCreateRequest. An absent field means etcd's zero value. */
export interface WatchCreateRequest {
  /** Empty: the key that is a single zero byte. */
  readonly key: Uint8Array;
  /** As in a range request. */
  readonly rangeEnd?: Uint8Array;
  /** First revision whose changes are wanted, past or future. 0: from now on. */
  readonly startRevision?: Revision;
  /** Say from time to time how far this watch has got, when there is nothing else to say. */
  readonly progressNotify?: boolean;
  readonly filters?: readonly WatchFilter[];
  readonly prevKv?: boolean;
  /** Unique in its stream. 0n: the stream chooses. */
  readonly watchId?: bigint;
  /** Large responses may be split, even within a revision. */
  readonly fragment?: boolean;
  /**
   * Ours: begin with the present state of the range, and go on with the changes after it, without a gap. Excludes
   * `startRevision`. The state comes as puts in responses marked `initial`, all but the last marked `fragment`.
   */
  readonly initialState?: boolean;
}

/** etcd's WatchResponse. The revision in the header says how far its watch has been told everything. */
export interface WatchResponse extends WithHeader {
  /** -1n in a refusal to create a watch, and in the answer to a progress request. */
  readonly watchId: bigint;
  /** The answer to a request to create a watch. Before any event of that watch. */
  readonly created: boolean;
  /** The watch has ended, or was refused. */
  readonly canceled: boolean;
  /** When it has ended because what it wants was compacted away: the oldest revision that can be had; else 0. */
  readonly compactRevision: Revision;
  readonly cancelReason: string;
  /** The rest of this response follows in another one. */
  readonly fragment: boolean;
  /** Ours: these are no changes but the state that the watch begins with. */
  readonly initial: boolean;
  readonly events: readonly WatchEvent[];
}

/** What a stream of watches may be given. `caller`: on whose behalf all of them look. */
export interface WatchStreamOptions extends Pick<CallOptions, "caller"> {
  /** Ends the stream. */
  readonly signal?: AbortSignal;
  /** Fail with `noLeader` when there is no leader, and later when there has been none for a while. */
  readonly requireLeader?: boolean;
}

/**
 * Several watches on one stream of responses, as on etcd's bidirectional Watch call. Responses are made when they are
 * asked for: a reader that is slow, or has gone away for a while, costs no memory, and is brought up to date from
 * history, or told that it was compacted.
 */
export interface WatchStream extends AsyncIterable<WatchResponse> {
  /**
   * Begins a watch. Whether it worked is said by a response: `created`, and with it `canceled` if not.
   *
   * @throws EngineError `stopped`, or `tooManyRequests` when too many answers wait to be read: see `room`.
   */
  create(request: WatchCreateRequest): void;
  /** Ends a watch; answered by a response. An unknown id is ignored. @throws as `create`. */
  cancel(watchId: bigint): void;
  /** Answered once with id -1, when all watches have been told everything up to now. */
  requestProgress(): void;
  /** Resolves when few enough answers wait to be read to ask for more. */
  room(): Promise<void>;
  /**
   * The next response; null when the stream was closed. One call at a time.
   *
   * @throws EngineError `stopped`, `noLeader`, `canceled`, when the stream has failed.
   */
  next(): Promise<WatchResponse | null>;
  /** Lets go of everything. Leaving a `for await` over the stream does the same. */
  close(): void;
}

/** Where a watch stands. */
export interface SavedWatch {
  readonly watchId: bigint;
  /** As it was asked for, but for where it begins. */
  readonly request: WatchCreateRequest;
  /** The first revision that it has not been told of; null while it is told the state that it begins with. */
  readonly nextRevision: Revision | null;
}

/** A stream as it stands after the last response that it has given: what outlasts the memory of its node. */
export interface SavedWatches {
  readonly requireLeader: boolean;
  /** Whose it is. Absent: nobody's. */
  readonly caller?: Caller;
  /** Progress was asked for, and that is not answered yet. */
  readonly progressAsked: boolean;
  /** The id that the stream chooses next, if it is free. */
  readonly nextId: bigint;
  readonly watches: readonly SavedWatch[];
}

/** A stream that can be gone on with, see `KvEngine.resumeWatch`. */
export interface ResumableWatchStream extends WatchStream {
  /**
   * Where everything stands, but for answers to `create` and `cancel` that have not been read. Not while a revision has
   * been told in part: after a response that is marked `fragment` and not `initial`.
   */
  save(): SavedWatches;
}

/** How many there are, for whoever looks after the node. */
export interface WatchStats {
  readonly streams: number;
  readonly watches: number;
  /** Watches that are not up to date with what has been applied. */
  readonly slowWatches: number;
}
