import { EngineError } from "../../../core/errors/index.ts";
import { inOrder, parallelFetches } from "../in-order.ts";
import type { ObjectListing, ObjectStore, StoredObject } from "../object-store.ts";
import type { Patience } from "./patience.ts";
import { decodeSlot, type Slot, slotName, seqOf } from "./slot.ts";

/**
 * Slots that one owner may have under way at the same time: it writes slot `s` only when all up to `s - WINDOW` are
 * filled. Part of the format: whoever takes over relies on what its predecessors kept to.
 */
export const WINDOW = 4;

/** Where a record is: in `slots` slots from `seq` on. */
export interface Place {
  readonly seq: number;
  readonly slots: number;
}

/** Takes what the records say, in order. */
export interface JournalReader {
  /** Reading begins, perhaps anew: what was read before is void. */
  begin(checkpoint: Uint8Array): void;
  record(record: Uint8Array, place: Place): void;
}

/** Something is not as the manifest says: somebody has changed it since, or something was lost. */
export class Disturbed extends Error {
  override readonly name = "Disturbed";
}

export interface WalkOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
  readonly journal: string;
  readonly journalId: bigint;
  /** The first slot that counts. */
  readonly boundary: number;
  readonly lastEpoch: number;
  readonly reader: JournalReader;
}

/** Reads the journal from its boundary on, as far as slots are filled. */
export class JournalWalk {
  readonly #options: WalkOptions;
  /** The first slot that was not read yet. */
  next: number;
  /** The greatest epoch that the manifest knows of. */
  lastEpoch: number;
  /** A slot of a smaller epoch than one before it is void. */
  #epoch = 0;
  /** Fences among the slots that were read: never to be deleted. */
  readonly fences: number[] = [];
  /** The parts of a record whose end has not come yet. */
  #parts: Slot[] = [];

  constructor(options: WalkOptions) {
    this.#options = options;
    this.next = options.boundary;
    this.lastEpoch = options.lastEpoch;
  }

  /** Reads up to the first free slot (true), or until it has read about `maxBytes`. */
  async forward(maxBytes: number = Number.POSITIVE_INFINITY): Promise<boolean> {
    const { store, patience, journal } = this.#options;
    let leftBytes = maxBytes;
    for (;;) {
      const startAfter = slotName(journal, this.next - 1);
      const page = await patience.ask(() => store.list(`${journal}/`, { startAfter, contents: true }));
      const seqs = page.objects.map(({ name }) => seqOf(journal, name, store.location));
      let run = 0;
      while (run < seqs.length && seqs[run] === this.next + run && leftBytes > 0) {
        leftBytes -= page.objects[run++]!.size;
      }
      const ended = run < seqs.length && seqs[run] !== this.next + run;
      await this.#read(page.objects.slice(0, run));
      if (ended) {
        if (await this.#isFree(seqs.slice(run))) return true;
      } else if (run === seqs.length && !page.more) {
        return true;
      }
      if (leftBytes <= 0) return false;
    }
  }

  /** The next slot was created by this process, and is no part of a record. */
  pass(slot: Slot): void {
    this.#take(slot);
  }

  /** Slots that are to follow each other. */
  async #read(listed: readonly ObjectListing[]): Promise<void> {
    const first = this.next;
    await inOrder(
      listed.map(({ stored }, i) => ({ seq: first + i, stored })),
      parallelFetches(Math.max(0, ...listed.map(({ size }) => size))),
      async ({ seq, stored }) => (stored === undefined ? await this.#get(seq) : this.#decode(seq, stored)),
      (slot, { seq }) => {
        if (slot === null) throw new Disturbed(`segment ${seq} is missing`);
        this.#take(slot);
      },
    );
  }

  async #get(seq: number): Promise<Slot | null> {
    const { store, patience, journal } = this.#options;
    const found = await patience.ask(() => store.get(slotName(journal, seq)));
    return found === null ? null : this.#decode(seq, found);
  }

  #decode(seq: number, { body }: StoredObject): Slot {
    const { store, journal, journalId } = this.#options;
    const slot = decodeSlot(body, journalId, seq, `${store.location}: ${slotName(journal, seq)}`);
    if (slot.epoch > this.lastEpoch) {
      throw new Disturbed(
        `segment ${seq} is of owner ${slot.epoch}, but the manifest knows of ${this.lastEpoch}`,
      );
    }
    return slot;
  }

  /**
   * Slots beyond a free one are those that its writer had under way besides; it has acknowledged none of them. But
   * where a slot beyond tells that the free one was filled, that one has been lost.
   */
  async #isFree(beyond: readonly number[]): Promise<boolean> {
    let known = 0;
    await inOrder(
      beyond.slice(0, 2 * WINDOW),
      2,
      (seq) => this.#get(seq),
      (slot) => {
        known = Math.max(known, slot?.through ?? 0);
      },
    );
    if (known < this.next) return true;
    // A listing is not of one moment: it may have been filled while the list went past.
    if ((await this.#get(this.next)) === null) {
      throw new Disturbed(`segment ${this.next} is missing, although later ones were written after it`);
    }
    return false;
  }

  #take(slot: Slot): void {
    const { journal, store, reader } = this.#options;
    this.next = slot.seq + 1;
    if (slot.kind === "fence") this.fences.push(slot.seq);
    if (slot.epoch < this.#epoch) return;
    this.#epoch = slot.epoch;
    if (slot.kind !== "part") {
      // What an earlier owner began and could not end was never acknowledged.
      this.#parts = [];
      return;
    }
    const first = this.#parts[0];
    const continues =
      first === undefined
        ? slot.part === 0
        : slot.part === this.#parts.length && slot.parts === first.parts && slot.epoch === first.epoch;
    if (!continues) {
      throw new EngineError("storageCorrupt", {
        detail: `${store.location}: ${slotName(journal, slot.seq)} does not continue the one before it`,
      });
    }
    this.#parts.push(slot);
    if (slot.part + 1 < slot.parts) return;
    const place = { seq: this.#parts[0]!.seq, slots: slot.parts };
    const record = joinParts(this.#parts);
    this.#parts = [];
    reader.record(record, place);
  }
}

export function joinParts(parts: readonly Slot[]): Uint8Array {
  if (parts.length === 1) return parts[0]!.payload;
  const record = new Uint8Array(parts.reduce((sum, { payload }) => sum + payload.length, 0));
  let at = 0;
  for (const { payload } of parts) {
    record.set(payload, at);
    at += payload.length;
  }
  return record;
}
