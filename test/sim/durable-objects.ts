import type { KvEngine } from "../../src/core/node/index.ts";
import { Watchdog } from "../../src/runtimes/workers/watchdog.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { World } from "../core/node/world/world.ts";

/** The platform's, and no matter of Raft's. */
const ALARM_MS = 30_000;
/** Frames and requests that wait for an object to start; more are lost. */
const MAX_WAITING = 100;
/** How long an alarm waits for a leader. */
const PATIENCE_MS = 5000;

interface ObjectHost {
  boot(): void;
  /** Takes its memory, if it still sleeps. */
  evict(): void;
  startsRested(): void;
}

/**
 * What makes a Durable Object of a machine: it loses its memory in its sleep, whoever needs it brings it back, and of
 * what it promised it knows only the row that the real watchdog writes.
 */
export class DurableObject {
  readonly #world: World;
  readonly #node: SimNode;
  readonly #host: ObjectHost;
  #watchdog: Watchdog | null = null;
  /** The row. */
  #awake = false;
  #cancelAlarm: (() => void) | null = null;
  #isRinging = false;
  #isEvicted = false;
  /** Until then its memory goes as soon as it sleeps. */
  #evictUntilMs = 0;
  #waiting: (() => void)[] = [];

  constructor(world: World, node: SimNode, host: ObjectHost) {
    this.#world = world;
    this.#node = node;
    this.#host = host;
    node.afterInput = () => this.poll();
  }

  /** It is about to start: rested or not, as `object-host.ts` decides it. */
  begin(): boolean {
    if (!this.#awake) this.#host.startsRested();
    return !this.#awake;
  }

  /** Its memory is about to go, and the next one who needs it brings it back. */
  evict(): void {
    this.#isEvicted = true;
  }

  /** The memory is gone, for whatever reason. */
  lost(): void {
    this.#watchdog = null;
  }

  started(engine: KvEngine): void {
    const record = {
      awake: this.#awake,
      saveAwake: (awake: boolean) => {
        this.#awake = awake;
      },
    };
    const storage = {
      setAlarm: () => this.#setAlarm(),
      deleteAlarm: () => this.#deleteAlarm(),
    };
    const watched = {
      isAwake: () => !engine.replica.isAsleep && !isAlone(engine),
      hasDeadlines: () => engine.nextLeaseDeadlineMs !== null,
    };
    this.#isEvicted = false;
    this.#watchdog = new Watchdog(storage, record, watched, () => {});
    this.#watchdog.poll();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const act of waiting) act();
    if (this.#isRinging) void this.#ring(engine);
  }

  /** After every timer and every frame, in the same turn. */
  poll(): void {
    this.#watchdog?.poll();
    if (this.#world.nowMs >= this.#evictUntilMs || this.#node.engine?.replica.isAsleep !== true) return;
    this.#evictUntilMs = 0;
    this.#world.schedule(0, null, () => this.#host.evict());
  }

  evictWhenAsleep(forMs: number): void {
    this.#evictUntilMs = this.#world.nowMs + forMs;
  }

  /** Somebody needs it: if it was evicted it starts, and `act` follows. */
  summon(act: () => void): void {
    if (!this.#isEvicted || this.#waiting.length >= MAX_WAITING) return;
    this.#waiting.push(act);
    this.#host.boot();
  }

  #setAlarm(): Promise<void> {
    this.#cancelAlarm?.();
    this.#cancelAlarm = this.#world.schedule(ALARM_MS, null, () => {
      this.#cancelAlarm = null;
      this.#isRinging = true;
      const { engine } = this.#node;
      if (this.#watchdog !== null && engine !== null) void this.#ring(engine);
      else if (this.#isEvicted) this.#host.boot();
    });
    return Promise.resolve();
  }

  #deleteAlarm(): Promise<void> {
    this.#cancelAlarm?.();
    this.#cancelAlarm = null;
    return Promise.resolve();
  }

  async #ring(engine: KvEngine): Promise<void> {
    const watchdog = this.#watchdog;
    this.#isRinging = false;
    if (engine.replica.isAsleep && engine.nextLeaseDeadlineMs === null)
      await engine.ready(PATIENCE_MS).catch(() => undefined);
    if (this.#watchdog === watchdog) watchdog?.rang();
  }
}

function isAlone({ nodeId, replica }: KvEngine): boolean {
  const members = replica.members();
  return members.length === 1 && members[0]!.id === nodeId;
}
