import { assert, EngineError } from "../../../core/errors/index.ts";
import type { ObjectStore } from "../object-store.ts";
import { createObject } from "./create-object.ts";
import type { Patience } from "./patience.ts";
import { decodeSlot, encodeSlot, SLOT_OVERHEAD_BYTES, slotName } from "./slot.ts";
import { type Place, WINDOW } from "./walk.ts";

/** After so many slots it is looked whether somebody else has taken over: an idle rival is let through by that. */
const SLOTS_PER_LOOK = 64;

export interface WriterOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
  readonly journal: string;
  readonly journalId: bigint;
  readonly epoch: number;
  readonly owner: bigint;
  /** The first slot to write; all before are filled. */
  readonly first: number;
  /** Looks into the manifest, and fails the journal when somebody else owns it. */
  readonly confirm: () => Promise<void>;
  /** Like `confirm`, but rejects in any case: if it is still owned, then something was lost. */
  readonly explain: (problem: string) => Promise<never>;
  /** There is room for another record. */
  readonly onRoom: () => void;
}

interface PendingSlot {
  readonly seq: number;
  readonly part: number;
  readonly parts: number;
  readonly payload: Uint8Array;
  /** Of the record's last slot. */
  readonly onDurable: (() => void) | null;
  state: "waiting" | "under way" | "filled";
}

/** An owner's way to write: records into consecutive slots, up to WINDOW under way, acknowledged in their order. */
export class JournalWriter {
  readonly #options: WriterOptions;
  /** Written or not, in order; those at the front are not filled yet. */
  readonly #slots: PendingSlot[] = [];
  readonly #waiters: Set<(error: unknown) => void> = new Set();
  #next: number;
  /** All slots up to here are filled. */
  #through: number;
  #sinceLook = 0;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#next = options.first;
    this.#through = options.first - 1;
  }

  /** Whether a record would be under way at once. */
  get hasRoom(): boolean {
    return this.#next <= this.#through + WINDOW;
  }

  /** Resolves once it is durable, after all records before it. */
  append(record: Uint8Array): Promise<Place> {
    assert(record.length > 0, "a record says something");
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    const room = this.#options.store.maxObjectBytes - SLOT_OVERHEAD_BYTES;
    const parts = Math.ceil(record.length / room);
    const place: Place = { seq: this.#next, slots: parts };
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const onDurable = (): void => {
      this.#waiters.delete(reject);
      resolve(place);
    };
    this.#waiters.add(reject);
    for (let part = 0; part < parts; part++) {
      const payload = record.subarray(part * room, (part + 1) * room);
      const last = part === parts - 1;
      this.#slots.push({
        seq: this.#next++,
        part,
        parts,
        payload,
        onDurable: last ? onDurable : null,
        state: "waiting",
      });
    }
    this.#start();
    return promise;
  }

  /** From now on nothing is acknowledged any more. */
  fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = { error };
    this.#slots.length = 0;
    for (const reject of this.#waiters) reject(error);
    this.#waiters.clear();
    this.#options.onRoom();
  }

  #start(): void {
    for (const slot of this.#slots) {
      if (slot.seq > this.#through + WINDOW) return;
      if (slot.state !== "waiting") continue;
      slot.state = "under way";
      this.#write(slot).then(
        () => this.#filled(slot),
        (error: unknown) => this.fail(error),
      );
    }
  }

  async #write({ seq, part, parts, payload }: PendingSlot): Promise<void> {
    const { store, patience, journal, journalId, epoch, owner } = this.#options;
    const name = slotName(journal, seq);
    const through = this.#through;
    const body = encodeSlot({
      kind: "part",
      journalId,
      epoch,
      owner,
      seq,
      through,
      part,
      parts,
      payload,
    });
    const occupant = await createObject(store, patience, name, body);
    if (occupant.type === "mine") return;
    if (occupant.type === "vanished") return await this.#options.explain(`segment ${seq} is missing`);
    const place = `${store.location}: ${name}`;
    const found = decodeSlot(occupant.body, journalId, seq, place);
    if (found.epoch > epoch) throw new EngineError("fenced", { detail: place });
    // Nobody of a smaller epoch gets past the slots that this owner filled at first.
    await this.#options.explain(`segment ${seq} is of owner ${found.epoch}, where ${epoch} should write`);
  }

  #filled(slot: PendingSlot): void {
    if (this.#failure !== null) return;
    slot.state = "filled";
    while (this.#slots[0]?.state === "filled") {
      const { seq, onDurable } = this.#slots.shift()!;
      this.#through = seq;
      onDurable?.();
      this.#sinceLook++;
    }
    this.#start();
    if (this.#sinceLook >= SLOTS_PER_LOOK) {
      this.#sinceLook = 0;
      this.#options.confirm().catch(() => {});
    }
    if (this.hasRoom) this.#options.onRoom();
  }
}
