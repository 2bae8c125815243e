import {
  messageOf,
  type ObjectStore,
  openObjectStorage,
  ownershipMark,
} from "../../../adapters/object-store/index.ts";
import { EngineError, type ErrorCode } from "../../../core/errors/index.ts";
import type { KvResult } from "../../../core/kv/index.ts";
import {
  type Clock,
  KvEngine,
  type Logger,
  type NodeOptions,
  type Random,
  type StoreIdentity,
  type Transport,
} from "../../../core/node/index.ts";
import { SharedStore } from "../shared-store.ts";
import { type Followed, LogFollower } from "./log-follower.ts";
import { type Fate, LogReading, type LostWrite, LostWrites } from "./lost-write.ts";

export interface LambdaNodeOptions {
  /** Connects to the store under the node's prefix. One connection serves as long as the process lives. */
  readonly openStore: () => Promise<ObjectStore>;
  readonly groupId: string;
  /** The node's name, as `d-engine serve --name` has it. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /**
   * A snapshot is taken at the end of an invocation once so many entries follow the last one: what the next cold
   * start has to replay at most, and a bit. Default 256.
   */
  readonly snapshotEntries?: number;
  /** The most that the state may take in memory where it is read without owning the log. Default 256 MiB. */
  readonly maxStateBytes?: number;
  readonly tuning?: Pick<Partial<NonNullable<NodeOptions["tuning"]>>, "maxRequestBytes" | "maxTxnOps">;
}

/** A request to the engine, which may have to be made again of another one. */
export interface NodeRequest<T> {
  readonly ask: (engine: KvEngine, call: { readonly timeoutMs: number }) => Promise<T>;
  /**
   * Answers it from what the log says, or gives null: of a read, and of a write that turns out to be none. Asked where
   * this process does not own the log, so as not to take it from one that does.
   */
  readonly peek?: (followed: Followed) => T | null;
  /** Of a write: what its result in the log says, when the answer itself was lost. */
  readonly answer?: (result: KvResult, engine: KvEngine) => T | Promise<T>;
}

/** An engine that took the log over, and what it read then. */
interface Reign {
  readonly engine: KvEngine;
  readonly reading: LogReading;
  /** Why it stopped by itself. */
  failure: unknown;
}

const SNAPSHOT_ENTRIES = 256;
const SNAPSHOT_BYTES = 16 << 20;
const MAX_STATE_BYTES = 256 << 20;
/** What a takeover is reckoned with until one was measured. */
const FIRST_TAKEOVER_MS = 100;
/** Random pauses are up to 2^this takeovers long: room for as many rivals. */
const MAX_DOUBLINGS = 4;
const MAX_LOOKS = 32;
const CONTENDED_RETRY_MS = 500;
const LEASE_POLL_MS = 5;

/** The log was lost to another process, or its store was silent: opening it anew may help, and does no harm. */
const LOST_LOG: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "fenced",
  "storageLocked",
  "storageUnavailable",
  "storageThrottled",
]);
/** How a request ends whose engine stopped under it; a write that was sent names its proposal as well. */
const ENGINE_GONE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["stopped", "proposalDropped"]);

/**
 * The only voter of a group, in a process that may be frozen at any moment and thawed much later, beside any number of
 * others that are the same voter. Whoever is asked something takes the log over; everybody before is fenced.
 *
 * Nothing here trusts that time has passed, or that it has not: a write is acknowledged when its slot of the log is
 * filled, which a fenced process cannot do, and a read once the store has confirmed, after the question came, that
 * this process still owns the log. So a process that was frozen with an engine in its memory may go on with it.
 */
export class LambdaNode {
  readonly #options: LambdaNodeOptions;
  readonly #lost: LostWrites = new LostWrites();
  readonly #store: SharedStore;
  readonly #follower: LogFollower;
  #reign: Reign | null = null;
  #opening: Promise<Reign> | null = null;
  /** How often the log was lost since something was last answered. */
  #losses = 0;
  #takeoverMs: number = FIRST_TAKEOVER_MS;
  /** Why the log could not be taken over when it was last tried. */
  #obstacle: unknown = null;
  #closed = false;

  constructor(options: LambdaNodeOptions) {
    this.#options = options;
    const { openStore, clock, random, maxStateBytes = MAX_STATE_BYTES } = options;
    this.#store = new SharedStore(openStore, clock);
    const lend = (): Promise<ObjectStore> => this.#store.lend();
    this.#follower = new LogFollower({ openStore: lend, clock, random, maxStateBytes });
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /** The engine, which may have lost the log. Null until the first request. */
  get engine(): KvEngine | null {
    return this.#reign?.engine ?? null;
  }

  /** An invocation has begun, and has until then, on the clock: what is asked of the store ends by then. */
  invoked(deadlineMs: number): void {
    this.#store.invoked(deadlineMs);
  }

  /**
   * Makes the request of an engine that owns the log, and of the next one when it turns out that it did not: as often
   * as there is time. A write whose engine was fenced in the middle is looked for in the log, and repeated only when it
   * is not there.
   *
   * @param deadlineMs on the clock.
   * @throws EngineError what the engine says; `tooManyRequests` when others kept taking the log, and the request had no
   * effect; `leaderChanged` or `timeout`, code 14, for a write that may have been done.
   */
  async run<T>(deadlineMs: number, request: NodeRequest<T>): Promise<T> {
    let lost: LostWrite | null = null;
    try {
      for (;;) {
        const peeked = lost === null ? await this.#peek(deadlineMs, request) : null;
        if (peeked !== null) return peeked;
        const reign = await this.#owner(deadlineMs, lost);
        if (reign === null) continue;
        let fate: Fate = { type: "never" };
        try {
          if (lost !== null) fate = await this.#fateOf(lost, reign, deadlineMs);
          if (fate.type === "never") {
            if (lost !== null) this.#lost.forget(lost);
            lost = null;
            await this.#endDueLeases(reign.engine, deadlineMs);
            const answer = await request.ask(reign.engine, { timeoutMs: this.#leftMs(deadlineMs) });
            this.#losses = 0;
            // Their time runs from the first answer of a new owner on, also if it is frozen before it comes to that.
            reign.engine.ringLeases();
            return answer;
          }
        } catch (error) {
          lost = this.#lostBy(reign, error, lost);
          continue;
        }
        if (fate.type === "unknown") throw new EngineError("leaderChanged");
        return await resultOf(fate.result, request, reign.engine);
      }
    } finally {
      if (lost !== null) this.#lost.forget(lost);
    }
  }

  /**
   * Ends an invocation: takes the snapshot that is due, as far as there is time; what is not done goes on with the next
   * one. Timers need no stopping: what they do late is what a process does that was stopped for a while.
   */
  async rest(deadlineMs: number): Promise<void> {
    const engine = this.#reign?.engine;
    if (engine === undefined || engine.isStopped) return;
    const { firstIndex, lastIndex } = engine.status();
    if (lastIndex - firstIndex + 1 < (this.#options.snapshotEntries ?? SNAPSHOT_ENTRIES)) return;
    const taken = engine.takeSnapshot().then(
      () => true,
      // It says so itself where that matters; the next invocation tries again.
      () => false,
    );
    await this.#before(deadlineMs, taken, () => false);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.#reign?.engine.stop();
    await this.#store.close();
  }

  /** Null: it takes an engine that owns the log. */
  async #peek<T>(deadlineMs: number, { peek }: NodeRequest<T>): Promise<T | null> {
    const mayOwn = this.#reign !== null && !this.#reign.engine.isStopped;
    if (peek === undefined || mayOwn || this.#opening !== null) return null;
    const followed = await this.#before(deadlineMs, this.#follower.state(), () => null);
    // Somebody else may have taken the log meanwhile, but not a write that was acknowledged before.
    return followed === null ? null : peek(followed);
  }

  /** What the log says of it, once this engine has read it all. */
  async #fateOf(lost: LostWrite, { engine, reading }: Reign, deadlineMs: number): Promise<Fate> {
    await engine.ready(this.#leftMs(deadlineMs));
    return this.#lost.fateOf(lost, reading);
  }

  /**
   * What a request left behind that its engine took with it; null: nothing. It is to be repeated then.
   *
   * @param lost what it had left behind before.
   * @throws the error, if repeating would not help.
   */
  #lostBy({ engine, failure }: Reign, error: unknown, lost: LostWrite | null): LostWrite | null {
    const isGone = error instanceof EngineError && ENGINE_GONE.has(error.code) && engine.isStopped;
    if (!isGone || !isLostLog(failure)) throw lost === null ? error : maybeDone(error);
    if (error.proposal === undefined) return lost;
    const next = { id: error.proposal, after: engine.status().appliedIndex };
    this.#lost.expect(next);
    return next;
  }

  /** Leases whose time is over end before anything is answered: their timer may be late by how long this was frozen. */
  async #endDueLeases(engine: KvEngine, deadlineMs: number): Promise<void> {
    const { clock } = this.#options;
    const isDue = (): boolean => (engine.nextLeaseDeadlineMs ?? Number.POSITIVE_INFINITY) <= clock.nowMs();
    if (!isDue()) return;
    while (!engine.isStopped && clock.nowMs() < deadlineMs) {
      if (!isDue() && engine.status().pendingProposals === 0) return;
      await new Promise<void>((resolve) => clock.setTimer(LEASE_POLL_MS, resolve));
    }
  }

  #leftMs(deadlineMs: number): number {
    return Math.max(1, deadlineMs - this.clock.nowMs());
  }

  /** An engine that may own the log; null: it was taken by others, try again. */
  async #owner(deadlineMs: number, lost: LostWrite | null): Promise<Reign | null> {
    const reign = this.#reign;
    if (reign !== null && !reign.engine.isStopped) return reign;
    const late = (): never => {
      // Nobody has looked yet what became of it.
      if (lost !== null) throw maybeDone();
      const why = this.#obstacle === null ? "" : ` (${messageOf(this.#obstacle)})`;
      throw new EngineError("tooManyRequests", {
        detail: `the log could not be taken over in time${why}; nothing was done`,
        retryAfterMs: CONTENDED_RETRY_MS,
      });
    };
    if (this.clock.nowMs() >= deadlineMs) late();
    if (this.#closed) throw lost === null ? new EngineError("proposalDropped") : maybeDone();
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    try {
      return await this.#before(deadlineMs, this.#opening, late);
    } catch (error) {
      if (isLostLog(error)) return null;
      throw lost === null ? error : maybeDone(error);
    }
  }

  /** Takes the log over, after a pause if it was lost before: those that pushed one another out come back apart. */
  async #open(): Promise<Reign> {
    const { clock, logger } = this.#options;
    const store = await this.#store.lend();
    if (this.#losses > 0) await this.#waitForQuiet(store);
    const startedMs = clock.nowMs();
    try {
      const reign = await this.#takeOver(store);
      this.#takeoverMs = (this.#takeoverMs + clock.nowMs() - startedMs) / 2;
      this.#reign = reign;
      this.#obstacle = null;
      return reign;
    } catch (error) {
      this.#losses++;
      this.#obstacle = error;
      logger.log("info", "the log could not be taken over", { error: String(error) });
      throw error;
    }
  }

  /**
   * Waits until nobody has taken the log over for as long as that takes, and a random time on top, which is longer the
   * more often it was lost: those that pushed one another out come one after the other. Bounded, since an owner that is
   * stopped in the middle is not waited for.
   */
  async #waitForQuiet(store: ObjectStore): Promise<void> {
    const { clock, random } = this.#options;
    const spread = 2 ** Math.min(this.#losses - 1, MAX_DOUBLINGS);
    let before = await ownershipMark(store);
    for (let look = 0; look < MAX_LOOKS; look++) {
      const pauseMs = this.#takeoverMs * (1 + spread * random.next());
      await new Promise<void>((resolve) => clock.setTimer(pauseMs, resolve));
      const after = await ownershipMark(store);
      if (after === before) return;
      before = after;
    }
  }

  async #takeOver(store: ObjectStore): Promise<Reign> {
    const { clock, random, logger } = this.#options;
    // Who was quicker is to have its turn.
    const storage = await openObjectStorage({ store, clock, random, logger, maxRaises: 1 });
    const reading = new LogReading(this.#lost);
    let engine: KvEngine;
    try {
      engine = await KvEngine.start(await this.#nodeOptions(store.location, storage, reading));
    } catch (error) {
      await storage.close();
      throw error;
    }
    const reign: Reign = { engine, reading, failure: null };
    engine.onFailure((error) => {
      reign.failure = error;
      if (this.#reign === reign && isLostLog(error)) this.#losses++;
    });
    try {
      requireAlone(engine);
      return reign;
    } catch (error) {
      await engine.stop();
      throw error;
    }
  }

  async #nodeOptions(
    location: string,
    storage: NodeOptions["storage"],
    reading: LogReading,
  ): Promise<NodeOptions> {
    const { groupId, name, clock, random, logger, tuning } = this.#options;
    const { identity } = await storage.meta.load();
    if (identity !== null && identity.groupId !== groupId) {
      throw new EngineError("storageForeign", {
        detail: `it belongs to group "${identity.groupId}", and the configuration says "${groupId}"`,
      });
    }
    const found = identity ?? (await foundingIdentity(location, groupId, name));
    const self = { id: found.nodeId, name, peerUrls: [], clientUrls: [], isLearner: false };
    return {
      identity: found,
      founders: identity === null ? [self] : null,
      self: { name, clientUrls: [] },
      storage,
      transport: NOBODY,
      clock,
      random,
      logger,
      applied: reading,
      tuning: {
        ...tuning,
        // No follower will ask for what a snapshot contains, and how many there are is looked at in `rest`.
        trailingEntries: 0,
        snapshotEntries: Number.MAX_SAFE_INTEGER,
        snapshotBytes: SNAPSHOT_BYTES,
      },
    };
  }

  /** The promise, or what `late` gives when the deadline comes first. */
  async #before<T>(deadlineMs: number, promise: Promise<T>, late: () => T): Promise<T> {
    const { promise: over, resolve } = Promise.withResolvers<"late">();
    const cancel = this.clock.setTimer(Math.max(0, deadlineMs - this.clock.nowMs()), () => resolve("late"));
    try {
      const first = await Promise.race([promise.then((value) => ({ value })), over]);
      return first === "late" ? late() : first.value;
    } finally {
      cancel();
    }
  }
}

/** There are no other members. */
const NOBODY: Transport = {
  send: () => {},
  setPeers: () => {},
  start: () => {},
  stop: async () => {},
};

/**
 * Who the node is in a new store. Not drawn: of several processes that found it at once each writes the first snapshot,
 * and a replaced one's may come last, so they all must say the same.
 */
async function foundingIdentity(location: string, groupId: string, name: string): Promise<StoreIdentity> {
  const text = new TextEncoder().encode(JSON.stringify([location, groupId, name]));
  const digest = new DataView(await crypto.subtle.digest("SHA-256", text));
  // 0 is no id.
  const [clusterId, nodeId] = [digest.getBigUint64(0) | 1n, digest.getBigUint64(8) | 1n];
  return { clusterId, groupId, nodeId };
}

/** Alone, what is durable is committed. With others it takes a member that they can reach. */
function requireAlone(engine: KvEngine): void {
  const others = engine.replica.members().filter(({ id }) => id !== engine.nodeId);
  if (others.length === 0) return;
  throw new EngineError("invalidConfig", {
    detail: `the log belongs to a group of ${others.length + 1} members, and a function can only be the only one; remove the others first`,
  });
}

/** A write was sent, and whatever went wrong since, it may be in the log. */
function maybeDone(cause?: unknown): EngineError {
  if (cause instanceof EngineError && cause.maybeApplied) return cause;
  return new EngineError("timeout", cause === undefined ? {} : { cause });
}

function isLostLog(error: unknown): boolean {
  return error instanceof EngineError && LOST_LOG.has(error.code);
}

function resultOf<T>(result: KvResult, { answer }: NodeRequest<T>, engine: KvEngine): T | Promise<T> {
  if (result.type === "error") throw new EngineError(result.code);
  if (answer === undefined) throw new EngineError("leaderChanged");
  return answer(result, engine);
}
