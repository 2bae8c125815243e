import type { ObjectStore, PutOutcome } from "../../../../src/adapters/object-store/index.ts";
import type { Clock, Logger, Random } from "../../../../src/core/node/index.ts";
import { EngineError } from "../../../../src/core/errors/index.ts";
import type { Fate } from "./fate.ts";
import { ObjectBucket } from "../object-bucket.ts";

/** A process: everything it asked for that is still to happen, and whether it is there to hear of it. */
export interface Process {
  readonly id: number;
  alive: boolean;
  stalledUntil: number;
}

interface Pending {
  /** Null: it was sent by a process that is gone, or has been given up on. */
  readonly process: Process | null;
  readonly label: string;
  /** What happens when it is chosen. */
  readonly happen: () => void;
  /** The request's effect alone, for when nobody listens; null for replies and timers. */
  readonly effect: (() => void) | null;
  readonly dueMs: number;
}

export interface WorldLimits {
  readonly maxObjectBytes: number;
  readonly pageSize: number;
  /** Timers fire when they are due, and time passes by itself only when nothing else can happen. Default: any time. */
  readonly timersInOrder?: boolean;
}

/**
 * A bucket, the processes that use it, and nothing that happens by itself: whatever is asked for waits until the
 * world chooses it, so that a seed is a schedule.
 */
export class World {
  readonly bucket: ObjectBucket = new ObjectBucket();
  fate: Fate;
  readonly #limits: WorldLimits;
  readonly #processes: Process[] = [];
  #pending: Pending[] = [];
  /** Requests that nobody waits for any more. */
  #ghosts: Pending[] = [];
  #nowMs = 0;
  #ids = 0n;
  step = 0;
  /** What happened, one line each; kept only when somebody wants to read it. */
  readonly story: string[] | null;

  constructor(fate: Fate, limits: WorldLimits, tell: boolean) {
    this.fate = fate;
    this.#limits = limits;
    this.story = tell ? [] : null;
  }

  tell(line: () => string): void {
    this.story?.push(`${String(this.step).padStart(4)} ${line()}`);
  }

  spawn(): Process {
    const process: Process = { id: this.#processes.length + 1, alive: true, stalledUntil: 0 };
    this.#processes.push(process);
    return process;
  }

  /** The process is gone. What it had sent may still be done. */
  kill(process: Process): void {
    process.alive = false;
    for (const { process: sender, label, effect } of this.#pending) {
      if (sender === process && effect !== null) this.#ghosts.push(ghost(label, effect));
    }
    this.#pending = this.#pending.filter((event) => event.process !== process);
    this.tell(() => `process ${process.id} dies`);
  }

  /** Time passes in which nothing happens, as for a process that is frozen. */
  pass(ms: number): void {
    this.#nowMs += ms;
    this.tell(() => `${ms} ms pass`);
  }

  /** Nothing that was given up on happens any more. */
  exorcise(): void {
    this.#ghosts = [];
  }

  surroundings(process: Process): { clock: Clock; random: Random; store: ObjectStore } {
    const clock: Clock = {
      nowMs: () => this.#nowMs,
      wallMs: () => this.#nowMs,
      setTimer: (delayMs, callback) => {
        let wanted = true;
        const happen = (): void => {
          if (wanted) callback();
        };
        const dueMs = this.#nowMs + delayMs;
        this.#pending.push({ process, label: "timer", happen, effect: null, dueMs });
        return () => (wanted = false);
      },
    };
    const random: Random = { next: () => 0.5, id: () => ++this.#ids };
    return { clock, random, store: this.#store(process) };
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  logger(log: Logger["log"]): Logger {
    return { log };
  }

  /** Lets one thing happen, and everything that follows from it by itself. False: there is nothing to happen. */
  async advance(): Promise<boolean> {
    this.step++;
    this.#nowMs++;
    this.#misfortune();
    const chosen = this.#choose();
    if (chosen === null) return false;
    this.#nowMs = Math.max(this.#nowMs, chosen.dueMs);
    chosen.happen();
    await turn();
    return true;
  }

  #choose(): Pending | null {
    const isReady = ({ process }: Pending): boolean => (process?.stalledUntil ?? 0) <= this.step;
    // Those that are stalled go on when nobody else has anything to do; what was given up on comes last.
    const awake = this.#pending.filter(isReady);
    const choices = [...this.#due(awake.length > 0 ? awake : this.#pending), ...this.#ghosts];
    const chosen = choices[choices.length === 0 ? 0 : this.fate.choose(choices.length)];
    if (chosen === undefined) return null;
    const from = chosen.process === null ? this.#ghosts : this.#pending;
    from.splice(from.indexOf(chosen), 1);
    return chosen;
  }

  #due(events: readonly Pending[]): readonly Pending[] {
    if (this.#limits.timersInOrder !== true || events.length === 0) return events;
    const untilMs = Math.max(this.#nowMs, Math.min(...events.map(({ dueMs }) => dueMs)));
    return events.filter(({ dueMs }) => dueMs <= untilMs);
  }

  #misfortune(): void {
    const living = this.#processes.filter(({ alive, stalledUntil }) => alive && stalledUntil <= this.step);
    if (living.length === 0) return;
    const blow = this.fate.misfortune(living.length);
    if (blow === null) return;
    const process = living[blow.process]!;
    if (blow.type === "crash") this.kill(process);
    else {
      process.stalledUntil = this.step + blow.steps;
      this.tell(() => `process ${process.id} is stalled for ${blow.steps} steps`);
    }
  }

  #store(process: Process): ObjectStore {
    const { bucket } = this;
    const { maxObjectBytes, pageSize } = this.#limits;
    return {
      maxObjectBytes,
      location: "world",
      get: (name) => this.#ask(process, `get ${name}`, () => bucket.get(name)),
      list: (prefix, { startAfter = "", limit = pageSize } = {}) =>
        this.#ask(process, `list ${prefix} after ${startAfter}`, () =>
          bucket.list(prefix, startAfter, Math.min(limit, pageSize)),
        ),
      delete: (names) => this.#ask(process, `delete ${names.join(" ")}`, () => bucket.delete(names)),
      putIfAbsent: (name, body) => {
        if (body.length > maxObjectBytes) throw new Error(`${name} has ${body.length} bytes`);
        return this.#put(process, `create ${name}`, () => bucket.putIfAbsent(name, body));
      },
      putIfMatch: (name, body, version) =>
        this.#put(process, `replace ${name}`, () => bucket.putIfMatch(name, body, version)),
      close: async () => {},
    };
  }

  /** A request that the sender may repeat. */
  #ask<T>(process: Process, label: string, effect: () => T): Promise<T> {
    const fail = (): never => {
      throw new EngineError("storageUnavailable", { detail: label });
    };
    return this.#request(process, label, effect, fail);
  }

  #put(process: Process, label: string, effect: () => PutOutcome): Promise<PutOutcome> {
    return this.#request(process, label, effect, () => ({ type: "unknown", cause: new Error("no reply") }));
  }

  #request<T>(process: Process, label: string, effect: () => T, silence: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const reply = (answer: () => T): void => {
      try {
        resolve(answer());
      } catch (error) {
        reject(error as Error);
      }
    };
    const happen = (): void => {
      const say = (what: string): void => this.tell(() => `${process.id}: ${label} ${what}`);
      const end = this.fate.end();
      if (end === "late or never") {
        say("vanishes, perhaps to come later");
        this.#ghosts.push(ghost(label, effect));
        return reply(silence);
      }
      if (end === "busy") {
        say("is turned away");
        return reply(() => {
          throw new EngineError("storageThrottled", { detail: label });
        });
      }
      const result = effect();
      say(`${outcome(result)}${end === "done" ? "" : `, ${end}`}`);
      if (end === "reply lost") return reply(silence);
      if (end === "done") return reply(() => result);
      const later = (): void => reply(() => result);
      this.#pending.push({ process, label: `reply to ${label}`, happen: later, effect: null, dueMs: 0 });
    };
    // A process that is gone sends nothing more.
    if (process.alive) this.#pending.push({ process, label, happen, effect, dueMs: 0 });
    return promise;
  }
}

function ghost(label: string, effect: () => void): Pending {
  return { process: null, label: `late ${label}`, happen: effect, effect, dueMs: 0 };
}

function outcome(result: unknown): string {
  const { type } = (result ?? { type: "is not there" }) as { type?: string };
  return type ?? "is answered";
}

/** Everything that needs no decision of the world has happened then. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
