import { EngineError, ERRORS } from "../../errors/index.ts";
import { ANONYMOUS, type Caller, type Revision } from "../../kv/index.ts";
import type {
  ResumableWatchStream,
  SavedWatches,
  WatchCreateRequest,
  WatchResponse,
  WatchStreamOptions,
} from "./messages.ts";
import { intervalOf, Watcher, type WatchPage } from "./watcher.ts";
import type { WatchHub } from "./watch-hub.ts";

/** Answers to `create` and `cancel` that may wait to be read... */
const MAX_ANSWERS = 16_384;
/** ...and how few of them `room` waits for. */
const FEW_ANSWERS = 64;
/** Watches looked at for one response, before everybody else gets a turn. */
const MAX_LOOKED_AT = 8;

/** What a watch id is that stands for no watch. */
const NO_WATCH = -1n;

interface Reader {
  readonly resolve: (response: WatchResponse | null) => void;
  readonly reject: (error: unknown) => void;
}

/** See {@link ResumableWatchStream}. Belongs to a hub. */
export class HubStream implements ResumableWatchStream {
  readonly requiresLeader: boolean;
  readonly caller: Caller;
  readonly #hub: WatchHub;
  readonly #watchers: Map<bigint, Watcher> = new Map();
  #answers: WatchResponse[] = [];
  /** Those with something to say, or something to read in history, in the order of their turns. */
  readonly #ready: Set<Watcher> = new Set();
  /** Those that have been quiet for so long that they should say how far they are. */
  readonly #quiet: Set<Watcher> = new Set();
  /** Those that said nothing since the last look at them. */
  readonly #silent: Set<Watcher> = new Set();
  #nextId = 0n;
  /** Progress was asked for at this revision, and again later at that one. */
  #progressAt: Revision | null = null;
  #progressAgainAt: Revision | null = null;
  /** Has yet to get as far as `#progressAt`. */
  #laggard: Watcher | null = null;
  #reader: Reader | null = null;
  #roomWaiters: (() => void)[] = [];
  #isClosed = false;
  #failure: EngineError | null = null;
  #stopListening: () => void = () => {};

  constructor(hub: WatchHub, { signal, requireLeader = false, caller = ANONYMOUS }: WatchStreamOptions) {
    this.#hub = hub;
    this.requiresLeader = requireLeader;
    this.caller = caller;
    if (signal === undefined) return;
    const onAbort = (): void => this.fail(new EngineError("canceled"));
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  get watchers(): Iterable<Watcher> {
    return this.#watchers.values();
  }

  get watchCount(): number {
    return this.#watchers.size;
  }

  /** Whether any of its watches asked to be told of progress. */
  get wantsProgress(): boolean {
    return this.#silent.size > 0;
  }

  // For its owner

  create(request: WatchCreateRequest): void {
    this.#requireRoom();
    const problem = this.#problemOf(request);
    if (problem !== null) {
      this.#answer({ watchId: NO_WATCH, created: true, canceled: true, cancelReason: problem });
      return;
    }
    const watchId = this.#idFor(request.watchId ?? 0n);
    this.#begin(watchId, request);
    this.#answer({ watchId, created: true });
  }

  cancel(watchId: bigint): void {
    this.#requireRoom();
    const watcher = this.#watchers.get(watchId);
    if (watcher === undefined) return;
    this.#drop(watcher);
    this.#answer({ watchId, canceled: true });
  }

  requestProgress(): void {
    this.#requireRoom();
    if (this.#progressAt === null) this.#progressAt = this.#hub.revision;
    else this.#progressAgainAt = this.#hub.revision;
    this.wake();
  }

  save(): SavedWatches {
    const watches = Array.from(this.#watchers.values(), (watcher) => watcher.save());
    const progressAsked = this.#progressAt !== null;
    const { requiresLeader: requireLeader, caller } = this;
    return { requireLeader, caller, progressAsked, nextId: this.#nextId, watches };
  }

  async room(): Promise<void> {
    if (this.#isClosed || this.#answers.length < FEW_ANSWERS) return;
    await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
  }

  async next(): Promise<WatchResponse | null> {
    if (this.#reader !== null) {
      throw new EngineError("invalidArgument", { detail: "the stream is being read already" });
    }
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) return null;
    const response = this.#produce();
    if (response !== null) return response;
    return await new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#end();
    this.#reader?.resolve(null);
    this.#reader = null;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchResponse, void, undefined> {
    try {
      for (let response = await this.next(); response !== null; response = await this.next()) yield response;
    } finally {
      this.close();
    }
  }

  // For the hub

  /** Goes on with what was a stream of another life; there all of its watches have been created. */
  resume({ nextId, watches, progressAsked }: SavedWatches): void {
    this.#nextId = nextId;
    for (const { watchId, request, nextRevision } of watches) {
      const problem = this.#hub.whyNot(this.caller, request);
      if (problem !== null) {
        this.#answer({ watchId, canceled: true, cancelReason: ERRORS[problem][1] });
      } else if (nextRevision !== null) {
        this.#begin(watchId, { ...request, startRevision: nextRevision, initialState: false });
      } else {
        // What has been told of the state is not known, and all of it again would be a surprise.
        const cancelReason = "d-engine: interrupted while the present state was told: watch anew";
        this.#answer({ watchId, canceled: true, cancelReason });
      }
    }
    if (progressAsked) this.requestProgress();
  }

  /** Users, roles or permissions have changed: ends the watches that would not be permitted any more. */
  recheck(): void {
    for (const watcher of this.#watchers.values()) {
      const problem = this.#hub.whyNot(this.caller, watcher.request);
      if (problem === null) continue;
      this.#drop(watcher);
      this.#answer({ watchId: watcher.id, canceled: true, cancelReason: ERRORS[problem][1] });
    }
  }

  /** Ends it with an error. */
  fail(error: EngineError): void {
    if (this.#isClosed) return;
    this.#failure = error;
    this.#end();
    this.#reader?.reject(error);
    this.#reader = null;
  }

  /** One of its watches has something to say. Returns whether somebody waits to hear it. */
  ready(watcher: Watcher): boolean {
    this.#ready.add(watcher);
    return this.#reader !== null;
  }

  /** Gives whoever waits the next response, if there is one. */
  wake(): void {
    const reader = this.#reader;
    if (reader === null) return;
    const response = this.#produce();
    if (response === null) return;
    this.#reader = null;
    reader.resolve(response);
  }

  /** The interval of progress notifications is over. Returns whether there is something to say. */
  progressDue(): boolean {
    for (const watcher of this.#silent) this.#quiet.add(watcher);
    for (const watcher of this.#watchers.values()) {
      if (watcher.progressNotify) this.#silent.add(watcher);
    }
    return this.#quiet.size > 0;
  }

  // Requests

  #requireRoom(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) throw new EngineError("canceled", { detail: "the watch stream is closed" });
    if (this.#answers.length >= MAX_ANSWERS) {
      throw new EngineError("tooManyRequests", { detail: "the watch stream's answers are not read" });
    }
  }

  /** Why a watch cannot be, in etcd's words where it has them (server/storage/mvcc/watcher.go). */
  #problemOf(request: WatchCreateRequest): string | null {
    const denied = this.#hub.whyNot(this.caller, request);
    if (denied !== null) return ERRORS[denied][1];
    const interval = intervalOf(request);
    if (!interval.single && interval.to !== null && interval.from >= interval.to) {
      return "mvcc: watcher range is empty";
    }
    const wanted = request.watchId ?? 0n;
    if (wanted !== 0n && this.#watchers.has(wanted)) {
      return "mvcc: duplicate watch ID provided on the WatchStream";
    }
    if (request.initialState === true && (request.startRevision ?? 0) !== 0) {
      return "d-engine: the present state first and a start revision exclude each other";
    }
    return this.#hub.isFull(this, request.key.length + (request.rangeEnd?.length ?? 0))
      ? "etcdserver: too many requests"
      : null;
  }

  #begin(watchId: bigint, request: WatchCreateRequest): void {
    const watcher = new Watcher(watchId, request, this.#hub, this);
    this.#hub.admitted(watcher);
    this.#watchers.set(watchId, watcher);
    if (watcher.progressNotify) this.#silent.add(watcher);
    if (!watcher.isIdle) this.#ready.add(watcher);
  }

  #idFor(wanted: bigint): bigint {
    if (wanted !== 0n) return wanted;
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #answer(answer: Partial<WatchResponse>): void {
    this.#answers.push(this.#response(this.#hub.revision, answer));
    this.wake();
  }

  #drop(watcher: Watcher): void {
    watcher.end();
    this.#watchers.delete(watcher.id);
    for (const set of [this.#ready, this.#quiet, this.#silent]) set.delete(watcher);
    if (this.#laggard === watcher) this.#laggard = null;
    this.#hub.dropped(watcher);
  }

  #end(): void {
    this.#isClosed = true;
    this.#stopListening();
    for (const watcher of this.#watchers.values()) this.#drop(watcher);
    this.#answers = [];
    this.#hub.closed(this);
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  // Responses

  /** The next response; null when there is none now. */
  #produce(): WatchResponse | null {
    const answer = this.#answers.shift();
    if (answer !== undefined) {
      if (this.#answers.length < FEW_ANSWERS) for (const resolve of this.#roomWaiters.splice(0)) resolve();
      return answer;
    }
    for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; lookedAt++) {
      const progress = this.#progress();
      if (progress !== null) return progress;
      const [watcher] = this.#ready;
      if (watcher === undefined) return this.#notification();
      this.#ready.delete(watcher);
      const page = watcher.page();
      if (page === "compacted") return this.#compacted(watcher);
      // Behind the others, so that one with much to say does not keep them from being heard.
      if (!watcher.isIdle) this.#ready.add(watcher);
      if (page !== null) return this.#told(watcher, page);
    }
    this.#hub.continueLater(this);
    return null;
  }

  #told(watcher: Watcher, { events, revision, fragment, initial }: WatchPage): WatchResponse {
    this.#silent.delete(watcher);
    this.#quiet.delete(watcher);
    return this.#response(revision, { watchId: watcher.id, events, fragment, initial });
  }

  /** As in etcd, its header has no revision. */
  #compacted(watcher: Watcher): WatchResponse {
    this.#drop(watcher);
    const { compactRevision } = this.#hub;
    return this.#response(0, { watchId: watcher.id, canceled: true, compactRevision });
  }

  /** The answer to a progress request, once every watch has got as far as the stream was then. */
  #progress(): WatchResponse | null {
    const wanted = this.#progressAt;
    if (wanted === null) return null;
    if (this.#laggard !== null && this.#laggard.toldRevision < wanted) return null;
    this.#laggard = null;
    let told = this.#hub.revision;
    for (const watcher of this.#ready) {
      told = Math.min(told, watcher.toldRevision);
      if (told < wanted) {
        this.#laggard = watcher;
        return null;
      }
    }
    const again = this.#progressAgainAt;
    this.#progressAt = again !== null && again > told ? again : null;
    this.#progressAgainAt = null;
    return this.#response(told, { watchId: NO_WATCH });
  }

  /** A watch that has been quiet says how far it is. */
  #notification(): WatchResponse | null {
    const [watcher] = this.#quiet;
    if (watcher === undefined) return null;
    this.#quiet.delete(watcher);
    return this.#response(this.#hub.revision, { watchId: watcher.id });
  }

  #response(revision: Revision, content: Partial<WatchResponse>): WatchResponse {
    return { ...EMPTY, ...content, header: this.#hub.header(revision) };
  }
}

const EMPTY: Omit<WatchResponse, "header"> = {
  watchId: 0n,
  created: false,
  canceled: false,
  compactRevision: 0,
  cancelReason: "",
  fragment: false,
  initial: false,
  events: [],
};
