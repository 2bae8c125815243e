import { assert, EngineError } from "../../core/errors/index.ts";
import type { RangeRequest, RangeResponse, Revision, WatchEvent } from "../../core/kv/index.ts";
import { Patience, reasonOf, sleep } from "../../core/node/client/index.ts";
import type {
  Clock,
  ReadOptions,
  ResponseHeader,
  WatchCreateRequest,
  WatchResponse,
  WatchStreamOptions,
  WithHeader,
} from "../../core/node/index.ts";
import type { WatchReply } from "../http/etcd/watch-messages.ts";
import type { Endpoints } from "./endpoints.ts";
import { wholeHeader } from "./whole-header.ts";

/** Where watches are had from. */
export interface WatchSource {
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  /** Replies to these requests, from one endpoint, until it fails or goes away. */
  readonly open: (
    url: string,
    requests: readonly WatchCreateRequest[],
    signal: AbortSignal,
  ) => AsyncGenerator<WatchReply, void, undefined>;
  readonly range: (request: RangeRequest, options: ReadOptions) => Promise<RangeResponse & WithHeader>;
}

/** One watch, and how far it has been told. */
interface Progress {
  readonly request: WatchCreateRequest;
  readonly id: bigint;
  /** The first revision that it has not been told of; 0: it has not begun. */
  nextRevision: Revision;
  toldCreated: boolean;
  /** Of the state that it begins with, what comes next; null: it has all, or wanted none. */
  listing: { key: Uint8Array; revision: Revision } | null;
}

/** Keys of the state that a watch begins with, fetched at a time. */
const PAGE_SIZE = 500;
/** How often each endpoint may talk nonsense, in turn, before it is no use to go on. */
const MAX_NONSENSE = 3;
/** A stream that was quiet for so long was all right before it ended. */
const GOOD_LIFE_MS = 10_000;

/**
 * Watches on a stream that is had from one server after the other: whatever happens to one, the next is asked to go on
 * at the first revision that was not told, and what it repeats is left out. They are created before the first response
 * is asked for; the connection is begun at once.
 */
export class RemoteWatches implements AsyncIterable<WatchResponse> {
  readonly #source: WatchSource;
  readonly #requireLeader: boolean;
  readonly #over: Patience;
  readonly #signal: AbortSignal | undefined;
  readonly #watches = new Map<bigint, Progress>();
  readonly #responses: AsyncGenerator<WatchResponse, void, undefined>;
  #first: Promise<IteratorResult<WatchResponse, void>> | null = null;
  #isScheduled = false;
  #isClosed = false;

  constructor(source: WatchSource, { signal, requireLeader = false }: WatchStreamOptions) {
    this.#source = source;
    this.#signal = signal;
    this.#requireLeader = requireLeader;
    this.#over = new Patience(source.clock, [signal]);
    this.#responses = this.#produce();
  }

  create(request: WatchCreateRequest): void {
    assert(this.#first === null, "watches are created before the stream is read");
    const id = BigInt(this.#watches.size + 1);
    const { startRevision = 0, initialState = false } = request;
    const listing = initialState ? { key: request.key, revision: 0 } : null;
    this.#watches.set(id, { request, id, nextRevision: startRevision, toldCreated: false, listing });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After whatever is created in the same turn.
    queueMicrotask(() => this.#begin());
  }

  /** @throws EngineError as {@link Watch}. */
  async next(): Promise<WatchResponse | null> {
    this.#begin();
    const first = this.#first;
    this.#first = DONE;
    const { done, value } = await (first === null || first === DONE ? this.#responses.next() : first);
    return done === true ? null : value;
  }

  close(): void {
    this.#isClosed = true;
    this.#over.abort(new EngineError("canceled"));
    this.#over.end();
    this.#responses.return().catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchResponse, void, undefined> {
    try {
      for (let response = await this.next(); response !== null; response = await this.next()) yield response;
    } finally {
      this.close();
    }
  }

  #begin(): void {
    if (this.#first !== null || this.#isClosed) return;
    this.#first = this.#responses.next();
    // Whoever reads will hear of it.
    this.#first.catch(() => undefined);
  }

  async *#produce(): AsyncGenerator<WatchResponse, void, undefined> {
    const { endpoints, clock } = this.#source;
    const { signal } = this.#over;
    for (let failures = 0; ;) {
      const { url, restMs } = endpoints.choose();
      if (restMs > 0) await sleep(clock, restMs, signal);
      if (this.#isClosed) return;
      if (signal.aborted) throw canceled(this.#signal);
      const begunMs = clock.nowMs();
      try {
        for (const watch of this.#watches.values()) yield* this.#list(watch);
        for await (const reply of this.#connect(url)) {
          yield* this.#take(reply);
          // That a watch is created shows little: the next thing may be nonsense again, or the end.
          if (!reply.created) {
            failures = 0;
            endpoints.worked(url);
          }
          if (this.#watches.size === 0) return;
        }
        throw new EngineError("connectionLost", { detail: `${url} has ended the stream` });
      } catch (error) {
        if (this.#isClosed) return;
        if (signal.aborted) throw canceled(this.#signal);
        if (!(error instanceof EngineError) || !error.retryable) throw error;
        if (clock.nowMs() - begunMs >= GOOD_LIFE_MS) {
          failures = 0;
          endpoints.worked(url);
        }
        endpoints.failed(url, error);
        this.#giveUpAfter(error, ++failures);
      }
    }
  }

  /** Some errors pass, unless everybody has them. */
  #giveUpAfter(error: EngineError, failures: number): void {
    const rounds = failures / this.#source.endpoints.all.length;
    if (error.code === "noLeader" && this.#requireLeader && rounds >= 1) throw error;
    if (error.code === "badReply" && rounds >= MAX_NONSENSE) throw error;
  }

  /**
   * The state that a watch begins with, page by page, all of one revision: so it can be gone on with elsewhere, which
   * the server's own way of telling it could not.
   */
  async *#list(watch: Progress): AsyncGenerator<WatchResponse, void, undefined> {
    const { request, id } = watch;
    while (watch.listing !== null) {
      const { key, revision } = watch.listing;
      const rangeEnd = request.rangeEnd ?? NOTHING;
      const paging = { key, rangeEnd, limit: PAGE_SIZE, revision };
      const page = await this.#source.range(paging, { signal: this.#over.signal });
      const header = revision === 0 ? page.header : { ...page.header, revision };
      const last = page.kvs.at(-1);
      const more = page.more && last !== undefined;
      watch.listing = more ? { key: successor(last.key), revision: header.revision } : null;
      if (!more) watch.nextRevision = header.revision + 1;
      if (!watch.toldCreated) yield { ...EMPTY, watchId: id, header, created: true };
      watch.toldCreated = true;
      const events = page.kvs.map((kv): WatchEvent => ({ type: "put", kv, prevKv: null }));
      yield { ...EMPTY, watchId: id, header, initial: true, fragment: more, events };
    }
  }

  #connect(url: string): AsyncGenerator<WatchReply, void, undefined> {
    const requests = [...this.#watches.values()].map(({ request, id, nextRevision }) => {
      const { initialState: _told, ...rest } = request;
      return { ...rest, watchId: id, startRevision: nextRevision, progressNotify: true };
    });
    return this.#source.open(url, requests, this.#over.signal);
  }

  *#take(reply: WatchReply): Generator<WatchResponse, void, undefined> {
    const response: WatchResponse = { ...reply, header: wholeHeader(reply.header) };
    if (reply.fragment) throw new EngineError("badReply", { detail: "a fragment that nobody asked for" });
    if (response.canceled && TRY_ELSEWHERE.has(response.cancelReason)) {
      throw new EngineError("tooManyRequests", { detail: response.cancelReason });
    }
    const watch = this.#watches.get(response.watchId);
    // A refusal names no watch; that of one is as good as that of all.
    if (watch === undefined) {
      if (response.canceled && response.created) throw refusal(response);
      return;
    }
    if (response.created) yield* this.#begun(watch, response);
    else if (response.canceled) yield response;
    else yield* this.#changes(watch, response);
    if (response.canceled) this.#watches.delete(watch.id);
  }

  *#begun(watch: Progress, response: WatchResponse): Generator<WatchResponse, void, undefined> {
    if (watch.nextRevision === 0) watch.nextRevision = response.header.revision + 1;
    if (!watch.toldCreated || response.canceled) yield response;
    watch.toldCreated = true;
  }

  *#changes(watch: Progress, response: WatchResponse): Generator<WatchResponse, void, undefined> {
    const { events, header } = response;
    let told = watch.nextRevision - 1;
    for (const { kv } of events) {
      if (kv.modRevision < told && told >= watch.nextRevision) {
        throw new EngineError("badReply", { detail: "changes are out of order" });
      }
      told = Math.max(told, kv.modRevision);
    }
    // Without changes it says how far it has got. With them, servers of another make may be ahead of what they tell.
    if (events.length === 0) told = Math.max(told, header.revision);
    const fresh = events.filter(({ kv }) => kv.modRevision >= watch.nextRevision);
    if (fresh.length === 0 && told < watch.nextRevision) return;
    watch.nextRevision = told + 1;
    yield { ...response, events: fresh, header: atRevision(header, told) };
  }
}

/** The first response has been taken. */
const DONE: Promise<IteratorResult<WatchResponse, void>> = Promise.resolve({ done: true, value: undefined });

const NOTHING = new Uint8Array(0);

const EMPTY = {
  created: false,
  canceled: false,
  compactRevision: 0,
  cancelReason: "",
  fragment: false,
  initial: false,
  events: [],
} as const;

/** A server that has as many watches as it can take. */
const TRY_ELSEWHERE: ReadonlySet<string> = new Set(["etcdserver: too many requests"]);

function refusal({ cancelReason }: WatchResponse): EngineError {
  return new EngineError("invalidArgument", { detail: cancelReason });
}

/** Given up by whoever watches; `signal` says why. */
function canceled(signal: AbortSignal | undefined): EngineError {
  return signal === undefined ? new EngineError("canceled") : reasonOf(signal);
}

function atRevision(header: ResponseHeader, revision: Revision): ResponseHeader {
  return { ...header, revision };
}

function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
