import { AsyncLocalStorage } from "node:async_hooks";
import { EngineError } from "../../core/errors/index.ts";
import { type RangeRequest, type TxnRequest, validateRange, validateTxn } from "../../core/kv/index.ts";
import {
  type CallOptions,
  type Engine,
  NODE_DEFAULTS,
  type ReadAge,
  type ReadOptions,
  type ResponseHeader,
  type StoredLog,
  StoredReplica,
} from "../../core/node/index.ts";
import { nodeClock } from "../node/node-clock.ts";
import type { Deadline } from "./deadline.ts";

export interface StoredReadsOptions {
  readonly open: () => Promise<StoredLog>;
  readonly maxAgeMs: number;
  readonly maxStateBytes: number;
}

/** Of the log, in one step. */
const STEP_BYTES = 8 << 20;
/** What a read that takes anything waits for news. */
const NEWS_MS = 500;
/** A state that was too large is not fetched again for so long: it may take many requests to find that out. */
const TOO_LARGE_MS = 60_000;
/** Between two looks for a revision that is not there yet. */
const LOOK_AGAIN_MS = 50;

/** A copy of what a node's stores hold, in the memory of a function, and how old it is. */
interface Copy {
  readonly state: NonNullable<StoredReplica["state"]>;
  readonly age: ReadAge;
}

/** A moment by both clocks: the one stands still while the process is frozen, the other may be set back. */
interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/**
 * Eventual reads, and those only, from what a node has stored: the node need not run. The copy is kept from one
 * invocation to the next and brought forward when it was last compared with the store too long ago.
 */
export class StoredReads {
  /** What of an engine these reads need; everything else is `unimplemented`. */
  readonly engine: Engine;
  readonly #options: StoredReadsOptions;
  readonly #deadlines: AsyncLocalStorage<Deadline> = new AsyncLocalStorage();
  #replica: StoredReplica | null = null;
  /** When the copy last had everything. */
  #checked: Moment | null = null;
  #catchingUp: Promise<void> | null = null;
  #tooLarge: { readonly error: EngineError; readonly since: Moment } | null = null;

  constructor(options: StoredReadsOptions) {
    this.#options = options;
    const reads: Pick<Engine, "header" | "range" | "txn"> = {
      header: () => this.#header(),
      range: async (request, options) => {
        validateRange(request);
        return await this.#read(options, (copy) => answerRange(copy, request));
      },
      txn: async (request, options) => {
        validateTxn(request, NODE_DEFAULTS.maxTxnOps);
        return await this.#read(options, (copy) => answerTxn(copy, request));
      },
    };
    this.engine = withNothingElse(reads);
  }

  /** Runs what asks the engine, with the time that it has. */
  within<T>(deadline: Deadline, act: () => T): T {
    return this.#deadlines.run(deadline, act);
  }

  async #read<T>(options: ReadOptions & CallOptions = {}, answer: (copy: Copy) => T): Promise<T> {
    if (options.consistency !== "eventual") throw new EngineError("unimplemented");
    return answer(await this.#copy(options.minRevision ?? 0));
  }

  /** A copy that is as new as it is asked to be, and as time allows. */
  async #copy(minRevision: number): Promise<Copy> {
    if (this.#tooLarge !== null && msSince(this.#tooLarge.since) < TOO_LARGE_MS) throw this.#tooLarge.error;
    const deadline = this.#deadlines.getStore();
    const leftMs = (): number => deadline?.leftMs() ?? NEWS_MS;
    const copy = this.#present();
    if (copy !== null && copy.age.checkedMsAgo <= this.#options.maxAgeMs && reaches(copy, minRevision))
      return copy;
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      const before = this.#present();
      const patient = before === null || !reaches(before, minRevision);
      const problem = await this.#catchUp(patient ? leftMs() : Math.min(NEWS_MS, leftMs()));
      const found = this.#present();
      if (found !== null && reaches(found, minRevision)) return found;
      if (problem !== null && !problem.retryable && problem.code !== "canceled") throw problem;
      if (leftMs() > LOOK_AGAIN_MS) continue;
      if (found === null)
        throw problem ?? new EngineError("storageUnavailable", { detail: "no answer in time" });
      const detail = `revision ${minRevision} was not stored in time; the copy is of ${found.state.store.revision}`;
      throw new EngineError("revisionNotReached", { detail, retryAfterMs: 1000 });
    }
  }

  /** Null while there is no state that may be served. @throws EngineError `permissionDenied`. */
  #present(): Copy | null {
    const state = this.#replica?.state ?? null;
    if (state === null || this.#checked === null) return null;
    // Whose token it is that a client sends, and what that user may read, only members can say.
    if (state.store.auth.isEnabled) {
      throw new EngineError("permissionDenied", { detail: "with users and roles, members answer reads" });
    }
    return { state, age: { checkedMsAgo: msSince(this.#checked), writtenAtMs: state.writtenAtMs } };
  }

  /** At most so long; gives the reason why it came to nothing, if it did. One at a time serves all who wait. */
  async #catchUp(patienceMs: number): Promise<EngineError | null> {
    if (patienceMs <= 0) return null;
    // Ended with the one who began it, so that nothing is left for the next invocation to meet half done.
    this.#catchingUp ??= this.#bringForward(patienceMs).finally(() => {
      this.#catchingUp = null;
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    try {
      await Promise.race([this.#catchingUp, late]);
      return null;
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      if (error.code === "stateTooLarge") this.#tooLarge = { error, since: now() };
      return error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #bringForward(patienceMs: number): Promise<void> {
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(), patienceMs);
    try {
      this.#replica ??= new StoredReplica({
        log: await this.#options.open(),
        clock: nodeClock,
        maxStateBytes: this.#options.maxStateBytes,
      });
      for (let atEnd = false; !atEnd && !aborter.signal.aborted;) {
        const began = now();
        atEnd = await this.#replica.catchUp({ maxBytes: STEP_BYTES, signal: aborter.signal });
        if (atEnd) this.#checked = began;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #header(): ResponseHeader {
    const copy = this.#present();
    if (copy === null) throw new EngineError("storageUnavailable");
    return headerOf(copy);
  }
}

function reaches({ state }: Copy, revision: number): boolean {
  return state.store.revision >= revision;
}

function answerRange(copy: Copy, request: RangeRequest): Awaited<ReturnType<Engine["range"]>> {
  return {
    ...copy.state.store.range(request, NODE_DEFAULTS.maxRangeBytes),
    header: headerOf(copy),
    age: copy.age,
  };
}

function answerTxn(copy: Copy, request: TxnRequest): Awaited<ReturnType<Engine["txn"]>> {
  return { ...copy.state.store.readTxn(request, NODE_DEFAULTS.maxRangeBytes), header: headerOf(copy) };
}

function headerOf({ state }: Copy): ResponseHeader {
  const { clusterId, nodeId } = state.identity;
  return { clusterId, memberId: nodeId, revision: state.store.revision, raftTerm: state.term };
}

/** An engine of which only these parts may be asked for. */
function withNothingElse(parts: Partial<Engine>): Engine {
  return new Proxy(parts as Engine, {
    get: (target, name) => {
      const part: unknown = Reflect.get(target, name);
      // A promise is not what this is.
      if (part !== undefined || name === "then") return part;
      return (): Promise<never> => Promise.reject(new EngineError("unimplemented"));
    },
  });
}

function now(): Moment {
  return { wallMs: Date.now(), monotonicMs: performance.now() };
}

/** By the clock that says more. */
function msSince({ wallMs, monotonicMs }: Moment): number {
  return Math.ceil(Math.max(0, Date.now() - wallMs, performance.now() - monotonicMs));
}
