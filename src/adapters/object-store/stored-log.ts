import { EngineError } from "../../core/errors/index.ts";
import type {
  Clock,
  Random,
  StoredBeginning,
  StoredLog,
  StoredStep,
  StoredSteps,
} from "../../core/node/index.ts";
import type { LogIndex } from "../../core/raft/index.ts";
import { type Checkpoint, decodeCheckpoint, EMPTY_CHECKPOINT } from "./checkpoint.ts";
import { type FoundRecord, JournalFollower } from "./journal/follower.ts";
import type { Manifest } from "./journal/manifest.ts";
import type { ObjectStore } from "./object-store.ts";
import { ReadOnlyStore } from "./read-only-store.ts";
import { decodeEntries, decodeHead } from "./record.ts";
import { DESCRIPTIONS, parseDescriptionName } from "./snapshot-object.ts";
import { openSharedSnapshot, type SharedSnapshot } from "./snapshot-reader.ts";

/** Whose log is read. */
export interface StoredLogOptions {
  /** Opened with the prefix of the node whose log it is. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** How often it is begun again because a snapshot was replaced, or the log compacted, meanwhile. */
const MAX_ATTEMPTS = 8;

/**
 * A node's log, metadata and snapshots as {@link openObjectStorage} keeps them, to be read by others than their owner.
 * Closing closes the object store as well.
 */
export function openStoredLog(options: StoredLogOptions): StoredLog {
  return new ObjectStoredLog(options);
}

class ObjectStoredLog implements StoredLog {
  readonly #options: StoredLogOptions;
  readonly #store: ReadOnlyStore;
  readonly #follower: JournalFollower;
  #checkpoint: Checkpoint = EMPTY_CHECKPOINT;
  /** Where the log ended after the last step. */
  #lastIndex: LogIndex = 0;

  constructor(options: StoredLogOptions) {
    this.#options = options;
    this.#store = new ReadOnlyStore(options.store);
    this.#follower = new JournalFollower(this.#store, "log", options.clock, options.random);
  }

  get location(): string {
    return this.#store.location;
  }

  async begin(signal?: AbortSignal): Promise<StoredBeginning | null> {
    this.#store.signal = signal;
    for (let attempt = 1; ; attempt++) {
      const manifest = await this.#follower.manifest();
      if (manifest === null) return null;
      this.#checkpoint = this.#decoded(manifest);
      const { identity, hardState, compacted } = this.#checkpoint;
      // After the manifest: before a log is compacted there is a snapshot of what it loses.
      const snapshot = await this.#newestSnapshot();
      if (identity === null) return null;
      if (snapshot !== null && snapshot.info.meta.index >= compacted.index) {
        await this.#beginBehind(manifest, snapshot.info.meta.index);
        return { identity, hardState, compacted, snapshot };
      }
      if (attempt === MAX_ATTEMPTS) {
        throw this.#corrupt(`the log begins after ${compacted.index}, and no snapshot reaches so far`);
      }
    }
  }

  /**
   * A record whose entries begin at the snapshot's next, or before, replaces all that earlier ones say of what follows
   * the snapshot. And what they say of the commit index is not past what the snapshot has.
   */
  async #beginBehind(manifest: Manifest, index: LogIndex): Promise<void> {
    const name = `${this.#store.location}: a segment`;
    await this.#follower.begin(manifest, (record) => {
      const { first } = decodeHead(record, name);
      return first > 0 && first <= index + 1;
    });
    // The log reaches so far at least, and the first record that is read continues it.
    this.#lastIndex = index;
  }

  async readOn(request: {
    readonly after: LogIndex;
    readonly maxBytes: number;
    readonly signal?: AbortSignal;
  }): Promise<StoredSteps | "gone"> {
    this.#store.signal = request.signal;
    const found = await this.#follower.readOn(request.maxBytes);
    if (found === "gone") return "gone";
    return { steps: found.records.map((each) => this.#step(each, request.after)), atEnd: found.atEnd };
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #step({ record, place }: FoundRecord, after: LogIndex): StoredStep {
    const name = `${this.#store.location}: segment ${place.seq}`;
    const { reset, hardState, first, runs } = decodeHead(record, name);
    if (reset !== null) this.#lastIndex = reset.index;
    const last = first === 0 ? 0 : first + runs.reduce((sum, { count }) => sum + count, 0) - 1;
    if (first > this.#lastIndex + 1) {
      throw this.#corrupt(`segment ${place.seq} begins at ${first}, but the log ends at ${this.#lastIndex}`);
    }
    if (first > 0) this.#lastIndex = last;
    const { compacted, through } = this.#checkpoint;
    // What was compacted later than this was written does not come back.
    if (place.seq + place.slots - 1 <= through) this.#lastIndex = Math.max(this.#lastIndex, compacted.index);
    const from = Math.max(first, after + 1);
    const entries = first === 0 || last < from ? [] : decodeEntries(record, from, last, name);
    return { reset, hardState, first, last, entries };
  }

  async #newestSnapshot(): Promise<SharedSnapshot | null> {
    const { clock, random } = this.#options;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const name = await this.#newestDescription();
      if (name === null) return null;
      const snapshot = await openSharedSnapshot(this.#store, name, clock, random);
      // Else a newer one has taken its place since.
      if (snapshot !== null) return snapshot;
    }
    throw new EngineError("storageUnavailable", {
      detail: `${this.#store.location}: snapshots are replaced faster than they can be read`,
    });
  }

  async #newestDescription(): Promise<string | null> {
    let newest: string | null = null;
    let last = "";
    for (;;) {
      const page = await this.#store.list(DESCRIPTIONS, last === "" ? {} : { startAfter: last });
      // In the order of their names, hence of their positions.
      for (const { name } of page.objects) if (parseDescriptionName(name) !== null) newest = name;
      last = page.objects.at(-1)?.name ?? "";
      if (!page.more || last === "") return newest;
    }
  }

  #decoded({ checkpoint }: Manifest): Checkpoint {
    return decodeCheckpoint(checkpoint, `${this.#store.location}: the checkpoint`);
  }

  #corrupt(problem: string): EngineError {
    return new EngineError("storageCorrupt", { detail: `${this.#store.location}: ${problem}` });
  }
}
