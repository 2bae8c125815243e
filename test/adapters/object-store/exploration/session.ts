import { openObjectStorage, type ObjectStorage } from "../../../../src/adapters/object-store/index.ts";
import { decodeManifest } from "../../../../src/adapters/object-store/journal/manifest.ts";
import { EngineError } from "../../../../src/core/errors/index.ts";
import type { CommandEntry, HardState } from "../../../../src/core/raft/index.ts";
import type { Prng } from "../../../core/raft/harness/prng.ts";
import {
  begunAnew,
  entryKey,
  hardStateKey,
  type Oracle,
  type Reign,
  violated,
  Violation,
  written,
} from "./oracle.ts";
import { Snapshots } from "./snapshots.ts";
import type { Process, World } from "./world.ts";

export interface SessionOptions {
  /** Writes before it closes. */
  readonly writes: number;
  readonly lingerMs: number;
  /** Bytes of the largest entry. */
  readonly maxEntryBytes: number;
  /** Of the steps that are no write. */
  readonly compactions: number;
  /** Likewise. */
  readonly snapshots: number;
}

const MAX_OUTSTANDING = 8;

/** A process that opens the log, writes, begins it anew, compacts, reads, asks whether it is still the owner, and closes. */
export class Session {
  readonly #world: World;
  readonly #oracle: Oracle;
  readonly #process: Process;
  readonly #options: SessionOptions;
  readonly #prng: Prng;
  #epoch = 0;
  #reign: Reign | null = null;
  #snapshots: Snapshots | null = null;
  #writes = 0;
  #fenced = false;
  readonly #outstanding: Set<Promise<void>> = new Set();
  /** How it ended; null while it runs. */
  outcome: string | null = null;
  /** The reason to end the whole run. */
  violation: Error | null = null;

  constructor(world: World, oracle: Oracle, options: SessionOptions, prng: Prng) {
    this.#world = world;
    this.#oracle = oracle;
    this.#process = world.spawn();
    this.#options = options;
    this.#prng = prng;
    this.#run().then(
      () => this.#end("closed"),
      (error: unknown) => this.#failed(error),
    );
  }

  get isOver(): boolean {
    return this.outcome !== null || !this.#process.alive;
  }

  async #run(): Promise<void> {
    const { lingerMs } = this.#options;
    const log = (_level: unknown, message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (message === "owns the log") this.#epoch = fields!["epoch"] as number;
    };
    const storage = await openObjectStorage({
      ...this.#world.surroundings(this.#process),
      lingerMs,
      logger: this.#world.logger(log),
    });
    const told = (await storage.meta.load()).hardState;
    await this.#open(storage);
    const { hardState } = await storage.meta.load();
    if (told?.term !== hardState?.term || told?.vote !== hardState?.vote) {
      violated("what was told stays true", `${hardStateKey(told)}, then ${hardStateKey(hardState)}`);
    }
    this.#snapshots = new Snapshots(storage, this.#oracle, this.#prng);
    if (this.#options.snapshots > 0) await this.#snapshots.check();
    while (this.#writes < this.#options.writes) {
      await this.#act(storage);
      while (this.#outstanding.size >= MAX_OUTSTANDING) await Promise.race(this.#outstanding);
    }
    await Promise.all(this.#outstanding);
    await storage.close();
  }

  async #open(storage: ObjectStorage): Promise<void> {
    const { firstIndex, lastIndex } = await storage.log.open();
    const entries = firstIndex > lastIndex ? [] : await storage.log.read(firstIndex, lastIndex, 1 << 30);
    const { hardState } = await storage.meta.load();
    this.#world.tell(() => `${this.#process.id}: owner ${this.#epoch}, ${firstIndex} to ${lastIndex}`);
    this.#reign = this.#oracle.opened(this.#epoch, {
      prevIndex: firstIndex - 1,
      lastIndex,
      entries: entries.map(entryKey),
      hardState: hardStateKey(hardState),
    });
  }

  async #act(storage: ObjectStorage): Promise<void> {
    const prng = this.#prng;
    const reign = this.#reign!;
    const { snapshots } = this.#options;
    if (snapshots > 0 && prng.chance(snapshots)) this.#spawn(this.#snapshots!.take());
    const luck = prng.next();
    if (luck < this.#options.compactions) this.#spawn(this.#compact(storage));
    else if (luck < 0.3) this.#spawn(this.#confirm(storage));
    else if (luck < 0.35) this.#spawn(this.#read(storage));
    else if (luck < 0.37) this.#reset(storage, reign);
    else this.#write(storage, reign);
    // Sometimes the next comes in the same turn, sometimes once something is done.
    if (prng.chance(0.4)) await Promise.race(this.#outstanding);
  }

  #write(storage: ObjectStorage, reign: Reign): void {
    const prng = this.#prng;
    const number = ++this.#writes;
    const lastIndex = reign.now.entries.length;
    const term = this.#epoch;
    const withState = prng.chance(0.3);
    const hardState: HardState | null = withState
      ? { term, vote: BigInt(this.#process.id), commit: number }
      : null;
    const first = this.#firstIndex(lastIndex);
    const count = withState && prng.chance(0.3) ? 0 : 1 + prng.int(3);
    const entries = Array.from({ length: count }, (_, i): CommandEntry => {
      const size = prng.chance(0.2) ? prng.int(this.#options.maxEntryBytes) : 0;
      const data = new TextEncoder().encode(`${this.#epoch}.${number}`.padEnd(size, "."));
      return { kind: "command", index: first + i, term, data };
    });
    reign.contents.push(written(reign.now, { entries, hardState }));
    const done =
      hardState === null
        ? storage.log.append(entries)
        : entries.length === 0
          ? storage.meta.saveHardState(hardState)
          : storage.commit!(hardState, entries);
    this.#spawn(done.then(() => this.#acknowledged(reign, number)));
  }

  #reset(storage: ObjectStorage, reign: Reign): void {
    const number = ++this.#writes;
    const index = Math.max(reign.now.entries.length, this.#oracle.compactedAtMost) + this.#prng.int(3);
    this.#oracle.compactedAtMost = index;
    reign.contents.push(begunAnew(reign.now, index));
    this.#spawn(
      storage.log.reset(index, this.#epoch).then(() => {
        this.#acknowledged(reign, number);
        this.#compacted(index);
      }),
    );
  }

  /** Mostly at the end; now and then a suffix is replaced, but nothing that may be compacted. */
  #firstIndex(lastIndex: number): number {
    const least = this.#oracle.compactedAtMost + 1;
    if (lastIndex < least || !this.#prng.chance(0.15)) return lastIndex + 1;
    return least + this.#prng.int(lastIndex - least + 1);
  }

  #acknowledged(reign: Reign, number: number): void {
    if (this.#fenced)
      violated("a fenced owner acknowledges nothing", `owner ${reign.epoch}, write ${number}`);
    this.#world.tell(() => `${this.#process.id}: write ${number} is acknowledged`);
    reign.acknowledge(number);
  }

  async #compact(storage: ObjectStorage): Promise<void> {
    const lastIndex = this.#reign!.now.entries.length;
    const from = this.#oracle.compactedAtMost;
    if (lastIndex <= from) return;
    const to = from + 1 + this.#prng.int(lastIndex - from);
    this.#oracle.compactedAtMost = to;
    await storage.log.compact(to);
    this.#compacted(to);
  }

  #compacted(to: number): void {
    if (this.#oracle.isReplaced(this.#reign!)) return;
    this.#oracle.compactedAtLeast = Math.max(this.#oracle.compactedAtLeast, to);
  }

  async #confirm(storage: ObjectStorage): Promise<void> {
    const isReplaced = this.#oracle.isReplaced(this.#reign!);
    await storage.confirmOwner!();
    if (isReplaced) violated("only the owner is told that it is the owner", `owner ${this.#reign!.epoch}`);
  }

  async #read(storage: ObjectStorage): Promise<void> {
    const { entries } = this.#reign!.now;
    const from = this.#oracle.compactedAtMost + 1;
    if (from > entries.length) return;
    const to = from + this.#prng.int(entries.length - from + 1);
    try {
      const found = await storage.log.read(from, to, 1 << 30);
      const expected = entries.slice(from - 1, to);
      // A suffix may have been replaced meanwhile.
      if (entries === this.#reign!.now.entries && found.map(entryKey).join() !== expected.join()) {
        violated("reads what was written", `${from} to ${to}: ${found.map(entryKey).join()}`);
      }
    } catch (error) {
      // Compacted or replaced meanwhile.
      if (error instanceof EngineError && error.code === "invalidArgument") return;
      throw error;
    }
  }

  #spawn(work: Promise<void>): void {
    const tracked: Promise<void> = work.then(
      () => void this.#outstanding.delete(tracked),
      (error: unknown) => {
        this.#outstanding.delete(tracked);
        this.#failed(error);
        throw error;
      },
    );
    tracked.catch(() => {});
    this.#outstanding.add(tracked);
  }

  #failed(error: unknown): void {
    if (!this.#process.alive) return;
    if (!(error instanceof EngineError)) {
      this.violation ??= error instanceof Error ? error : new Error(String(error));
      return;
    }
    if (error.code === "fenced") {
      this.#fenced = true;
      if (this.#epoch > 0 && this.#manifestEpoch() <= this.#epoch) {
        this.violation ??= new Violation(`fenced by nobody: owner ${this.#epoch}: ${error.message}`);
      }
    } else if (!EXPECTED.includes(error.code)) {
      this.violation ??= new Violation(`unexpected failure: ${error.message}`);
    }
    this.#end(error.code);
  }

  #end(outcome: string): void {
    if (this.outcome !== null) return;
    this.outcome = outcome;
    this.#world.tell(() => `${this.#process.id}: ends: ${outcome}`);
  }

  #manifestEpoch(): number {
    const found = this.#world.bucket.get("log-manifest");
    return found === null ? 0 : decodeManifest(found.body, "manifest").epoch;
  }
}

/** What a process may end with when others are busy with the same log, or the store was unavailable for long. */
const EXPECTED: readonly string[] = ["storageLocked", "storageThrottled", "storageUnavailable"];
