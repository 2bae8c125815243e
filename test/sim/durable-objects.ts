import type { Clock, KvEngine, SavedLeases } from "../../src/core/node/index.ts";
import { decodeLeases } from "../../src/runtimes/workers/lease-codec.ts";
import { ObjectRest } from "../../src/runtimes/workers/object-rest.ts";
import { Watchdog } from "../../src/runtimes/workers/watchdog.ts";
import { answerAlarm, watchedNode } from "../../src/runtimes/workers/watched-node.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { World } from "../core/node/world/world.ts";

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
 * what it promised it knows only the rows that the real watchdog and the real rest write.
 */
export class DurableObject {
  readonly #world: World;
  readonly #node: SimNode;
  readonly #host: ObjectHost;
  #watchdog: Watchdog | null = null;
  #rest: ObjectRest | null = null;
  /** The rows. */
  #awake = false;
  #leases: Uint8Array | null = null;
  #alarmAtMs: number | null = null;
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

  /** It is about to start: rested or not, as `object-host.ts` decides it, and with what it wrote down of leases. */
  begin(): { readonly rested: boolean; readonly savedLeases: SavedLeases | null } {
    if (!this.#awake) this.#host.startsRested();
    return {
      rested: !this.#awake,
      savedLeases: this.#leases === null ? null : decodeLeases(this.#leases),
    };
  }

  /** Its memory is about to go, and the next one who needs it brings it back. */
  evict(): void {
    this.#isEvicted = true;
  }

  /** The memory is gone, for whatever reason. */
  lost(): void {
    this.#watchdog = null;
    this.#rest = null;
  }

  started(engine: KvEngine, clock: Clock): void {
    const record = {
      awake: this.#awake,
      saveAwake: (awake: boolean) => {
        this.#awake = awake;
      },
      leases: this.#leases,
      saveLeases: (leases: Uint8Array | null) => {
        this.#leases = leases;
      },
    };
    const storage = {
      getAlarm: () => Promise.resolve(this.#alarmAtMs),
      setAlarm: (atMs: number) => this.#setAlarm(atMs, clock.wallMs()),
      deleteAlarm: () => this.#deleteAlarm(),
    };
    this.#isEvicted = false;
    this.#rest = new ObjectRest(engine, record, () => {});
    this.#watchdog = new Watchdog(storage, record, clock, watchedNode(engine, clock), () => {});
    this.#poll();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const act of waiting) act();
    if (this.#isRinging) void this.#ring(engine);
  }

  /** After every timer and every frame, in the same turn. */
  poll(): void {
    this.#poll();
    if (this.#world.nowMs >= this.#evictUntilMs || this.#node.engine?.replica.isAsleep !== true) return;
    this.#evictUntilMs = 0;
    this.#world.schedule(0, null, () => this.#host.evict());
  }

  #poll(): void {
    this.#rest?.poll();
    this.#watchdog?.poll();
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

  #setAlarm(atMs: number, nowMs: number): Promise<void> {
    this.#cancelAlarm?.();
    this.#alarmAtMs = atMs;
    this.#cancelAlarm = this.#world.schedule(Math.max(0, atMs - nowMs), null, () => {
      this.#cancelAlarm = null;
      this.#alarmAtMs = null;
      this.#isRinging = true;
      const { engine, life } = this.#node;
      // One that stands still is told when it goes on.
      if (this.#watchdog !== null && engine !== null) life?.run(() => void this.#ring(engine));
      else if (this.#isEvicted) this.#host.boot();
    });
    return Promise.resolve();
  }

  #deleteAlarm(): Promise<void> {
    this.#cancelAlarm?.();
    this.#cancelAlarm = null;
    this.#alarmAtMs = null;
    return Promise.resolve();
  }

  async #ring(engine: KvEngine): Promise<void> {
    const watchdog = this.#watchdog;
    this.#isRinging = false;
    await answerAlarm(engine, PATIENCE_MS);
    if (this.#watchdog !== watchdog) return;
    this.#rest?.poll();
    watchdog?.rang();
  }
}
