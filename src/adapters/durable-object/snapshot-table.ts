import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo } from "../../core/node/index.ts";
import type { Database } from "./database.ts";
import { MAX_BODY_BYTES } from "./row-codec.ts";
import { Slots } from "./slots.ts";
import {
  chunksOf,
  decodeSnapshotInfo,
  decodeSnapshotRow,
  encodeFree,
  encodeSnapshotInfo,
  encodeSnapshotRow,
} from "./snapshot-record.ts";
import { corrupt, decoding } from "./storage-error.ts";

/** A committed snapshot and where it lies. */
export interface StoredSnapshot {
  readonly id: number;
  readonly info: SnapshotInfo;
  readonly infoSlot: number;
  /** Of its chunks, in order. */
  readonly slots: readonly number[];
}

/** The rows of the snapshots: which are there, and which slots are free. Synchronous. */
export class SnapshotTable {
  readonly #db: Database;
  #stored: StoredSnapshot[];
  readonly #slots: Slots;
  #lastId: number;

  /** Finds the snapshots; each must have all its rows, whose contents are checked when they are read. */
  constructor(db: Database) {
    this.#db = db;
    const chunks = new Map<number, Map<number, number>>();
    const infoSlots = new Map<number, number>();
    let count = 0;
    let highest = 0;
    this.#lastId = 0;
    for (const { slot, head } of db.heads("d_engine_snapshots")) {
      const { kind, id, chunk } = decoding(() => decodeSnapshotRow(head.name, head.fields));
      if (kind === "info") {
        if (infoSlots.has(id)) throw corrupt(`${head.name} describes snapshot ${id} again`);
        infoSlots.set(id, slot);
      } else if (kind === "chunk") {
        const ofSnapshot = chunks.get(id) ?? new Map<number, number>();
        if (ofSnapshot.has(chunk)) throw corrupt(`${head.name} repeats chunk ${chunk} of snapshot ${id}`);
        chunks.set(id, ofSnapshot.set(chunk, slot));
      }
      this.#lastId = Math.max(this.#lastId, id);
      count++;
      highest = Math.max(highest, slot);
    }
    if (highest !== count) throw corrupt(`of ${highest} rows of snapshots there are ${count}`);
    this.#stored = Array.from(infoSlots, ([id, slot]) => find(db, id, slot, chunks.get(id) ?? new Map()));
    const used = new Set(this.#stored.flatMap(({ infoSlot, slots }) => [infoSlot, ...slots]));
    this.#slots = new Slots(count, (slot) => used.has(slot));
  }

  /** Newest first. */
  list(): SnapshotInfo[] {
    return this.#stored
      .map(({ info }) => info)
      .toSorted((a, b) => b.meta.index - a.meta.index || b.meta.term - a.meta.term);
  }

  find(info: SnapshotInfo): StoredSnapshot | null {
    return this.#stored.find((stored) => isSame(stored.info, info)) ?? null;
  }

  newId(): number {
    return ++this.#lastId;
  }

  /** Writes one chunk of a snapshot that is not there yet, and returns its slot. */
  putChunk(id: number, chunk: number, content: Uint8Array): number {
    const slot = this.#slots.take();
    this.#db.put("d_engine_snapshots", [encodeSnapshotRow(slot, { kind: "chunk", id, chunk }, content)]);
    return slot;
  }

  /** Makes it visible, in the place of one at the same position. */
  commit(id: number, info: SnapshotInfo, slots: readonly number[]): void {
    const body = encodeSnapshotInfo(info);
    if (body.length > MAX_BODY_BYTES) {
      const detail = `a snapshot's context may have ${MAX_BODY_BYTES} bytes, and has ${info.context.length}`;
      throw new EngineError("invalidArgument", { detail });
    }
    const { index, term } = info.meta;
    const replaced = this.#stored.find(({ info: { meta } }) => meta.index === index && meta.term === term);
    const infoSlot = replaced?.infoSlot ?? this.#slots.take();
    const row = encodeSnapshotRow(infoSlot, { kind: "info", id, chunk: 0 }, body);
    this.#db.put("d_engine_snapshots", [row]);
    if (replaced !== undefined) this.#slots.release(replaced.slots);
    this.#stored = this.#stored.filter((stored) => stored !== replaced);
    this.#stored.push({ id, info, infoSlot, slots });
  }

  /** False if there is no such snapshot. */
  drop(info: SnapshotInfo): boolean {
    const found = this.find(info);
    if (found === null) return false;
    this.#db.put("d_engine_snapshots", [encodeFree(found.infoSlot)]);
    this.#slots.release([found.infoSlot, ...found.slots]);
    this.#stored = this.#stored.filter((stored) => stored !== found);
    return true;
  }

  /** Gives back what a snapshot took that will not be committed. */
  release(slots: readonly number[]): void {
    this.#slots.release(slots);
  }

  /** @throws EngineError `storageCorrupt` if it is not the one that was written. */
  readChunk({ id, slots }: StoredSnapshot, chunk: number): Uint8Array {
    const row = this.#db.row("d_engine_snapshots", slots[chunk]!);
    if (row === null) throw corrupt(`row ${slots[chunk]} of a snapshot is missing`);
    const found = decoding(() => decodeSnapshotRow(row.head.name, row.head.fields));
    if (found.kind !== "chunk" || found.id !== id || found.chunk !== chunk) {
      throw corrupt(`${row.head.name} is not chunk ${chunk} of snapshot ${id}`);
    }
    return row.body;
  }
}

function find(
  db: Database,
  id: number,
  infoSlot: number,
  chunks: ReadonlyMap<number, number>,
): StoredSnapshot {
  const row = db.row("d_engine_snapshots", infoSlot);
  if (row === null) throw corrupt(`the description of snapshot ${id} is missing`);
  const info = decoding(() => decodeSnapshotInfo(row.head.name, row.body));
  const slots: number[] = [];
  for (let chunk = 0; chunk < chunksOf(info.size); chunk++) {
    const slot = chunks.get(chunk);
    if (slot === undefined) throw corrupt(`chunk ${chunk} of the snapshot at ${info.meta.index} is missing`);
    slots.push(slot);
  }
  return { id, info, infoSlot, slots };
}

function isSame(a: SnapshotInfo, b: SnapshotInfo): boolean {
  return a.meta.index === b.meta.index && a.meta.term === b.meta.term && a.checksum === b.checksum;
}
