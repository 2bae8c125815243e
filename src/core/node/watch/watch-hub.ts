import { EngineError } from "../../errors/index.ts";
import type {
  AuthErrorCode,
  Caller,
  History,
  KeyRange,
  KvStore,
  PageLimits,
  RangePage,
  Revision,
  WatchEvent,
} from "../../kv/index.ts";
import type { ResponseHeader } from "../engine.ts";
import type { Cancel, Clock, Random } from "../ports.ts";
import { IntervalIndex } from "./interval-index.ts";
import type { SavedWatches, WatchCreateRequest, WatchStats, WatchStreamOptions } from "./messages.ts";
import { type Change, eventBytes, RecentChanges } from "./recent-changes.ts";
import { HubStream } from "./watch-stream.ts";
import type { Watcher, WatchPageLimits, WatchSource } from "./watcher.ts";

export interface WatchTuning {
  /** Streams open at the same time on this node. */
  readonly maxStreams: number;
  readonly maxWatchesPerStream: number;
  /** Watches on all streams of this node... */
  readonly maxWatches: number;
  /** ...and the bytes of the keys that they name. */
  readonly maxKeyBytes: number;
  /** How long a watch that asked for it is quiet before it says how far it has got, in milliseconds. */
  readonly progressIntervalMs: number;
  /** How long streams that require a leader bear to have none, in milliseconds. */
  readonly noLeaderPatienceMs: number;
  /** Contents of the newest changes that are kept for watches that are a little late. */
  readonly maxRecentBytes: number;
  readonly page: WatchPageLimits;
}

export const WATCH_DEFAULTS: WatchTuning = {
  maxStreams: 20_000,
  maxWatchesPerStream: 20_000,
  maxWatches: 200_000,
  maxKeyBytes: 64 << 20,
  progressIntervalMs: 600_000,
  noLeaderPatienceMs: 3000,
  maxRecentBytes: 16 << 20,
  page: { maxEvents: 1000, maxBytes: 1 << 20, maxScanned: 4096, maxWaiting: 256 },
};

export interface WatchHubOptions {
  readonly store: KvStore;
  readonly header: (revision: Revision) => ResponseHeader;
  readonly clock: Clock;
  readonly random: Random;
  readonly tuning?: Partial<WatchTuning>;
}

/** Readers that are given something in one turn of the event loop. */
const WAKES_PER_TURN = 1024;

/**
 * All watches on one node. What the state machine has applied is matched once against all watches that are up to
 * date; whose reader waits is given it at once, a thousand readers at a time. Streams ask for everything else.
 */
export class WatchHub implements WatchSource {
  readonly #options: WatchHubOptions;
  readonly #tuning: WatchTuning;
  readonly #index: IntervalIndex<Watcher>;
  readonly #recent: RecentChanges;
  readonly #streams: Set<HubStream> = new Set();
  /** Streams whose readers are to be given something. */
  readonly #wakes: Set<HubStream> = new Set();
  #wakeTimer: Cancel | null = null;
  #progressTimer: Cancel | null = null;
  #leaderTimer: Cancel | null = null;
  #resting = false;
  #watches = 0;
  #keyBytes = 0;
  /** Of the store's history when it was last looked at. */
  #end: number;
  #revision: Revision;
  #compactRevision: Revision;
  #ended: EngineError | null = null;
  /** Of users and roles when the watches were last compared with them. */
  #authChanges: number;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    this.#tuning = { ...WATCH_DEFAULTS, ...options.tuning };
    this.#index = new IntervalIndex(() => options.random.next());
    this.#recent = new RecentChanges(this.#tuning.maxRecentBytes);
    this.#end = this.history.end;
    this.#revision = options.store.revision;
    this.#compactRevision = options.store.compactRevision;
    this.#authChanges = options.store.auth.changes;
  }

  // For the node

  /** @throws EngineError `stopped`, `noLeader`, `tooManyRequests`, `canceled`. */
  open(options: WatchStreamOptions, hasLeader: boolean): HubStream {
    if (this.#ended !== null) throw this.#ended;
    if (options.signal?.aborted === true) throw new EngineError("canceled");
    if (options.requireLeader === true && !hasLeader) throw new EngineError("noLeader");
    if (this.#streams.size >= this.#tuning.maxStreams) {
      throw new EngineError("tooManyRequests", { detail: "too many watch streams on this member" });
    }
    const stream = new HubStream(this, options);
    this.#streams.add(stream);
    return stream;
  }

  /** Goes on with a stream of an earlier life of this node. @throws EngineError `stopped`, `tooManyRequests`. */
  resume(saved: SavedWatches): HubStream {
    const stream = this.open(saved, true);
    stream.resume(saved);
    return stream;
  }

  /**
   * While the node rests watches need no timer, which would keep its memory: no revision comes, and there need not be
   * a leader.
   */
  rest(resting: boolean, hasLeader: boolean): void {
    this.#resting = resting;
    this.leaderChanged(hasLeader);
    this.#progressTimer?.();
    this.#progressTimer = null;
    for (const stream of this.#streams) if (stream.wantsProgress) return this.#startProgressTimer();
  }

  /** Commands have been applied, and nothing that they changed has been freed. */
  applied(): void {
    const { history } = this;
    const start = this.#end;
    this.#end = history.end;
    this.#revision = this.#options.store.revision;
    // First, so that nobody is told of what came with or after the change that took the permission.
    if (this.#options.store.auth.changes !== this.#authChanges) this.#recheck();
    if (this.#index.size > 0) {
      const full: Set<Watcher> = new Set();
      for (let position = start; position < this.#end; position++) this.#match(history, position, full);
      for (const watcher of full) watcher.fallBehind();
    }
    this.#compactRevision = this.#options.store.compactRevision;
    this.#wakeSome();
  }

  /** The state has been replaced by a snapshot: whoever was up to date finds what it missed in its history. */
  restored(): void {
    this.#recent.clear();
    this.#recheck();
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers) {
        if (watcher.isLive) watcher.fallBehind();
        if (stream.ready(watcher)) this.#wakes.add(stream);
      }
    }
    const { store } = this.#options;
    this.#end = this.history.end;
    this.#revision = store.revision;
    this.#compactRevision = store.compactRevision;
    this.#wakeSome();
  }

  /** Who leads has changed. */
  leaderChanged(hasLeader: boolean): void {
    this.#leaderTimer?.();
    this.#leaderTimer = null;
    if (hasLeader || this.#resting || this.#ended !== null) return;
    this.#leaderTimer = this.#options.clock.setTimer(this.#tuning.noLeaderPatienceMs, () => {
      for (const stream of this.#streams) {
        if (stream.requiresLeader) stream.fail(new EngineError("noLeader"));
      }
    });
  }

  /** Ends all streams, and lets no more be opened. */
  stop(): void {
    if (this.#ended !== null) return;
    this.#ended = new EngineError("stopped");
    for (const cancel of [this.#wakeTimer, this.#progressTimer, this.#leaderTimer]) cancel?.();
    for (const stream of this.#streams) stream.fail(this.#ended);
  }

  stats(): WatchStats {
    return {
      streams: this.#streams.size,
      watches: this.#watches,
      slowWatches: this.#watches - this.#index.size,
    };
  }

  /** How many revisions the watch is behind that has been told least. */
  lag(): number {
    let lag = 0;
    for (const { watchers } of this.#streams)
      for (const watcher of watchers) lag = Math.max(lag, watcher.lag);
    return lag;
  }

  // For watches

  get history(): History {
    return this.#options.store.history;
  }

  get revision(): Revision {
    return this.#revision;
  }

  get compactRevision(): Revision {
    return this.#compactRevision;
  }

  get limits(): WatchPageLimits {
    return this.#tuning.page;
  }

  page(range: KeyRange, revision: Revision, limits: PageLimits): RangePage {
    return this.#options.store.page(range, revision, limits);
  }

  /** Why somebody may not watch what a request names; null when it may. */
  whyNot(caller: Caller, { key: given, rangeEnd }: WatchCreateRequest): AuthErrorCode | null {
    const { store } = this.#options;
    if (!store.auth.isEnabled) return null;
    const key = given.length === 0 ? Uint8Array.of(0) : given;
    const request = rangeEnd === undefined ? { key } : { key, rangeEnd };
    return store.whyNotRead(caller, { type: "range", request });
  }

  eventOf(change: Change, withPrevKv: boolean): WatchEvent | null {
    const { content } = change;
    if (content !== null) return withPrevKv ? content.withPrevKv : content.event;
    if (change.revision < this.#compactRevision) return null;
    return this.history.event(change.position, withPrevKv, this.#compactRevision);
  }

  join(watcher: Watcher): void {
    this.#index.add(watcher.interval, watcher);
  }

  leave(watcher: Watcher): void {
    this.#index.delete(watcher.interval, watcher);
  }

  // For streams

  header(revision: Revision): ResponseHeader {
    return this.#options.header(revision);
  }

  /** Whether there is no room for another watch. */
  isFull(stream: HubStream, keyBytes: number): boolean {
    const { maxWatchesPerStream, maxWatches, maxKeyBytes } = this.#tuning;
    return (
      stream.watchCount >= maxWatchesPerStream ||
      this.#watches >= maxWatches ||
      this.#keyBytes + keyBytes > maxKeyBytes
    );
  }

  admitted(watcher: Watcher): void {
    this.#watches++;
    this.#keyBytes += watcher.keyBytes;
    if (watcher.progressNotify) this.#startProgressTimer();
  }

  dropped(watcher: Watcher): void {
    this.#watches--;
    this.#keyBytes -= watcher.keyBytes;
  }

  closed(stream: HubStream): void {
    this.#streams.delete(stream);
    this.#wakes.delete(stream);
  }

  /** A stream has more to read than it may in one turn. */
  continueLater(stream: HubStream): void {
    this.#wakes.add(stream);
    this.#wakeLater();
  }

  #recheck(): void {
    const { auth } = this.#options.store;
    this.#authChanges = auth.changes;
    for (const stream of this.#streams) if (auth.standing(stream.caller).type !== "root") stream.recheck();
  }

  /** Tells everyone who watches it of one change. */
  #match(history: History, position: number, full: Set<Watcher>): void {
    const revision = history.revision(position);
    const isDelete = history.isDelete(position);
    const told: Watcher[] = [];
    let withPrevKv = false;
    this.#index.visit(history.key(position), (watcher) => {
      if (!watcher.wants(isDelete, revision)) return;
      told.push(watcher);
      withPrevKv ||= watcher.prevKv;
    });
    if (told.length === 0) return;
    // As compacted before these commands: what they compacted is still there.
    const newest = history.event(position, withPrevKv, this.#compactRevision);
    const event = withPrevKv ? { ...newest, prevKv: null } : newest;
    const content = { event, withPrevKv: withPrevKv ? newest : null };
    const change: Change = { position, revision, sizeBytes: eventBytes(newest), content };
    this.#recent.add(change);
    for (const watcher of told) {
      if (!watcher.push(change)) full.add(watcher);
      if (watcher.stream.ready(watcher)) this.#wakes.add(watcher.stream);
    }
  }

  #wakeSome(): void {
    // Whoever was put off comes first, in the next turn.
    if (this.#wakeTimer !== null) return;
    let left = WAKES_PER_TURN;
    for (const stream of this.#wakes) {
      if (left-- === 0) return this.#wakeLater();
      this.#wakes.delete(stream);
      stream.wake();
    }
  }

  #wakeLater(): void {
    this.#wakeTimer ??= this.#options.clock.setTimer(0, () => {
      this.#wakeTimer = null;
      this.#wakeSome();
    });
  }

  #startProgressTimer(): void {
    if (this.#resting) return;
    this.#progressTimer ??= this.#options.clock.setTimer(this.#tuning.progressIntervalMs, () => {
      this.#progressTimer = null;
      let anyone = false;
      for (const stream of this.#streams) {
        if (stream.progressDue()) this.#wakes.add(stream);
        anyone ||= stream.wantsProgress;
      }
      if (anyone) this.#startProgressTimer();
      this.#wakeSome();
    });
  }
}
