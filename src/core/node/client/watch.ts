import { EngineError } from "../../errors/index.ts";
import type { KeyValue, Revision, WatchEvent } from "../../kv/index.ts";
import { toText } from "./bytes.ts";
import type { QueueEngine } from "../coordination/queue.ts";
import type { WatchCreateRequest, WatchFilter, WatchResponse } from "../watch/messages.ts";

type ResponseStream = ReturnType<QueueEngine["watch"]>;

/** What a watch may be given. Ends with `compacted` when what it is to tell next is gone. */
export interface WatchOptions {
  /** First revision whose changes are wanted, past or future. Default: from now on. */
  readonly startRevision?: Revision;
  /** Begin with the present state, as puts marked `initial`; the changes after it follow without a gap. */
  readonly initialState?: boolean;
  /** Give each change what was before it. */
  readonly prevKv?: boolean;
  /** Changes that are not wanted. */
  readonly filters?: readonly WatchFilter[];
  /** Fail with `noLeader` when there has been no leader for a while. */
  readonly requireLeader?: boolean;
  /** Ends the watch with the error `canceled`. */
  readonly signal?: AbortSignal;
}

/** One change of one key. */
export class Change {
  readonly type: "put" | "delete";
  /** After the change; of a deleted key only `key` and `modRevision`. */
  readonly kv: KeyValue;
  /** Before it, if that was asked for and can be had. */
  readonly prevKv: KeyValue | null;
  /** Not a change: the state that the watch began with. */
  readonly initial: boolean;

  constructor({ type, kv, prevKv }: WatchEvent, initial: boolean) {
    this.type = type;
    this.kv = copyOf(kv);
    this.prevKv = prevKv === null ? null : copyOf(prevKv);
    this.initial = initial;
  }

  /** The key as text. @throws TypeError when it is not UTF-8. */
  get key(): string {
    return toText(this.kv.key);
  }

  /** The value as text; "" for a deleted key. @throws TypeError when it is not UTF-8. */
  get value(): string {
    return toText(this.kv.value);
  }

  /** All changes of one revision were made at once. */
  get revision(): Revision {
    return this.kv.modRevision;
  }
}

/**
 * The changes of one key or of a range, in order, none missing and none twice, however often the connection is lost
 * and found again, at another member too. It begins when it is made, not when it is first read; from afar that takes a
 * moment, and `ready` tells when. Leaving the loop over it closes it.
 *
 * Iterating throws an EngineError: `compacted` when its reader was so slow, or away for so long, or asked for changes
 * so old, that they are no longer there; `stopped`, `noLeader` and `canceled` as they are named.
 */
export class Watch implements AsyncIterable<Change> {
  readonly #stream: ResponseStream;
  readonly #request: WatchCreateRequest;
  readonly #closed: () => void;
  #toldRevision: Revision;
  #begun: Promise<WatchResponse | null> | null = null;

  /** @param closed called once, when nothing more will be read. */
  constructor(
    stream: ResponseStream,
    request: WatchCreateRequest,
    now: Revision,
    closed: () => void = () => undefined,
  ) {
    this.#stream = stream;
    this.#request = request;
    this.#closed = closed;
    this.#toldRevision = (request.startRevision ?? 0) === 0 ? now : request.startRevision! - 1;
    stream.create(request);
  }

  /** Every change up to here has been given out: another watch may go on after it. */
  get toldRevision(): Revision {
    return this.#toldRevision;
  }

  /** Resolves when the watch has begun: every change that is made from now on will be told. @throws as iterating. */
  async ready(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#stream.close();
    this.#closed();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Change, void, undefined> {
    try {
      if ((await this.#begin()) === null) return;
      for (let response = await this.#stream.next(); response !== null;) {
        if (response.canceled) throw endOf(response);
        for (const event of response.events) yield new Change(event, response.initial);
        if (!response.created && !response.fragment) this.#toldRevision = response.header.revision;
        response = await this.#stream.next();
      }
    } finally {
      this.close();
    }
  }

  async #begin(): Promise<WatchResponse | null> {
    this.#begun ??= this.#stream.next();
    const response = await this.#begun;
    if (response?.canceled === true) throw endOf(response);
    const { startRevision = 0, initialState = false } = this.#request;
    if (response !== null && startRevision === 0 && !initialState) {
      this.#toldRevision = Math.max(this.#toldRevision, response.header.revision);
    }
    return response;
  }
}

function endOf({ compactRevision, cancelReason }: WatchResponse): EngineError {
  if (compactRevision === 0) return new EngineError("invalidArgument", { detail: cancelReason });
  return new EngineError("compacted", {
    detail: `history begins at revision ${compactRevision}`,
    compactRevision,
  });
}

/** The engine shares its own among all watches. */
function copyOf(kv: KeyValue): KeyValue {
  return { ...kv, key: kv.key.slice(), value: kv.value.slice() };
}
