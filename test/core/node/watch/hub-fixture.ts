import { encodeCommand, type KvCommand, KvStore } from "../../../../src/core/kv/index.ts";
import {
  type Clock,
  type ResumableWatchStream,
  type WatchResponse,
  type WatchStream,
  WatchHub,
  type WatchTuning,
} from "../../../../src/core/node/index.ts";
import { Prng } from "../../raft/harness/prng.ts";
import { bytes, text } from "../../kv/support.ts";

/** Timers that run when they are told to. */
export class HandClock implements Clock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.length;
  }

  get isDue(): boolean {
    return this.#timers.some(({ atMs }) => atMs <= this.#nowMs);
  }

  /** Runs what is due within `ms`, and what that sets off. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= end).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
    }
    this.#nowMs = end;
  }
}

/** A store that applies at once, and the watches on it. */
export class HubFixture {
  readonly clock: HandClock = new HandClock();
  readonly store: KvStore = new KvStore();
  readonly hub: WatchHub;
  readonly #random: Prng = new Prng(7);

  constructor(tuning: Partial<WatchTuning> = {}) {
    this.hub = new WatchHub({
      store: this.store,
      header: (revision) => ({ clusterId: 1n, memberId: 2n, revision, raftTerm: 3 }),
      clock: this.clock,
      random: { next: () => this.#random.next(), id: () => 1n },
      tuning,
    });
  }

  apply(...commands: KvCommand[]): void {
    this.store.applyChunk(
      commands.map((command) => ({ command: encodeCommand(command), term: 1 })),
      () => this.hub.applied(),
    );
  }

  put(key: string, value: string): void {
    this.apply(put(key, value));
  }

  delete(key: string, rangeEnd: string = ""): void {
    this.apply({ type: "deleteRange", request: { key: bytes(key), rangeEnd: bytes(rangeEnd) } });
  }

  compact(revision: number): void {
    this.apply({ type: "compact", request: { revision } });
    while (this.store.compactStep(1000));
  }

  /** Replaces the state by another store's, as a snapshot from the leader does. */
  install(other: KvStore): void {
    const restorer = this.store.restorer();
    const snapshot = other.snapshot();
    for (const chunk of snapshot.chunks()) restorer.push(chunk);
    snapshot.release();
    restorer.finish();
    this.hub.restored();
  }

  open(requireLeader: boolean = false): ResumableWatchStream {
    return this.hub.open({ requireLeader }, true);
  }

  /** Reads all responses that are to be had now. Meanwhile a read may stay open. */
  async drain(stream: WatchStream): Promise<WatchResponse[]> {
    const responses: WatchResponse[] = [];
    for (;;) {
      const response = await this.nextNow(stream);
      if (response === null) return responses;
      responses.push(response);
    }
  }

  /** The next response, if there is one to be had now. Later responses go to whoever asks next. */
  async nextNow(stream: WatchStream): Promise<WatchResponse | null> {
    const next = this.#open.get(stream) ?? stream.next();
    this.#open.set(stream, next);
    const response = await Promise.race([next, this.#quiet()]);
    if (response === "quiet") return null;
    this.#open.delete(stream);
    return response;
  }

  /** As lines. */
  async lines(stream: WatchStream): Promise<string[]> {
    return (await this.drain(stream)).map(line);
  }

  readonly #open: Map<WatchStream, Promise<WatchResponse | null>> = new Map();

  /** Resolves when nothing is left to be done now. */
  async #quiet(): Promise<"quiet"> {
    do {
      this.clock.advance(0);
      await settled();
    } while (this.clock.isDue);
    await settled();
    return "quiet";
  }
}

async function settled(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

export function put(key: string, value: string): KvCommand & { readonly type: "put" } {
  return { type: "put", request: { key: bytes(key), value: bytes(value) } };
}

/** A response in a line: `#0 created @3`, `#0 a=1@2 b-@3`. */
export function line(response: WatchResponse): string {
  const { watchId, created, canceled, compactRevision, cancelReason, fragment, initial, events, header } =
    response;
  const words = [`#${watchId}`];
  if (created) words.push("created");
  if (canceled) words.push("canceled");
  if (compactRevision !== 0) words.push(`compacted=${compactRevision}`);
  if (cancelReason !== "") words.push(`(${cancelReason})`);
  if (initial) words.push("initial");
  for (const { type, kv, prevKv } of events) {
    const change = type === "put" ? `=${text(kv.value)}` : "-";
    const previous = prevKv === null ? "" : `<${text(prevKv.value)}`;
    words.push(`${text(kv.key)}${change}${previous}@${kv.modRevision}`);
  }
  if (fragment) words.push("...");
  words.push(`/${header.revision}`);
  return words.join(" ");
}
