import { assert } from "../../errors/index.ts";
import {
  type BinaryKey,
  binaryKey,
  type History,
  isSingleKey,
  keyRange,
  type KeyRange,
  type PageLimits,
  type RangePage,
  type Revision,
  type WatchEvent,
} from "../../kv/index.ts";
import type { Interval } from "./interval-index.ts";
import type { SavedWatch, WatchCreateRequest } from "./messages.ts";
import { type Change, eventBytes } from "./recent-changes.ts";
import type { HubStream } from "./watch-stream.ts";

/** What watches read from. */
export interface WatchSource {
  readonly history: History;
  /** Everything up to here has been shown to the watches that are up to date. */
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly limits: WatchPageLimits;
  page(range: KeyRange, revision: Revision, limits: PageLimits): RangePage;
  /** The content of a change; null when it was compacted away. */
  eventOf(change: Change, withPrevKv: boolean): WatchEvent | null;
  /** From now on the watch is told of every change of its keys. */
  join(watcher: Watcher): void;
  leave(watcher: Watcher): void;
}

export interface WatchPageLimits {
  /** Events in one response... */
  readonly maxEvents: number;
  /** ...and their bytes, in memory. Only a single revision may be more. */
  readonly maxBytes: number;
  /** Changes looked at for one response. */
  readonly maxScanned: number;
  /** Changes that wait for a slow reader before it is left to history. */
  readonly maxWaiting: number;
}

/** Part of what a watch is to be told. */
export interface WatchPage {
  readonly events: readonly WatchEvent[];
  /** The watch has been told everything up to here. */
  readonly revision: Revision;
  readonly fragment: boolean;
  readonly initial: boolean;
}

/** Where a watch stands. */
type State =
  /** Reads the keys as of `revision`. */
  | { readonly type: "initial"; readonly revision: Revision; readonly range: KeyRange }
  /** Reads history from `revision` on, of which it has seen `skip` changes. */
  | { readonly type: "behind"; readonly revision: Revision; readonly skip: number }
  /** Is in the index; `waiting` are the changes that it has yet to be told of. */
  | { readonly type: "live"; waiting: Change[]; skip: number };

/**
 * One watch. It is told of changes by the index while its reader keeps up, and else finds them in the store's
 * history; either way it holds no more than a bounded list of positions.
 */
export class Watcher {
  readonly id: bigint;
  readonly stream: HubStream;
  readonly interval: Interval;
  readonly prevKv: boolean;
  readonly progressNotify: boolean;
  /** Bytes of its keys. */
  readonly keyBytes: number;
  readonly request: WatchCreateRequest;
  readonly #source: WatchSource;
  readonly #fragment: boolean;
  readonly #noPut: boolean;
  readonly #noDelete: boolean;
  readonly #startRevision: Revision;
  #state: State;

  /** The request has been checked. */
  constructor(id: bigint, request: WatchCreateRequest, source: WatchSource, stream: HubStream) {
    this.id = id;
    this.stream = stream;
    this.interval = intervalOf(request);
    this.prevKv = request.prevKv === true;
    this.progressNotify = request.progressNotify === true;
    this.keyBytes = request.key.length + (request.rangeEnd?.length ?? 0);
    this.request = request;
    this.#source = source;
    this.#fragment = request.fragment === true;
    this.#noPut = request.filters?.includes("noPut") === true;
    this.#noDelete = request.filters?.includes("noDelete") === true;
    const { revision } = source;
    const start = request.startRevision ?? 0;
    this.#startRevision = start === 0 ? revision + 1 : start;
    if (request.initialState === true) {
      this.#state = { type: "initial", revision, range: rangeOf(request) };
    } else if (this.#startRevision <= revision) {
      // Before the first compaction all of history is there, however far back it is asked for.
      const first = source.compactRevision === 0 ? Math.max(this.#startRevision, 1) : this.#startRevision;
      this.#state = { type: "behind", revision: first, skip: 0 };
    } else {
      this.#state = { type: "live", waiting: [], skip: 0 };
      source.join(this);
    }
  }

  /** Has been told everything there is. */
  get isIdle(): boolean {
    return this.#state.type === "live" && this.#state.waiting.length === 0;
  }

  /** Is in the index. */
  get isLive(): boolean {
    return this.#state.type === "live";
  }

  /** It has been told everything up to here. */
  get toldRevision(): Revision {
    const state = this.#state;
    if (state.type === "initial") return 0;
    if (state.type === "behind") return state.revision - 1;
    const first = state.waiting[0];
    return first === undefined ? this.#source.revision : first.revision - 1;
  }

  /** What it takes to go on with it elsewhere. */
  save(): SavedWatch {
    return { watchId: this.id, request: this.request, nextRevision: this.#nextRevision };
  }

  get #nextRevision(): Revision | null {
    switch (this.#state.type) {
      case "initial":
        return null;
      case "behind":
        return this.#state.revision;
      case "live":
        return this.#state.waiting[0]?.revision ?? Math.max(this.#source.revision + 1, this.#startRevision);
    }
  }

  /** How many revisions it has not been told of; while it reads the keys as they were, those that came since. */
  get lag(): number {
    const told = this.#state.type === "initial" ? this.#state.revision : this.toldRevision;
    return Math.max(0, this.#source.revision - told);
  }

  /** Whether a change of one of its keys is for it. */
  wants(isDelete: boolean, revision: Revision): boolean {
    return revision >= this.#startRevision && !(isDelete ? this.#noDelete : this.#noPut);
  }

  /** Told by the index. False if there is no room: then it must `fallBehind`, from where it finds the change itself. */
  push(change: Change): boolean {
    const state = this.#state;
    assert(state.type === "live", "only a watch that is up to date is told of changes");
    if (state.waiting.length === this.#source.limits.maxWaiting) return false;
    state.waiting.push(change);
    return true;
  }

  /** Leaves the index, to read on in history where it stands. */
  fallBehind(): void {
    const state = this.#state;
    assert(state.type === "live", "a watch falls behind that was not up to date");
    const revision = this.#nextRevision!;
    this.#source.leave(this);
    this.#state = { type: "behind", revision, skip: state.skip };
  }

  /** No more. */
  end(): void {
    if (this.#state.type === "live") this.#source.leave(this);
  }

  /**
   * What it is to be told next. Null: nothing, or nothing yet, unless it `isIdle` now. "compacted": it has ended.
   */
  page(): WatchPage | "compacted" | null {
    switch (this.#state.type) {
      case "initial":
        return this.#readState(this.#state.revision, this.#state.range);
      case "behind":
        return this.#readHistory(this.#state.revision, this.#state.skip);
      case "live":
        return this.#takeWaiting(this.#state);
    }
  }

  #readState(revision: Revision, range: KeyRange): WatchPage | "compacted" {
    const { compactRevision, limits } = this.#source;
    if (revision < compactRevision) return "compacted";
    const { maxEvents: maxKeys, maxBytes } = limits;
    const { kvs, next } = this.#source.page(range, revision, { maxKeys, maxBytes });
    this.#state =
      next === null
        ? { type: "behind", revision: revision + 1, skip: 0 }
        : { type: "initial", revision, range: { from: next, to: range.to } };
    const events = kvs.map((kv): WatchEvent => ({ type: "put", kv, prevKv: null }));
    return { events, revision, fragment: next !== null, initial: true };
  }

  #readHistory(from: Revision, skip: number): WatchPage | "compacted" | null {
    const { history, compactRevision, limits } = this.#source;
    if (from < compactRevision) return "compacted";
    const start = history.find(from) + skip;
    const page = new PageBuilder(limits, this.#fragment, skip > 0 ? from : 0);
    let at = start;
    for (; at < history.end; at++) {
      const revision = history.revision(at);
      if (!page.takes(revision, at - start >= limits.maxScanned)) break;
      if (this.#matches(history.key(at)) && this.wants(history.isDelete(at), revision)) {
        page.add(history.event(at, this.prevKv, compactRevision));
      }
    }
    if (at === history.end) {
      this.#state = { type: "live", waiting: [], skip: 0 };
      this.#source.join(this);
      return page.build(this.#source.revision, false);
    }
    const next = history.revision(at);
    const isSplit = next === page.revision;
    this.#state = { type: "behind", revision: next, skip: isSplit ? at - history.find(next) : 0 };
    return page.build(isSplit ? next : next - 1, isSplit);
  }

  #takeWaiting(state: State & { readonly type: "live" }): WatchPage | "compacted" | null {
    const { waiting } = state;
    const first = waiting[0];
    if (first === undefined) return null;
    const page = new PageBuilder(this.#source.limits, this.#fragment, state.skip > 0 ? first.revision : 0);
    let taken = 0;
    for (; taken < waiting.length; taken++) {
      const change = waiting[taken]!;
      if (!page.takes(change.revision, false)) break;
      const event = this.#source.eventOf(change, this.prevKv);
      if (event === null) break;
      page.add(event);
    }
    if (taken === 0) return "compacted";
    const next = waiting[taken];
    state.waiting = waiting.slice(taken);
    const isSplit = next !== undefined && next.revision === page.revision;
    state.skip = isSplit ? next.position - this.#source.history.find(next.revision) : 0;
    return page.build(
      next === undefined ? this.#source.revision : isSplit ? next.revision : next.revision - 1,
      isSplit,
    );
  }

  #matches(key: BinaryKey): boolean {
    const { interval } = this;
    if (interval.single) return key === interval.from;
    return key >= interval.from && (interval.to === null || key < interval.to);
  }
}

/** Gathers events up to a limit, and splits no revision unless it may. */
class PageBuilder {
  readonly #limits: WatchPageLimits;
  readonly #splits: boolean;
  readonly #events: WatchEvent[] = [];
  #bytes = 0;
  /** Of the change that was taken last. */
  revision: Revision;

  constructor(limits: WatchPageLimits, splits: boolean, revision: Revision) {
    this.#limits = limits;
    this.#splits = splits;
    this.revision = revision;
  }

  /** Whether a change of this revision still belongs on the page. */
  takes(revision: Revision, isLong: boolean): boolean {
    const { maxEvents, maxBytes } = this.#limits;
    const isFull = this.#events.length >= maxEvents || this.#bytes >= maxBytes;
    if (revision === this.revision) return !(this.#splits && isFull);
    if (isFull || (isLong && this.revision !== 0)) return false;
    this.revision = revision;
    return true;
  }

  add(event: WatchEvent): void {
    this.#events.push(event);
    this.#bytes += eventBytes(event);
  }

  build(told: Revision, fragment: boolean): WatchPage | null {
    if (this.#events.length === 0) return null;
    return { events: this.#events, revision: told, fragment, initial: false };
  }
}

const ZERO: Uint8Array = new Uint8Array(1);

/** etcd: an empty key stands for a zero byte. */
function keyOf({ key }: WatchCreateRequest): Uint8Array {
  return key.length === 0 ? ZERO : key;
}

export function intervalOf(request: WatchCreateRequest): Interval {
  const from = binaryKey(keyOf(request));
  if (isSingleKey(request.rangeEnd)) return { single: true, from };
  const { to } = keyRange(request.key, request.rangeEnd!);
  return { single: false, from, to: to === null ? null : binaryKey(to) };
}

function rangeOf(request: WatchCreateRequest): KeyRange {
  const from = keyOf(request);
  if (!isSingleKey(request.rangeEnd)) return { from, to: keyRange(from, request.rangeEnd!).to };
  const to = new Uint8Array(from.length + 1);
  to.set(from);
  return { from, to };
}
