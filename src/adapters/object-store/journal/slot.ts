import { ByteWriter } from "../../../core/bytes/index.ts";
import { EngineError } from "../../../core/errors/index.ts";
import { begin, corrupt, SEAL_BYTES, type SealedFormat, seal, unseal } from "../sealed.ts";

/*
 * A slot is an object whose name is its place in the journal, `<journal>/<seq, 20 digits>`. It is created once and
 * never changed:
 *
 *     magic (4 bytes), format version (1), kind (1)
 *     journal id, epoch, owner, seq, through (8 each), part, parts (4 each)
 *     payload, CRC-32 of everything before (4)
 *
 * A fence is exactly as long as that without a payload, and everything else is longer: so a listing tells which
 * objects a sweep must leave.
 */

const FORMAT: SealedFormat = { magic: 0x474c4544, version: 1 }; // "DELG"
const KINDS = ["fence", "filler", "part"] as const;
const HEADER_BYTES = 6 + 5 * 8 + 2 * 4;
/** What a slot takes beside its payload; also the length of a fence. */
export const SLOT_OVERHEAD_BYTES: number = HEADER_BYTES + SEAL_BYTES;

export interface Slot {
  /** `fence` is an owner's first slot, `filler` the rest of what it occupies before it writes, `part` of a record. */
  readonly kind: (typeof KINDS)[number];
  /** Drawn when the journal was made, so that another journal's slots are found out. */
  readonly journalId: bigint;
  readonly epoch: number;
  /** The nonce of the process that wrote it. */
  readonly owner: bigint;
  readonly seq: number;
  /** All slots up to this one were filled when this one was written. Betrays a slot that was lost. */
  readonly through: number;
  /** A record of many bytes takes several slots, and counts only when all of them are there. */
  readonly part: number;
  readonly parts: number;
  readonly payload: Uint8Array;
}

export function slotName(journal: string, seq: number): string {
  return `${journal}/${String(seq).padStart(20, "0")}`;
}

/** The seq of a listed name; refuses what is no slot. */
export function seqOf(journal: string, name: string, location: string): number {
  const seq = Number(name.slice(journal.length + 1));
  if (!Number.isSafeInteger(seq) || name !== slotName(journal, seq)) {
    throw new EngineError("storageForeign", {
      detail: `${location}: ${name} is no segment of a log; remove it, or choose a prefix of its own for this node`,
    });
  }
  return seq;
}

export function encodeSlot(slot: Slot): Uint8Array {
  const writer = new ByteWriter(SLOT_OVERHEAD_BYTES + slot.payload.length);
  begin(writer, FORMAT).u8(KINDS.indexOf(slot.kind)).u64(slot.journalId);
  writer.u64(BigInt(slot.epoch)).u64(slot.owner).u64(BigInt(slot.seq)).u64(BigInt(slot.through));
  writer.u32(slot.part).u32(slot.parts).raw(slot.payload);
  return seal(writer);
}

/** Reads what was found at `seq`; the payload is a view of `body`. */
export function decodeSlot(body: Uint8Array, journalId: bigint, seq: number, place: string): Slot {
  const reader = unseal(body, FORMAT, place);
  if (body.length < SLOT_OVERHEAD_BYTES) throw corrupt(place, "is too short");
  const kind = KINDS[reader.u8()];
  const slot = {
    journalId: reader.u64(),
    epoch: Number(reader.u64()),
    owner: reader.u64(),
    seq: Number(reader.u64()),
    through: Number(reader.u64()),
    part: reader.u32(),
    parts: reader.u32(),
    payload: body.subarray(HEADER_BYTES, body.length - SEAL_BYTES),
  };
  if (slot.journalId !== journalId) throw corrupt(place, "belongs to another log");
  if (kind === undefined || slot.seq !== seq) throw corrupt(place, `is a copy of segment ${slot.seq}`);
  return { kind, ...slot };
}
