import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { corrupt } from "./storage-error.ts";

/*
 * SQLite takes the first frame of its write-ahead log that does not check for the torn end of a write that was
 * never acknowledged, and forgets everything behind it. After a power cut that is right. After a flipped bit it
 * would silently lose entries that this node has acknowledged, which Raft does not survive. The two can be told
 * apart: a transaction is only begun once the one before is durable, so when a bad frame is followed by the end of
 * one transaction *and* by a frame of the next, what lies between had been acknowledged.
 * (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST'18. A flipped bit in the very
 * last transaction looks like a torn write to anyone.)
 *
 * Format: https://sqlite.org/fileformat2.html#the_write_ahead_log. Numbers are big-endian.
 */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;
const MIN_PAGE_BYTES = 512;
const MAX_PAGE_BYTES = 65536;

/** Throws `storageCorrupt` if the WAL at `path` has lost acknowledged transactions. Changes nothing. */
export function checkWal(path: string): void {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return;
    throw error;
  }
  try {
    new WalScan(path, file).run();
  } finally {
    closeSync(file);
  }
}

interface Sums {
  readonly s0: number;
  readonly s1: number;
}

class WalScan {
  readonly #path: string;
  readonly #file: number;
  readonly #size: number;
  #littleEndian = false;
  #salts = "";

  constructor(path: string, file: number) {
    this.#path = path;
    this.#file = file;
    this.#size = fstatSync(file).size;
  }

  run(): void {
    if (this.#size < HEADER_BYTES) return;
    const header = this.#read(0, HEADER_BYTES);
    if (header.every((byte) => byte === 0)) {
      // The file was made longer and the header did not make it to the disk: frames come only after it has.
      if (this.#size > HEADER_BYTES && !this.#restIsZero())
        throw corrupt(this.#path, "its header is missing");
      return;
    }
    const view = viewOf(header);
    const magic = view.getUint32(0);
    this.#littleEndian = magic === MAGIC;
    const sums = this.#sum(header.subarray(0, 24), { s0: 0, s1: 0 });
    const headerHolds =
      (magic & ~1) >>> 0 === MAGIC && view.getUint32(24) === sums.s0 && view.getUint32(28) === sums.s1;
    if (!headerHolds) throw corrupt(this.#path, "its header does not match its checksum");
    const pageBytes = view.getUint32(8);
    if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES) {
      throw corrupt(this.#path, `it has pages of ${pageBytes} bytes`);
    }
    this.#salts = saltsAt(view, 16);
    this.#checkFrames(pageBytes + FRAME_HEADER_BYTES, sums);
  }

  #checkFrames(frameBytes: number, headerSums: Sums): void {
    const count = Math.floor((this.#size - HEADER_BYTES) / frameBytes);
    let sums = headerSums;
    let firstBad = -1;
    let transactionEnded = false;
    for (let i = 0; i < count; i++) {
      // Past the first bad frame only the headers say anything.
      const length = firstBad < 0 ? frameBytes : FRAME_HEADER_BYTES;
      const frame = this.#read(HEADER_BYTES + i * frameBytes, length);
      const view = viewOf(frame);
      const sameSalts = saltsAt(view, 8) === this.#salts;
      if (firstBad < 0) {
        sums = this.#sum(frame.subarray(FRAME_HEADER_BYTES), this.#sum(frame.subarray(0, 8), sums));
        if (sameSalts && view.getUint32(16) === sums.s0 && view.getUint32(20) === sums.s1) continue;
        firstBad = i;
      }
      if (!sameSalts) continue;
      if (transactionEnded) {
        throw corrupt(
          this.#path,
          `frame ${firstBad + 1} does not match its checksum, and acknowledged ones follow`,
        );
      }
      transactionEnded = view.getUint32(4) !== 0;
    }
  }

  /** The checksum of the format description, §4.2: over pairs of words, running on. */
  #sum(bytes: Uint8Array, { s0, s1 }: Sums): Sums {
    const view = viewOf(bytes);
    for (let i = 0; i < bytes.length; i += 8) {
      s0 = (s0 + view.getUint32(i, this.#littleEndian) + s1) >>> 0;
      s1 = (s1 + view.getUint32(i + 4, this.#littleEndian) + s0) >>> 0;
    }
    return { s0, s1 };
  }

  #restIsZero(): boolean {
    for (let offset = HEADER_BYTES; offset < this.#size; offset += MAX_PAGE_BYTES) {
      const length = Math.min(MAX_PAGE_BYTES, this.#size - offset);
      if (this.#read(offset, length).some((byte) => byte !== 0)) return false;
    }
    return true;
  }

  #read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const got = readSync(this.#file, bytes, 0, length, offset);
    if (got !== length) throw corrupt(this.#path, `${length} bytes wanted at ${offset}, ${got} read`);
    return bytes;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function saltsAt(view: DataView, offset: number): string {
  return `${view.getUint32(offset)},${view.getUint32(offset + 4)}`;
}
