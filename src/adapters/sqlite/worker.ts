// The thread that owns the database, so that no commit holds up the event loop.
//
// Measured by bench/sqlite.ts against commits on the event loop, with 40 µs of other work for each request. A disk
// that syncs in 0.1 ms: 64 clients 21,300 requests/s against 19,500, 256 clients 21,900 each, longest pause of the
// event loop 4 ms against 6. One that takes 3 ms: 64 clients 6,300 against 5,700, 256 clients 17,100 against 13,600,
// longest pause 5 ms against 24, which heartbeats would have to wait out. The price is the way between the threads,
// for a commit that nobody shares: 13 µs there and back on warm processors, 0.1 ms and more where others want them too.
// With an event loop at this end it was twice that.

import { parentPort, receiveMessageOnPort, workerData, type Transferable } from "node:worker_threads";
import { assert, EngineError } from "../../core/errors/index.ts";
import { Database, type WriteBatch } from "./database.ts";
import { packRows } from "./packed-entries.ts";
import { OPENING_ID, type Answer, type NumberedRequest, type Request, type WorkerData } from "./requests.ts";
import { storageError } from "./storage-error.ts";

/** Requests after which no further message is taken from the queue: bounds how much one commit can grow. */
const MAX_ROUND = 1024;
const MAX_COMMIT_BYTES = 16 << 20;
/** So often the thread lets its event loop have a turn. */
const ROUNDS_OF_A_TURN = 256;

assert(parentPort !== null, "worker.ts is not a program of its own");
const port = parentPort;

/** Carries out what has queued up: neighbouring writes together, everything else by itself, in the order asked. */
class Worker {
  readonly #database: Database;
  #answers: Answer[] = [];
  #transfer: Transferable[] = [];
  #writeIds: number[] = [];
  #writes: WriteBatch[] = [];
  #writeBytes = 0;
  #trimming = false;
  #closed = false;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Serves until the database is closed. Sleeps on the bell, see {@link WorkerData}. */
  async run(bell: Int32Array): Promise<void> {
    for (let rounds = 1; !this.#closed; rounds++) {
      // Before the look at what has come: what comes after it has rung, and there is no sleep.
      const heard = Atomics.load(bell, 0);
      if (!this.#round() && !this.#trim()) Atomics.wait(bell, 0, heard);
      // Whatever the runtime puts off to a turn of the event loop must not be put off for ever.
      if (rounds % ROUNDS_OF_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** All that came while the last round was committing; false if nothing did. */
  #round(): boolean {
    let next = receive();
    if (next === undefined) return false;
    for (let count = 0; next !== undefined; next = count < MAX_ROUND ? receive() : undefined) {
      for (const request of next) this.#take(request);
      count += next.length;
    }
    this.#flushWrites();
    port.postMessage(this.#answers, this.#transfer);
    this.#answers = [];
    this.#transfer = [];
    return true;
  }

  #take({ id, request }: NumberedRequest): void {
    if (request.type === "write") {
      this.#writeIds.push(id);
      this.#writes.push(request);
      this.#writeBytes += request.entries?.length ?? 0;
      if (this.#writeBytes >= MAX_COMMIT_BYTES) this.#flushWrites();
      return;
    }
    this.#flushWrites();
    try {
      this.#answers.push({ id, ok: true, value: this.#execute(request) });
    } catch (error) {
      this.#answers.push(failure(id, error));
    }
  }

  #flushWrites(): void {
    const ids = this.#writeIds;
    if (ids.length === 0) return;
    try {
      const outcomes = this.#database.write(this.#writes);
      ids.forEach((id, i) => {
        const error = outcomes[i] ?? null;
        this.#answers.push(error === null ? { id, ok: true, value: undefined } : failure(id, error));
      });
    } catch (error) {
      for (const id of ids) this.#answers.push(failure(id, error));
    }
    this.#writeIds = [];
    this.#writes = [];
    this.#writeBytes = 0;
  }

  #execute(request: Exclude<Request, { type: "write" }>): Extract<Answer, { ok: true }>["value"] {
    const database = this.#database;
    switch (request.type) {
      case "verifyLog":
        // An interrupted compaction may have left its waste; from now on it is known where the log begins.
        this.#trimming = true;
        return database.verifyLog();
      case "loadMeta":
        return { identity: database.identity(), hardState: database.hardState() };
      case "saveIdentity":
        database.saveIdentity(request.identity);
        return undefined;
      case "read": {
        const packed = packRows(database.read(request.from, request.to, request.maxBytes));
        this.#transfer.push(packed.buffer);
        return packed;
      }
      case "term":
        return database.term(request.index);
      case "compact":
        database.compact(request.to);
        this.#trimming = true;
        return undefined;
      case "reset":
        database.reset(request.index, request.term);
        return undefined;
      case "close":
        this.#trimming = false;
        database.close();
        this.#closed = true;
        return undefined;
    }
  }

  /** A step at a time, so that whatever queues up meanwhile goes first. False if there is nothing to clean up. */
  #trim(): boolean {
    if (!this.#trimming) return false;
    try {
      this.#trimming = this.#database.trimStep();
    } catch {
      // The database has failed, and says so to the next request.
      this.#trimming = false;
    }
    return true;
  }
}

function receive(): readonly NumberedRequest[] | undefined {
  return (receiveMessageOnPort(port) as { message: readonly NumberedRequest[] } | undefined)?.message;
}

function failure(id: number, error: unknown): Answer {
  const { code, detail } = error instanceof EngineError ? error : storageError(error, "the database");
  return { id, ok: false, code, detail: detail ?? "" };
}

function start(options: WorkerData): void {
  let database: Database;
  try {
    database = new Database(options);
  } catch (error) {
    port.postMessage([failure(OPENING_ID, error)]);
    return;
  }
  port.postMessage([{ id: OPENING_ID, ok: true, value: undefined } satisfies Answer]);
  // With its end the thread ends: nothing else keeps it.
  void new Worker(database).run(options.bell);
}

start(workerData as WorkerData);
