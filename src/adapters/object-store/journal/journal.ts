import { EngineError } from "../../../core/errors/index.ts";
import type { Clock, Logger, Random } from "../../../core/node/index.ts";
import { inOrder } from "../in-order.ts";
import type { ObjectStore } from "../object-store.ts";
import type { Manifest } from "./manifest.ts";
import { ManifestObject, type StoredManifest } from "./manifest-object.ts";
import { isTransient, Patience } from "./patience.ts";
import { decodeSlot, type Slot, slotName } from "./slot.ts";
import { Sweeper } from "./sweeper.ts";
import { fenceOff } from "./takeover.ts";
import { Disturbed, joinParts, type JournalReader, JournalWalk, type Place } from "./walk.ts";
import { JournalWriter } from "./writer.ts";

/** How often is begun again because somebody else is busy with the same journal. */
const MAX_ATTEMPTS = 8;
const PARALLEL_PARTS = 4;

export interface JournalOptions {
  readonly store: ObjectStore;
  /** Its slots are `<name>/…`, its manifest is `<name>-manifest`. */
  readonly name: string;
  /** The checkpoint of a new journal. */
  readonly emptyCheckpoint: Uint8Array;
  readonly reader: JournalReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** There is room for another record. */
  readonly onRoom: () => void;
  /** How often others may be quicker while ownership is taken; default 8. */
  readonly maxRaises?: number;
}

/**
 * A sequence of records in an object store that many may read and one process owns: see DESIGN.md, which says why
 * nothing acknowledged is lost and no two owners acknowledge different records for one place.
 *
 * Opening reads and writes nothing. `own` takes ownership; from then on every earlier owner is fenced.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #patience: Patience;
  readonly #object: ManifestObject;
  readonly #nonce: bigint;
  /** As of the last read or change; null in a store where there is no journal yet. */
  #stored: StoredManifest | null = null;
  #walk!: JournalWalk;
  #writer: JournalWriter | null = null;
  #sweeper: Sweeper | null = null;
  #owning: Promise<number> | null = null;
  /** Changes of the manifest take their turns. */
  #changing: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;
  /** The look into the manifest that is under way, and the one that comes after it. */
  #look: Promise<unknown> = Promise.resolve();
  #nextLook: Promise<void> | null = null;

  private constructor(options: JournalOptions) {
    this.#options = options;
    this.#patience = new Patience(options.clock, options.random);
    this.#object = new ManifestObject(options.store, this.#patience, options.name);
    this.#nonce = options.random.id();
  }

  /** Reads what there is; nothing is written. */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options);
    await journal.#readAll();
    return journal;
  }

  /**
   * Takes ownership, once, and resolves with the first slot that will be written; the reader has then been given
   * everything that was ever acknowledged. Rejects with `fenced` when somebody else took it meanwhile.
   */
  own(): Promise<number> {
    this.#owning ??= this.#takeOver().catch((error: unknown) => {
      this.fail(error);
      throw error;
    });
    return this.#owning;
  }

  /** Whether a record would be under way at once, or fail at once. */
  get hasRoom(): boolean {
    return this.#failure !== null || (this.#writer?.hasRoom ?? false);
  }

  get boundary(): number {
    return this.#stored?.manifest.boundary ?? 1;
  }

  /** Once it is owned. Resolves when the record is durable, after all before it. */
  append(record: Uint8Array): Promise<Place> {
    return this.#failure === null ? this.#writer!.append(record) : Promise.reject(this.#failure.error);
  }

  /** The record at a place where one was. Null: it is not there (any more). */
  async read(place: Place): Promise<Uint8Array | null> {
    const { store, name } = this.#options;
    const { journalId } = this.#stored!.manifest;
    const seqs = Array.from({ length: place.slots }, (_, part) => place.seq + part);
    const parts: Slot[] = [];
    await inOrder(
      seqs,
      PARALLEL_PARTS,
      (seq) => this.#patience.ask(() => store.get(slotName(name, seq))),
      (found, seq) => {
        if (found === null) return;
        const slot = decodeSlot(found.body, journalId, seq, `${store.location}: ${slotName(name, seq)}`);
        if (slot.part === parts.length && slot.parts === place.slots) parts.push(slot);
      },
    );
    return parts.length === place.slots ? joinParts(parts) : null;
  }

  /**
   * Changes the checkpoint, and moves the boundary. Durable when it resolves; slots before the boundary are deleted
   * in the background. The boundary must be the beginning of a record, or the first slot after the last one and after
   * the slots that this owner began with: so that no void slot ever comes first.
   */
  change(
    change: (now: Manifest) => { readonly boundary: number; readonly checkpoint: Uint8Array },
  ): Promise<void> {
    const changed = this.#changing.then(() => this.#change(change));
    this.#changing = changed.catch(() => {});
    return changed;
  }

  /** Resolves if this process was still the owner at some moment after the call. */
  confirm(): Promise<void> {
    // The read under way may have been answered before this call; the next serves all who call before it begins.
    this.#nextLook ??= this.#look.then(() => {
      this.#look = this.#nextLook!.catch(() => {});
      this.#nextLook = null;
      return this.#confirm();
    });
    return this.#nextLook;
  }

  async #confirm(): Promise<void> {
    this.#assertSound();
    try {
      await this.#assertOwner();
    } catch (error) {
      if (!isTransient(error)) this.fail(error);
      throw error;
    }
  }

  /** It is owned, and still something is not there: either somebody else took over, or it was lost. */
  async explain(problem: string): Promise<never> {
    await this.confirm();
    const error = this.#corrupt(problem);
    this.fail(error);
    throw error;
  }

  /** From now on nothing is acknowledged any more. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#writer?.fail(error);
  }

  /** Lets nothing more be written, once what is under way is done. */
  async close(): Promise<void> {
    await this.#owning?.catch(() => {});
    await this.#changing;
    await this.#sweeper?.close();
    this.fail(
      new EngineError("storageFailed", { detail: `${this.#options.store.location} has been closed` }),
    );
  }

  async #readAll(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#object.load();
      if (stored === null && !(await this.#isEmpty()) && attempt < MAX_ATTEMPTS) continue;
      this.#stored = stored;
      try {
        return await this.#readFrom(stored);
      } catch (error) {
        if (!(error instanceof Disturbed)) throw error;
        const again = await this.#object.load();
        if (again?.version === stored?.version) throw this.#corrupt(error.message);
        if (attempt === MAX_ATTEMPTS) throw this.#contended(error);
      }
    }
  }

  /** Whether there is nothing of a journal; throws when there are slots without a manifest. */
  async #isEmpty(): Promise<boolean> {
    const { store, name } = this.#options;
    const { objects } = await this.#patience.ask(() => store.list(`${name}/`, { limit: 1 }));
    if (objects.length === 0) return true;
    if ((await this.#object.load()) !== null) return false;
    throw this.#corrupt(`there are segments, but ${this.#object.name} is missing`);
  }

  async #readFrom(stored: StoredManifest | null): Promise<void> {
    const { reader, emptyCheckpoint } = this.#options;
    reader.begin(stored?.manifest.checkpoint ?? emptyCheckpoint);
    this.#walk = this.#walkFrom(stored?.manifest ?? null);
    if (stored !== null) await this.#walk.forward();
  }

  #walkFrom(manifest: Manifest | null): JournalWalk {
    return new JournalWalk({
      store: this.#options.store,
      patience: this.#patience,
      journal: this.#options.name,
      journalId: manifest?.journalId ?? 0n,
      boundary: manifest?.boundary ?? 1,
      lastEpoch: manifest?.epoch ?? 0,
      reader: this.#options.reader,
    });
  }

  async #takeOver(): Promise<number> {
    this.#assertSound();
    const { store, name, logger, onRoom } = this.#options;
    const isNew = await this.#raise();
    const { journalId, epoch, owner, boundary } = this.#stored!.manifest;
    // What was read before is as it was: nobody has moved the boundary, or the manifest would not have been ours.
    if (isNew) this.#walk = this.#walkFrom(this.#stored!.manifest);
    else this.#walk.lastEpoch = epoch;
    const shared = { store, patience: this.#patience, journal: name, journalId, epoch, owner };
    const hooks = {
      confirm: () => this.confirm(),
      explain: (problem: string) => this.explain(problem),
    };
    const first = await fenceOff({ ...shared, ...hooks, walk: this.#walk });
    const fences = new Set(this.#walk.fences);
    this.#sweeper = new Sweeper({
      store,
      journal: name,
      boundary,
      isFence: (seq) => fences.has(seq),
      logger,
    });
    this.#writer = new JournalWriter({ ...shared, ...hooks, first, onRoom });
    logger.log("info", "owns the log", { location: store.location, epoch, next: first });
    return first;
  }

  /** Puts this owner into the manifest; true if it made the first one. */
  async #raise(): Promise<boolean> {
    const { emptyCheckpoint, random, maxRaises = MAX_ATTEMPTS } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const before = this.#stored;
      const raised =
        before === null
          ? await this.#object.create({
              journalId: random.id(),
              generation: 1,
              epoch: 1,
              owner: this.#nonce,
              boundary: 1,
              checkpoint: emptyCheckpoint,
            })
          : await this.#object.replace(before, {
              ...before.manifest,
              generation: before.manifest.generation + 1,
              epoch: before.manifest.epoch + 1,
              owner: this.#nonce,
            });
      if (raised !== null) {
        this.#stored = raised;
        return before === null;
      }
      if (attempt === maxRaises) throw this.#contended(new Error("the manifest changed each time"));
      await this.#readAll();
    }
  }

  async #change(
    change: (now: Manifest) => { readonly boundary: number; readonly checkpoint: Uint8Array },
  ): Promise<void> {
    this.#assertSound();
    const stored = this.#stored!;
    const { boundary, checkpoint } = change(stored.manifest);
    try {
      const changed = await this.#object.replace(stored, {
        ...stored.manifest,
        generation: stored.manifest.generation + 1,
        boundary,
        checkpoint,
      });
      if (changed === null) return await this.explain(`${this.#object.name} was changed by somebody`);
      this.#stored = changed;
    } catch (error) {
      this.fail(error);
      throw error;
    }
    if (boundary > stored.manifest.boundary) this.#sweeper!.trimmedTo(boundary);
  }

  async #assertOwner(): Promise<void> {
    const { store } = this.#options;
    const found = await this.#object.load();
    if (found === null) throw this.#corrupt(`${this.#object.name} is missing`);
    const { epoch, owner } = found.manifest;
    if (epoch === this.#stored!.manifest.epoch && owner === this.#nonce) return;
    throw new EngineError("fenced", {
      detail: `${store.location} is owned by process ${owner.toString(16)}`,
    });
  }

  #assertSound(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  #corrupt(problem: string): EngineError {
    return new EngineError("storageCorrupt", {
      detail: `${this.#options.store.location}: ${problem}; restore what is missing, or let this node join anew under a new id`,
    });
  }

  #contended(cause: unknown): EngineError {
    return new EngineError("storageLocked", {
      detail: `${this.#options.store.location}: other processes keep opening it; let only one run`,
      cause,
    });
  }
}
