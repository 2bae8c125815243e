import { EngineError } from "../errors/index.ts";
import type { KvSnapshot, KvStore, Revision } from "../kv/index.ts";
import type { HashResponse } from "./engine.ts";
import type { Clock } from "./ports.ts";

/** Each keeps what is compacted meanwhile from being freed. */
const MAX_WALKS = 4;
/** A walk whose reader takes nothing for so long is over: history could not be freed for ever. */
const PATIENCE_MS = 60_000;
/** So much of it comes back with each piece that is taken, or a reader could do that once a minute. */
const REGAINED_MS = 1000;
/** About a millisecond. */
const HASHED_KEYS_PER_TURN = 1000;

/** What goes over the whole state bit by bit, while the node goes on working. */
export class StateWalks {
  readonly #store: KvStore;
  readonly #clock: Clock;
  readonly #released: () => void;
  #running = 0;

  /** @param released called when a walk has let go of the state. */
  constructor(store: KvStore, clock: Clock, released: () => void) {
    this.#store = store;
    this.#clock = clock;
    this.#released = released;
  }

  /** Captures the state now. To be ended. @throws EngineError `tooManyRequests`. */
  begin(): StateWalk {
    if (this.#running >= MAX_WALKS) {
      throw new EngineError("tooManyRequests", { detail: `${MAX_WALKS} look at the whole state already` });
    }
    this.#running++;
    return new StateWalk(this.#store.snapshot(), this.#clock, () => {
      this.#running--;
      this.#released();
    });
  }

  /** Hash of the present state, or of an earlier revision in it; 0: the present one. It is captured at once. */
  async hash(revision: Revision, signal?: AbortSignal): Promise<HashResponse> {
    const walk = this.begin();
    try {
      const { compactRevision, revision: latest } = walk.state;
      const hashRevision = revision <= 0 ? latest : revision;
      const hasher = walk.state.hasher(hashRevision);
      while (hasher.step(HASHED_KEYS_PER_TURN)) await walk.turn(signal);
      const hash = hasher.digest();
      if (hashRevision !== latest) return { hash, hashRevision, compactRevision };
      const rest = walk.state.wholeHash(hash);
      let step = rest.next();
      for (; step.done !== true; step = rest.next()) await walk.turn(signal);
      return { hash, hashRevision, compactRevision, stateHash: step.value };
    } finally {
      walk.end();
    }
  }
}

/** One of them. */
export class StateWalk {
  readonly #clock: Clock;
  readonly #ended: () => void;
  #state: KvSnapshot | null;
  #patienceMs = PATIENCE_MS;

  constructor(state: KvSnapshot, clock: Clock, ended: () => void) {
    this.#state = state;
    this.#clock = clock;
    this.#ended = ended;
  }

  /** @throws EngineError `timeout` when the walk has ended. */
  get state(): KvSnapshot {
    if (this.#state === null) throw new EngineError("timeout", { detail: "it was not read for too long" });
    return this.#state;
  }

  /** A turn for everybody else. @throws EngineError `canceled` when `signal` has aborted. */
  async turn(signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.setTimer(0, resolve));
    if (signal?.aborted === true) throw new EngineError("canceled");
  }

  /**
   * While somebody has yet to take a piece; if that takes too long, or too long on the whole, the walk ends. Call what it
   * gives.
   */
  awaitReader(): () => void {
    const sinceMs = this.#clock.nowMs();
    const cancel = this.#clock.setTimer(this.#patienceMs, () => this.end());
    return () => {
      cancel();
      const waitedMs = this.#clock.nowMs() - sinceMs;
      this.#patienceMs = Math.min(PATIENCE_MS, Math.max(0, this.#patienceMs - waitedMs) + REGAINED_MS);
    };
  }

  end(): void {
    if (this.#state === null) return;
    this.#state.release();
    this.#state = null;
    this.#ended();
  }
}
