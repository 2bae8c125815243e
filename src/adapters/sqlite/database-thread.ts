import { Worker, type Transferable } from "node:worker_threads";
import { EngineError } from "../../core/errors/index.ts";
import type { DatabaseOptions } from "./database.ts";
import {
  OPENING_ID,
  type Answer,
  type NumberedRequest,
  type Request,
  type Results,
  type WorkerData,
} from "./requests.ts";

/** Sources run as they are and compiled: the worker is the neighbour with the same ending. */
const WORKER_URL: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js",
  import.meta.url,
);

interface Waiter {
  readonly resolve: (value: never) => void;
  readonly reject: (error: EngineError) => void;
}

/**
 * The main thread's end of worker.ts. Requests are carried out in the order of the calls; the queue is as long as
 * the callers let it grow, and the driver bounds the writes it has under way.
 */
export class DatabaseThread {
  readonly #worker: Worker;
  readonly #bell: Int32Array = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #waiters = new Map<number, Waiter>();
  /** What this turn has asked, which leaves as one message. */
  #asked: NumberedRequest[] = [];
  #transfer: Transferable[] = [];
  #nextId: number = OPENING_ID;
  /** Why no request can be answered any more. */
  #gone: string | null = null;

  private constructor(options: DatabaseOptions) {
    this.#worker = new Worker(WORKER_URL, {
      workerData: { ...options, bell: this.#bell } satisfies WorkerData,
      name: "d-engine sqlite",
      // About a script on the command line, and refused where there is none.
      execArgv: process.execArgv.filter((option) => !option.startsWith("--input-type")),
    });
    this.#worker.on("message", (answers: readonly Answer[]) => this.#settle(answers));
    this.#worker.on("error", (error) => this.#lose(`the database thread failed: ${String(error)}`));
    this.#worker.on("exit", () => this.#lose("the store is closed"));
  }

  /** Starts the thread; resolves once the database is open, and rejects with the reason why it cannot be. */
  static async open(options: DatabaseOptions): Promise<DatabaseThread> {
    const thread = new DatabaseThread(options);
    await thread.#wait();
    return thread;
  }

  call<T extends Request["type"]>(
    request: Request & { readonly type: T },
    transfer?: readonly Transferable[],
  ): Promise<Results[T]> {
    if (this.#gone !== null) {
      return Promise.reject(new EngineError("storageFailed", { detail: this.#gone }));
    }
    this.#asked.push({ id: this.#nextId, request });
    if (transfer !== undefined) this.#transfer.push(...transfer);
    // After what the turn has to say to other members: their disks are further away.
    if (this.#asked.length === 1) queueMicrotask(() => this.#post());
    return this.#wait<Results[T]>();
  }

  /** Waits for what was asked before, then closes the database and gives the directory free. */
  async close(): Promise<void> {
    if (this.#gone !== null) return;
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    const closed = this.call({ type: "close" });
    this.#gone = "the store is closed";
    await closed;
    // Whoever waits for this must not find the process gone for want of work.
    this.#worker.ref();
    await exited;
  }

  #post(): void {
    const asked = this.#asked;
    const transfer = this.#transfer;
    this.#asked = [];
    this.#transfer = [];
    this.#worker.postMessage(asked, transfer);
    Atomics.add(this.#bell, 0, 1);
    Atomics.notify(this.#bell, 0);
  }

  #wait<T>(): Promise<T> {
    const id = this.#nextId++;
    // Only work under way keeps the process alive.
    if (this.#waiters.size === 0) this.#worker.ref();
    return new Promise<T>((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
    });
  }

  #settle(answers: readonly Answer[]): void {
    for (const answer of answers) {
      const waiter = this.#waiters.get(answer.id);
      this.#waiters.delete(answer.id);
      if (answer.ok) waiter?.resolve(answer.value as never);
      else waiter?.reject(new EngineError(answer.code, { detail: answer.detail }));
    }
    if (this.#waiters.size === 0) this.#worker.unref();
  }

  #lose(reason: string): void {
    this.#gone ??= reason;
    const error = new EngineError("storageFailed", { detail: reason });
    for (const { reject } of this.#waiters.values()) reject(error);
    this.#waiters.clear();
  }
}
