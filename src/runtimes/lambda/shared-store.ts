import type { ObjectCallOptions, ObjectStore } from "../../adapters/object-store/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { Clock } from "../../core/node/index.ts";

/**
 * Idle for so long by the wall clock, connections may be dead: the other side has hung up, or forgotten them, while this
 * process was frozen. A request would wait for the adapter's whole time-out.
 */
const STALE_MS = 15_000;

/** The last invocation. */
interface Invoked {
  /** Aborted when its time is up. */
  readonly over: AbortController;
  /** Of the timer for that. */
  readonly cancel: () => void;
}

/**
 * One connection for everybody in this process who opens the log, as often as they do: to connect costs more than to
 * ask. Those it is lent to may close it without harm to others; what they had under way then ends by itself.
 *
 * What is asked ends when the invocation does, with `storageUnavailable`: no answer is waited for past it, and none that
 * was on its way before a freeze holds up the next one.
 */
export class SharedStore {
  readonly #open: () => Promise<ObjectStore>;
  readonly #clock: Clock;
  #store: Promise<ObjectStore> | null = null;
  #invoked: Invoked | null = null;
  #underWay = 0;
  /** When something was last asked or answered, on the wall clock. */
  #usedMs = 0;

  constructor(open: () => Promise<ObjectStore>, clock: Clock) {
    this.#open = open;
    this.#clock = clock;
  }

  /** An invocation has begun, and has until then, on the clock. Of several at a time the last ends last. */
  invoked(deadlineMs: number): void {
    this.#invoked?.cancel();
    // What an earlier one has left under way has as much time.
    const over = this.#invoked?.over;
    const aborter = over === undefined || over.signal.aborted ? new AbortController() : over;
    const leftMs = Math.max(0, deadlineMs - this.#clock.nowMs());
    this.#invoked = { over: aborter, cancel: this.#clock.setTimer(leftMs, () => aborter.abort()) };
  }

  async lend(): Promise<ObjectStore> {
    const { maxObjectBytes, location } = await this.#current();
    return {
      maxObjectBytes,
      location,
      get: (name, options) => this.#ask(options, (store, call) => store.get(name, call)),
      list: (prefix, options = {}) =>
        this.#ask(options, (store, call) => store.list(prefix, { ...options, ...call })),
      delete: (names, options) => this.#ask(options, (store, call) => store.delete(names, call)),
      putIfAbsent: (name, body, options) =>
        this.#ask(options, (store, call) => store.putIfAbsent(name, body, call)),
      putIfMatch: (name, body, version, options) =>
        this.#ask(options, (store, call) => store.putIfMatch(name, body, version, call)),
      close: async () => {},
    };
  }

  async close(): Promise<void> {
    this.#invoked?.cancel();
    await (await this.#store)?.close();
  }

  /** The connection, or another in its place when it may be dead. */
  #current(): Promise<ObjectStore> {
    const old = this.#store;
    const isStale = this.#underWay === 0 && Math.abs(this.#clock.wallMs() - this.#usedMs) > STALE_MS;
    if (old !== null && !isStale) return old;
    this.#usedMs = this.#clock.wallMs();
    const opened = this.#open();
    this.#store = opened;
    opened.catch(() => {
      if (this.#store === opened) this.#store = null;
    });
    // Nobody has anything under way there.
    void old?.then((store) => store.close()).catch(() => {});
    return opened;
  }

  async #ask<T>(
    { signal: given }: ObjectCallOptions = {},
    act: (store: ObjectStore, call: ObjectCallOptions) => Promise<T>,
  ): Promise<T> {
    const opened = this.#current();
    let isOpen = false;
    const over = this.#invoked?.over.signal;
    this.#underWay++;
    try {
      const store = await unlessOver(opened, over);
      isOpen = true;
      return await act(store, callUntil(given, over));
    } catch (error) {
      // By the signal, but not by the caller's.
      const isCanceled = error instanceof EngineError && error.code === "canceled";
      if (!isCanceled || over?.aborted !== true || given?.aborted === true) throw error;
      // Another try may come about.
      if (!isOpen && this.#store === opened) this.#store = null;
      const detail = "no answer before the invocation's time was up";
      throw new EngineError("storageUnavailable", { detail, cause: error });
    } finally {
      this.#underWay--;
      this.#usedMs = this.#clock.wallMs();
    }
  }
}

function callUntil(given: AbortSignal | undefined, over: AbortSignal | undefined): ObjectCallOptions {
  if (given !== undefined && over !== undefined) return { signal: AbortSignal.any([given, over]) };
  const signal = given ?? over;
  return signal === undefined ? {} : { signal };
}

/** The promise, unless the signal comes first. */
async function unlessOver<T>(promise: Promise<T>, over: AbortSignal | undefined): Promise<T> {
  if (over === undefined) return await promise;
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (): void => reject(new EngineError("canceled"));
  if (over.aborted) end();
  over.addEventListener("abort", end);
  try {
    return await Promise.race([promise, ended]);
  } finally {
    over.removeEventListener("abort", end);
  }
}
