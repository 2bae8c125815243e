import { EngineError } from "../../../../src/core/errors/index.ts";
import type { SnapshotInfo } from "../../../../src/core/node/index.ts";
import type { Entry } from "../../../../src/core/raft/index.ts";
import type { Prng } from "../../raft/harness/prng.ts";
import { DiskImage } from "./disk-image.ts";
import type { Life } from "./life.ts";
import type { SharedSnapshots } from "./shared-snapshots.ts";
import type { World } from "./world.ts";

export type WriteKind =
  | "saveIdentity"
  | "saveHardState"
  | "append"
  | "commit"
  | "compact"
  | "reset"
  | "snapshotCreate"
  | "snapshotWrite"
  | "snapshotCommit"
  | "snapshotAbort"
  | "snapshotDrop";

/**
 * What becomes of a write: done; failed, with nobody knowing how much of it happened; never answered; or the machine
 * goes down before it, in the middle of it, or after it but before the answer.
 */
export type Verdict = "ok" | "fail" | "hang" | "crashBefore" | "crashTorn" | "crashAfter";

/** Stores whose writes keep an order among themselves. */
type Device = "log" | "meta" | "snapshots";

interface PendingWrite {
  readonly kind: WriteKind;
  readonly apply: (image: DiskImage) => void;
  /** What of it a crash in its middle leaves behind. */
  readonly tear: (image: DiskImage) => void;
}

export interface DiskOptions {
  /** Hard state and entries can go in one durable step, and all writes of both keep one order. */
  readonly hasCommit: boolean;
}

/**
 * A node's disk, which outlives the node. What was written is seen at once, and becomes durable later; a crash
 * loses what is not durable yet, but for a random first part of it.
 */
export class Disk {
  readonly options: DiskOptions;
  /** How long the next write takes; 0: durable at once. */
  latencyMs: (kind: WriteKind) => number = () => 0;
  readLatencyMs: () => number = () => 0;
  /** Asked for every write. */
  decide: (kind: WriteKind, count: number) => Verdict = () => "ok";
  /** Asked for every read: what it fails with, or null. */
  decideRead: () => Error | null = () => null;
  /** Another process could take the stores over: asked whether one did. Null: none can. Looked at when a node starts. */
  confirmOwner: (() => Promise<void>) | null = null;
  /** See StorageEngine. Looked at when a node starts. */
  gathersWrites = false;
  /** Where others read this disk's snapshots, and it reads theirs. Null: nowhere. Looked at when a node starts. */
  shared: { readonly nameOf: (info: SnapshotInfo) => string; readonly at: SharedSnapshots } | null = null;
  /** Told of every write that became durable. */
  onDurable: (kind: WriteKind) => void = () => {};
  /** Writes begun, in all lives. */
  writes = 0;
  /** The most writes to one device that were under way together. */
  maxOverlap = 0;
  readonly #world: World;
  readonly #random: Prng;
  #durable: DiskImage = new DiskImage();
  #cache: DiskImage = new DiskImage();
  #pending: Record<Device, PendingWrite[]> = { log: [], meta: [], snapshots: [] };
  #doneAtMs: Record<Device, number> = { log: 0, meta: 0, snapshots: 0 };
  #broken = false;
  #owner: Life | null = null;
  #crash: () => void = () => {};

  constructor(world: World, options: DiskOptions) {
    this.#world = world;
    this.#random = world.random.fork();
    this.options = options;
  }

  /** What is durable now. */
  get durable(): DiskImage {
    return this.#durable;
  }

  /** What a reader sees now. */
  get seen(): DiskImage {
    return this.#cache;
  }

  /** Changes what is stored behind the node's back, while it is down. */
  tamper(change: (image: DiskImage) => void): void {
    change(this.#durable);
    this.#cache = this.#durable.clone();
  }

  /**
   * The node takes its disk, see mountDisk.
   *
   * @param crash takes the node down.
   */
  own(life: Life, crash: () => void): void {
    if (this.#owner !== null)
      throw new EngineError("storageLocked", { detail: "its last user still has it" });
    this.#owner = life;
    this.#crash = crash;
    this.#broken = false;
    this.#cache = this.#durable.clone();
  }

  /** The machine has gone down. */
  crash(): void {
    for (const device of ["meta", "log", "snapshots"] as const) {
      // Behind a write that failed nothing became durable either.
      const pending = this.#broken ? [] : this.#pending[device];
      const reached = this.#random.int(pending.length + 1);
      pending.slice(0, reached).forEach((write) => write.apply(this.#durable));
      if (this.#random.chance(0.5)) pending[reached]?.tear(this.#durable);
      this.#pending[device] = [];
      this.#doneAtMs[device] = this.#world.nowMs;
    }
    this.#cache = this.#durable.clone();
    this.#owner = null;
  }

  /** The node has let go of its stores. */
  release(life: Life): void {
    if (this.#owner === life) this.#owner = null;
  }

  get isMounted(): boolean {
    return this.#owner !== null;
  }

  /** Resolves when no write is under way. */
  async drained(life: Life): Promise<void> {
    while (life.isAlive && Object.values(this.#pending).some((writes) => writes.length > 0)) {
      await new Promise<void>((resolve) => this.#world.schedule(1, life, resolve));
    }
  }

  // For the mounted stores

  appendWrite(life: Life, entries: readonly Entry[]): Promise<void> {
    const tear = (image: DiskImage): void => {
      // Replacing a suffix is one atomic step; mere appending may leave a first part.
      if ((entries[0]?.index ?? 0) <= image.lastIndex) return;
      image.append(entries.slice(0, this.#random.int(entries.length + 1)));
    };
    return this.write(life, "append", (image) => image.append(entries), tear);
  }

  /** Takes effect now, and resolves when it is durable. */
  write(
    life: Life,
    kind: WriteKind,
    apply: (image: DiskImage) => void,
    tear: (image: DiskImage) => void = () => {},
  ): Promise<void> {
    if (!life.isAlive) return never();
    const count = ++this.writes;
    this.#world.note(kind);
    const verdict = this.decide(kind, count);
    if (verdict === "crashBefore") {
      this.#crash();
      return never();
    }
    const device = this.#deviceOf(kind);
    const write: PendingWrite = { kind, apply, tear };
    return new Promise((resolve, reject) => {
      // Whatever the ports forbid is refused before anything changes.
      apply(this.#cache);
      this.#pending[device].push(write);
      this.maxOverlap = Math.max(this.maxOverlap, this.#pending[device].length);
      if (verdict === "hang") return;
      const complete = (): void => this.#complete(device, write, verdict, resolve, reject);
      const latencyMs = this.latencyMs(kind);
      if (latencyMs === 0 && this.#pending[device].length === 1) return complete();
      const doneAtMs = Math.max(this.#doneAtMs[device], this.#world.nowMs + latencyMs);
      this.#doneAtMs[device] = doneAtMs;
      this.#world.schedule(doneAtMs - this.#world.nowMs, life, complete);
    });
  }

  #complete(
    device: Device,
    write: PendingWrite,
    verdict: Verdict,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    // Behind a write that hangs nothing goes on.
    if (this.#pending[device][0] !== write) return;
    if (verdict === "crashTorn") {
      write.tear(this.#durable);
      this.#pending[device] = [];
      return this.#crash();
    }
    if (verdict === "fail") this.#broken = true;
    if (this.#broken) {
      this.#pending[device].shift();
      // Nobody knows how much of it happened: all of it, perhaps, if it was the one that failed.
      if (verdict === "fail" && this.#random.chance(0.5)) write.apply(this.#durable);
      return reject(new EngineError("storageFailed", { detail: `${write.kind} failed` }));
    }
    this.#pending[device].shift();
    write.apply(this.#durable);
    this.onDurable(write.kind);
    if (verdict === "crashAfter") return this.#crash();
    resolve();
  }

  #deviceOf(kind: WriteKind): Device {
    if (kind.startsWith("snapshot")) return "snapshots";
    const isMeta = kind === "saveHardState" || kind === "saveIdentity";
    return isMeta && !this.options.hasCommit ? "meta" : "log";
  }

  /** Goes on after so long, in the same life. */
  pause(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.schedule(ms, life, resolve));
  }

  /** What `look` sees when the answer comes, which is a moment later. */
  read<T>(life: Life, look: (image: DiskImage) => T): Promise<T> {
    if (!life.isAlive) return never();
    const latencyMs = this.readLatencyMs();
    return new Promise((resolve, reject) => {
      const answer = (): void => {
        const failure = this.decideRead();
        if (failure !== null) return reject(failure);
        try {
          resolve(look(this.#cache));
        } catch (error) {
          reject(error);
        }
      };
      if (latencyMs === 0) answer();
      else this.#world.schedule(latencyMs, life, answer);
    });
  }
}

/** What a call gets from a machine that has gone down. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}
