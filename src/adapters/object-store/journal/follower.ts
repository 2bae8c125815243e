import { EngineError } from "../../../core/errors/index.ts";
import type { Clock, Random } from "../../../core/node/index.ts";
import type { ObjectStore } from "../object-store.ts";
import type { Manifest } from "./manifest.ts";
import { ManifestObject } from "./manifest-object.ts";
import { nearStart } from "./near-start.ts";
import { Patience } from "./patience.ts";
import { decodeSlot, type Slot, slotName } from "./slot.ts";
import { Disturbed, JournalWalk, type Place } from "./walk.ts";

export interface FoundRecord {
  readonly record: Uint8Array;
  readonly place: Place;
}

export interface FoundRecords {
  readonly records: readonly FoundRecord[];
  /** Nothing followed them when this was looked for. */
  readonly atEnd: boolean;
}

/**
 * Reads a journal that somebody else owns, again and again, and changes nothing. What it has read of a slot is what
 * every owner reads there, as DESIGN.md has it; but a slot before the boundary may have been deleted and filled anew,
 * by an owner that was replaced long ago. So what was read is handed out only when the manifest, read *after* it, still
 * has its boundary before the first of those slots: then none of them had been deleted when it was read.
 *
 * After a failure, a cancellation too, it can be asked again, and goes on where it was.
 */
export class JournalFollower {
  readonly #store: ObjectStore;
  readonly #name: string;
  readonly #patience: Patience;
  readonly #object: ManifestObject;
  #walk: JournalWalk | null = null;
  #journalId = 0n;
  /** Read, and not handed out yet; from this slot on. */
  #read: FoundRecord[] = [];
  #readFrom = 0;

  constructor(store: ObjectStore, name: string, clock: Clock, random: Random) {
    this.#store = store;
    this.#name = name;
    this.#patience = new Patience(clock, random);
    this.#object = new ManifestObject(store, this.#patience, name);
  }

  /** As of now; null: there is no journal. */
  async manifest(): Promise<Manifest | null> {
    this.#walk = null;
    return (await this.#object.load())?.manifest ?? null;
  }

  /** Begins, perhaps anew, at the boundary of a manifest, or at a later record that `suffices`. */
  async begin(
    { journalId, boundary, epoch }: Manifest,
    suffices: (record: Uint8Array) => boolean,
  ): Promise<void> {
    const { seq, looked } = await nearStart({
      boundary,
      read: (at) => this.#slot(at, journalId),
      suffices,
    });
    this.#journalId = journalId;
    this.#read = [];
    this.#readFrom = looked;
    this.#walk = new JournalWalk({
      store: this.#store,
      patience: this.#patience,
      journal: this.#name,
      journalId,
      boundary: seq,
      lastEpoch: epoch,
      reader: { begin: () => {}, record: (record, place) => this.#read.push({ record, place }) },
    });
  }

  /** The records that come next, of about `maxBytes`; "gone": they were trimmed away, and it must begin anew. */
  async readOn(maxBytes: number): Promise<FoundRecords | "gone"> {
    const walk = this.#walk;
    if (walk === null) return "gone";
    let atEnd = false;
    let disturbed: Disturbed | null = null;
    try {
      // Most often there is nothing, and a read is cheaper than a listing.
      const heldBytes = this.#read.reduce((sum, { record }) => sum + record.length, 0);
      if (heldBytes < maxBytes) {
        atEnd = (await this.#isFree(walk.next)) || (await walk.forward(maxBytes - heldBytes));
      }
    } catch (error) {
      if (!(error instanceof Disturbed)) throw error;
      disturbed = error;
    }
    const manifest = (await this.#object.load())?.manifest;
    if (manifest?.journalId !== this.#journalId || manifest.boundary > this.#readFrom) {
      this.#walk = null;
      return "gone";
    }
    // What is not as the manifest says, and the manifest has nothing new to say.
    if (disturbed !== null && manifest.epoch === walk.lastEpoch) throw this.#corrupt(disturbed.message);
    walk.lastEpoch = manifest.epoch;
    const records = this.#read;
    this.#read = [];
    this.#readFrom = walk.next;
    return { records, atEnd };
  }

  async #slot(seq: number, journalId: bigint): Promise<Slot | null> {
    const name = slotName(this.#name, seq);
    const found = await this.#patience.ask(() => this.#store.get(name));
    return found === null ? null : decodeSlot(found.body, journalId, seq, `${this.#store.location}: ${name}`);
  }

  async #isFree(seq: number): Promise<boolean> {
    return (await this.#patience.ask(() => this.#store.get(slotName(this.#name, seq)))) === null;
  }

  #corrupt(problem: string): EngineError {
    return new EngineError("storageCorrupt", { detail: `${this.#store.location}: ${problem}` });
  }
}
