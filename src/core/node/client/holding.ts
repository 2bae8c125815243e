import { EngineError } from "../../errors/index.ts";
import type { Revision } from "../../kv/index.ts";
import { leaderOf, observe, proclaim } from "../coordination/election.ts";
import { type Place, type QueueEngine, takePlace, waitForTurn } from "../coordination/queue.ts";
import type { CallOptions, ReadOptions } from "../engine.ts";
import { type Bytes, toBytes, toText } from "./bytes.ts";
import type { ClientEngine } from "./client-engine.ts";
import { grantLease, type Lease } from "./lease.ts";
import {
  ATTEMPT_MS,
  backoffMs,
  Patience,
  patiently,
  reasonOf,
  sleep,
  type Surroundings,
  unlessAborted,
} from "./waiting.ts";

/**
 * What a lock may be given. `timeoutMs` bounds the wait alone; `signal` gives up the wait, or tells the holder to end.
 */
export interface LockOptions extends CallOptions {
  /** How long the lock survives its holder, in milliseconds: see {@link Lease}. Default: 10,000. */
  readonly ttlMs?: number;
}

/**
 * What a candidate may give. `timeoutMs` and `signal` as for a lock, with the time in office for the time of holding
 * it.
 */
export interface ElectOptions extends LockOptions {
  /** What the leader proclaims. Default: nothing. */
  readonly value?: Bytes;
}

/** A lock while it is held. */
export interface HeldLock {
  /** Exists as long as the lock is held. */
  readonly key: Uint8Array;
  /**
   * Grows from holder to holder. Whatever the lock protects must be told it, and refuse a smaller one than it has
   * seen; in this store, `txn().ifCreateRevision(key, "equal", fencingToken)` does it.
   */
  readonly fencingToken: Revision;
  /** Keys put with it go when the lock does. */
  readonly lease: Lease;
  /** Aborts when the lock is lost, or the caller gives up: then nothing more may be done under it. */
  readonly signal: AbortSignal;
}

/** Leadership while it lasts. */
export interface Leadership extends HeldLock {
  /** Changes what the leader proclaims. @throws EngineError `notElected`. */
  readonly proclaim: (value: Bytes) => Promise<void>;
}

/** Who leads, and what it proclaims. */
export class Leader {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** The leader's fencing token. */
  readonly fencingToken: Revision;

  constructor(kv: {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
    readonly createRevision: Revision;
  }) {
    this.key = kv.key;
    this.value = kv.value;
    this.fencingToken = kv.createRevision;
  }

  /** What it proclaims, as text. @throws TypeError when it is not UTF-8. */
  get text(): string {
    return toText(this.value);
  }
}

/** Whether a lock could be had at once, and what was done under it. */
export type TryLockResult<T> = { readonly locked: true; readonly value: T } | { readonly locked: false };

/** How long whoever gives a lock back waits until it is known to have been given back. */
const RELEASE_MS = 2000;

/** What rests on a lease of its own: locks and elections. Each takes its place with a lease that nobody else uses. */
export class Holdings {
  readonly #engine: ClientEngine;
  readonly #surroundings: Surroundings;
  readonly #closed: AbortSignal;
  readonly #defaultTimeoutMs: number;
  readonly #queue: QueueEngine;

  constructor(
    engine: ClientEngine,
    surroundings: Surroundings,
    closed: AbortSignal,
    defaultTimeoutMs: number,
  ) {
    this.#engine = engine;
    this.#surroundings = surroundings;
    this.#closed = closed;
    this.#defaultTimeoutMs = defaultTimeoutMs;
    this.#queue = linearizable(engine);
  }

  async lock<T>(name: Bytes, work: (held: HeldLock) => T | Promise<T>, options: LockOptions): Promise<T> {
    const take = (lease: Lease, signal: AbortSignal): Promise<Place> =>
      this.#reachHead(toBytes(name), NOTHING, lease, signal);
    return await this.#hold(options, take, work);
  }

  async tryLock<T>(
    name: Bytes,
    work: (held: HeldLock) => T | Promise<T>,
    options: LockOptions,
  ): Promise<TryLockResult<T>> {
    let locked = false;
    const noted = (held: HeldLock): T | Promise<T> => {
      locked = true;
      return work(held);
    };
    try {
      const take = (lease: Lease, signal: AbortSignal): Promise<Place> =>
        this.#takeIfFirst(toBytes(name), lease, signal);
      return { locked: true, value: await this.#hold(options, take, noted) };
    } catch (error) {
      if (!locked && error instanceof EngineError && error.code === "lockHeld") return { locked: false };
      throw error;
    }
  }

  async elect<T>(
    name: Bytes,
    work: (leadership: Leadership) => T | Promise<T>,
    options: ElectOptions,
  ): Promise<T> {
    const line = toBytes(name);
    const value = toBytes(options.value ?? NOTHING);
    const take = (lease: Lease, signal: AbortSignal): Promise<Place> =>
      this.#reachHead(line, value, lease, signal);
    return await this.#hold(options, take, (held) => {
      const leader = { name: line, key: held.key, revision: held.fencingToken, lease: held.lease.id };
      const lead: Leadership = {
        ...held,
        proclaim: async (next) => void (await proclaim(this.#queue, leader, toBytes(next))),
      };
      return work(lead);
    });
  }

  async leader(name: Bytes): Promise<Leader | null> {
    try {
      return new Leader((await leaderOf(this.#queue, toBytes(name))).kv);
    } catch (error) {
      if (error instanceof EngineError && error.code === "noElectedLeader") return null;
      throw error;
    }
  }

  /** Goes on after whatever passes by itself; nothing is told twice. */
  async *observe(name: Bytes, signal: AbortSignal | undefined): AsyncGenerator<Leader, void, undefined> {
    const { clock, random } = this.#surroundings;
    const over = new Patience(clock, [signal, this.#closed]);
    let toldRevision: Revision = 0;
    try {
      for (let failures = 0; ;) {
        try {
          for await (const { kv } of observe(this.#queue, toBytes(name), over.signal)) {
            failures = 0;
            if (kv.modRevision === toldRevision) continue;
            toldRevision = kv.modRevision;
            yield new Leader(kv);
          }
          return;
        } catch (error) {
          if (over.signal.aborted) throw reasonOf(over.signal);
          if (!(error instanceof EngineError) || !error.retryable) throw error;
          await sleep(clock, backoffMs(++failures, random), over.signal);
        }
      }
    } finally {
      over.end();
    }
  }

  async #takeIfFirst(name: Uint8Array, lease: Lease, signal: AbortSignal): Promise<Place> {
    const take = (): Promise<Place | null> => takePlace(this.#queue, name, lease.id, NOTHING, true);
    const place = await patiently(take, this.#surroundings, signal);
    if (place === null) throw new EngineError("lockHeld", { retryAfterMs: 1000 });
    return place;
  }

  /**
   * Takes a place in line and waits until it is at the head. Both may be repeated although nobody knows whether they
   * have been done: the place is the lease's, which has but one. Whoever gives up ends the lease, and never takes the
   * place back by itself: that could come late, and take away what a later attempt has got.
   */
  async #reachHead(name: Uint8Array, value: Uint8Array, lease: Lease, signal: AbortSignal): Promise<Place> {
    const take = (): Promise<Place | null> => takePlace(this.#queue, name, lease.id, value, false);
    const place = await patiently(take, this.#surroundings, signal);
    // Without `onlyFirst` there is always a place.
    if (place === null) throw new EngineError("sessionExpired");
    if (!place.isFirst) {
      const wait = (): Promise<void> => waitForTurn(this.#queue, name, place, signal);
      await patiently(wait, this.#surroundings, signal);
    }
    return place;
  }

  /** Takes a place with a lease of its own, works, and gives it back. Who loses it meanwhile has not succeeded. */
  async #hold<T>(
    { ttlMs, timeoutMs, signal }: LockOptions,
    take: (lease: Lease, signal: AbortSignal) => Promise<Place>,
    work: (held: HeldLock) => T | Promise<T>,
  ): Promise<T> {
    const { clock } = this.#surroundings;
    const waiting = new Patience(clock, [signal, this.#closed], timeoutMs);
    let lease: Lease | null = null;
    let place: Place;
    try {
      lease = await this.#grant(ttlMs, waiting.signal);
      place = await this.#take(lease, take, waiting.signal);
    } catch (error) {
      // Nobody need wait for that: the lease would end by itself.
      if (lease !== null) void this.#release(lease);
      throw waiting.signal.aborted ? reasonOf(waiting.signal) : error;
    } finally {
      waiting.end();
    }
    const over = new Patience(clock, [lease.lost, signal, this.#closed]);
    try {
      const value = await work({ key: place.key, fencingToken: place.revision, lease, signal: over.signal });
      if (lease.lost.aborted) throw reasonOf(lease.lost);
      return value;
    } finally {
      over.end();
      await this.#release(lease);
    }
  }

  /** Waits for it, but not for long: it goes on by itself for as long as the lease would. */
  async #release(lease: Lease): Promise<void> {
    const ended = lease.revoke({ timeoutMs: Math.max(RELEASE_MS, lease.ttlMs) }).catch(() => undefined);
    const patience = new Patience(this.#surroundings.clock, [], RELEASE_MS);
    await unlessAborted(ended, patience.signal).catch(() => undefined);
    patience.end();
  }

  async #grant(ttlMs: number | undefined, signal: AbortSignal): Promise<Lease> {
    const options = {
      ...(ttlMs === undefined ? {} : { ttlMs }),
      defaultTimeoutMs: this.#defaultTimeoutMs,
      signal,
    };
    const lease = await unlessAborted(
      grantLease(this.#engine, this.#surroundings, this.#closed, options),
      signal,
    );
    return lease.keepAlive();
  }

  async #take(
    lease: Lease,
    take: (lease: Lease, signal: AbortSignal) => Promise<Place>,
    signal: AbortSignal,
  ): Promise<Place> {
    const either = new Patience(this.#surroundings.clock, [lease.lost, signal]);
    try {
      return await unlessAborted(take(lease, either.signal), either.signal);
    } finally {
      either.end();
    }
  }
}

const LINE: ReadOptions = { consistency: "linearizable", timeoutMs: ATTEMPT_MS };
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * A line must not be looked at where it is out of date, whatever the engine's default is. And since all of it may be
 * repeated, nothing is waited for as long as a write would be that must not be.
 */
function linearizable(engine: ClientEngine): QueueEngine {
  return {
    header: () => engine.header(),
    range: (request, options) => engine.range(request, { ...LINE, ...options }),
    txn: (request, options) => engine.txn(request, { ...LINE, ...options }),
    watch: (options) => engine.watch(options),
    leaseGrant: (request, options) => engine.leaseGrant(request, options),
    leaseRevoke: (request, options) => engine.leaseRevoke(request, options),
  };
}
