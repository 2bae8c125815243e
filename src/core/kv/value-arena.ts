import { compareBytes } from "../bytes/index.ts";
import type { Version } from "./key-history.ts";

/*
 * Values lie packed in slabs. A million values of 256 bytes as arrays of their own would cost 540 bytes each
 * (object, buffer, allocator) and a full garbage collection 0.3 s; in slabs they cost 256, and it takes 0.07 s.
 *
 * Readers reach a slab through the versions that lie in it, so the garbage collector frees it after the last
 * reader, a snapshot perhaps, has gone. The arena only counts, to know when slabs have become sparse.
 */

const SLAB_BYTES = 256 << 10;
/** A larger value has a slab of its own, so that it is freed with its last reader. */
const MAX_SHARED_BYTES = SLAB_BYTES / 8;
/** Waste that is not worth a walk over all keys. */
const TOLERATED_WASTE_BYTES = 16 * SLAB_BYTES;

/** A block of value bytes. Bytes once written never change. */
export class Slab {
  readonly bytes: Uint8Array;
  /** Bytes of values that the store still knows. */
  liveBytes = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }
}

const EMPTY: Slab = new Slab(0);

/** Where a value lies. */
export interface ValueSpan {
  slab: Slab;
  offset: number;
  length: number;
}

/** Of a version without a value. */
export const NO_VALUE: Readonly<ValueSpan> = { slab: EMPTY, offset: 0, length: 0 };

/** The bytes of a value, without a copy: not for anyone who might change them, or keep them. */
export function valueView(span: Readonly<ValueSpan>): Uint8Array {
  return span.slab.bytes.subarray(span.offset, span.offset + span.length);
}

/** A copy of a value. */
export function valueCopy(span: Readonly<ValueSpan>): Uint8Array {
  return span.slab.bytes.slice(span.offset, span.offset + span.length);
}

/** Orders values bytewise. */
export function compareSpans(a: Readonly<ValueSpan>, b: Readonly<ValueSpan>): number {
  return compareBytes(valueView(a), valueView(b));
}

/** Where values are put, and how much of it is in use. */
export class ValueArena {
  /** The slab being filled. */
  #filling: Slab = EMPTY;
  #filled = 0;
  #capacity = 0;
  #live = 0;

  /** Bytes of the slabs that hold live values. */
  get capacityBytes(): number {
    return this.#capacity;
  }

  /** Copies `value` into a slab and says in `span` where. */
  store(value: Uint8Array, span: ValueSpan): void {
    const length = value.length;
    span.length = length;
    if (length === 0) {
      span.slab = EMPTY;
      span.offset = 0;
      return;
    }
    if (length > MAX_SHARED_BYTES) {
      span.slab = this.#newSlab(length);
      span.offset = 0;
    } else {
      if (this.#filled + length > this.#filling.bytes.length) this.#startSlab();
      span.slab = this.#filling;
      span.offset = this.#filled;
      this.#filled += length;
    }
    span.slab.bytes.set(value, span.offset);
    span.slab.liveBytes += length;
    this.#live += length;
  }

  /** The store has no more use for this value. Whoever still holds the span can read it all the same. */
  drop(span: Readonly<ValueSpan>): void {
    const slab = span.slab;
    slab.liveBytes -= span.length;
    this.#live -= span.length;
    if (slab.liveBytes === 0 && slab !== this.#filling) this.#capacity -= slab.bytes.length;
  }

  /** So much is wasted that moving the values out of sparse slabs pays. */
  needsEvacuation(): boolean {
    return this.#capacity > 2 * this.#live + TOLERATED_WASTE_BYTES;
  }

  /**
   * Moves a live value out of a slab that is mostly waste. Once it was called for every live value, no slab is less
   * than half full. Safe under readers: the same bytes are in both places.
   */
  evacuate(version: Version): void {
    const slab = version.slab;
    if (slab === this.#filling || slab.liveBytes * 2 >= slab.bytes.length) return;
    const old: ValueSpan = { slab, offset: version.offset, length: version.length };
    this.store(valueView(old), version);
    this.drop(old);
  }

  #startSlab(): void {
    const full = this.#filling;
    this.#filling = this.#newSlab(SLAB_BYTES);
    this.#filled = 0;
    if (full.liveBytes === 0) this.#capacity -= full.bytes.length;
  }

  #newSlab(size: number): Slab {
    this.#capacity += size;
    return new Slab(size);
  }
}
