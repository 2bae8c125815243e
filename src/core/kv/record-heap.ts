import { assert } from "../errors/index.ts";
import { ATTACHMENT_BYTES, VERSION_BYTES } from "./size.ts";
import { headOf } from "./tree-node.ts";
import type { KeyValue, Revision } from "./types.ts";

/*
 * Versions of keys lie packed in slabs, outside the JavaScript heap, and are named by numbers. Measured with a
 * million keys of 8 bytes and values of 256: an object with an array for each takes 900 bytes, and every full
 * garbage collection stops the world for 300 ms to look at them; packed they take 310 bytes, and there is nothing
 * to look at. The price is that freeing is ours to do: a record is freed once, when nobody can reach it.
 *
 *   record  modRevision f64, createRevision f64, version f64, key length u32, value length u32, older record u32,
 *           flags u32, [lease 2 × u32], key, value, padding to 16
 */

/** A record's place: slab number × slots of a slab + slot. A small integer up to 32 GiB of records. 0: none. */
export type RecordHandle = number;

export const NO_RECORD: RecordHandle = 0;

const SLOT_BYTES = 16;
/** A handle without these low bits is the slab's number. */
const SLOT_BITS = 14;
const SLOTS_PER_SLAB: number = 1 << SLOT_BITS;
const SLAB_BYTES: number = SLOTS_PER_SLAB * SLOT_BYTES;
/** As many as 32-bit handles can name. */
const MAX_SLABS: number = 2 ** 32 / SLOTS_PER_SLAB;
/** A larger record has a slab of its own. */
const MAX_SHARED_BYTES: number = SLAB_BYTES / 8;
/** Waste that is not worth a walk over all keys. */
const TOLERATED_WASTE_BYTES: number = 16 * SLAB_BYTES;

const HEADER_BYTES = 40;
const LEASE_FIELD_BYTES = 8;
const HAS_LEASE = 1;
/** It counts no more in `contentBytes`. */
const IS_HIDDEN = 2;

/** Where fields lie, in units of their size from the record's first byte. */
const F64 = { mod: 0, create: 1, version: 2 } as const;
const U32 = { keyLength: 6, valueLength: 7, older: 8, flags: 9, leaseLow: 10, leaseHigh: 11 } as const;

class Slab {
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  /** Bytes of records that are not freed. */
  liveBytes = 0;

  constructor(size: number) {
    const buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }
}

/** What a record is made of. */
export interface NewRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly modRevision: Revision;
  /** 0 in a tombstone. */
  readonly createRevision: Revision;
  /** 0 in a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  /** The key's version before this one. */
  readonly older: RecordHandle;
}

/** Versions of keys: each a put or a tombstone, linked from newer to older. */
export class RecordHeap {
  /** The first is never used, so that no record has handle 0. */
  readonly #slabs: (Slab | null)[] = [null];
  readonly #unusedNumbers: number[] = [];
  #filling: Slab | null = null;
  #fillingNumber = 0;
  #filled = 0;
  #capacityBytes = 0;
  #liveBytes = 0;
  #contentBytes = 0;

  /** Bytes of keys and values, and what each version counts besides (size.ts), but for those that are hidden. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** Copies key and value. */
  create(record: NewRecord): RecordHandle {
    const { key, value, lease } = record;
    const keyAt = lease === 0n ? HEADER_BYTES : HEADER_BYTES + LEASE_FIELD_BYTES;
    const handle = this.#allocate(keyAt + key.length + value.length);
    const { bytes, u32, f64 } = this.#slabOf(handle);
    const base = baseOf(handle);
    const f = base >>> 3;
    f64[f + F64.mod] = record.modRevision;
    f64[f + F64.create] = record.createRevision;
    f64[f + F64.version] = record.version;
    const u = base >>> 2;
    u32[u + U32.keyLength] = key.length;
    u32[u + U32.valueLength] = value.length;
    u32[u + U32.older] = record.older;
    u32[u + U32.flags] = lease === 0n ? 0 : HAS_LEASE;
    if (lease !== 0n) {
      u32[u + U32.leaseLow] = Number(BigInt.asUintN(32, lease));
      u32[u + U32.leaseHigh] = Number(BigInt.asUintN(32, lease >> 32n));
    }
    bytes.set(key, base + keyAt);
    bytes.set(value, base + keyAt + key.length);
    this.#contentBytes += contentOf(key.length, value.length, lease !== 0n);
    return handle;
  }

  /** Nobody may use the handle from now on. */
  free(handle: RecordHandle): void {
    const slab = this.#slabOf(handle);
    const modAt = (baseOf(handle) >>> 3) + F64.mod;
    assert(!Number.isNaN(slab.f64[modAt]), "a record is freed twice");
    // So that whoever uses the handle all the same does not go far.
    slab.f64[modAt] = Number.NaN;
    const size = roundUp(this.#sizeOf(handle));
    this.#contentBytes -= this.#contentOf(handle);
    this.#liveBytes -= size;
    slab.liveBytes -= size;
    if (slab.liveBytes === 0 && slab !== this.#filling) this.#dropSlab(handle >>> SLOT_BITS, slab);
  }

  /**
   * Nobody can ever read the record again, though a newer one that stays still names it: it does not count from now
   * on, since whoever was restored from a snapshot does not have it at all.
   */
  hide(handle: RecordHandle): void {
    this.#contentBytes -= this.#contentOf(handle);
    this.#slabOf(handle).u32[(baseOf(handle) >>> 2) + U32.flags]! |= IS_HIDDEN;
  }

  modRevision(handle: RecordHandle): Revision {
    return this.#slabOf(handle).f64[(baseOf(handle) >>> 3) + F64.mod]!;
  }

  createRevision(handle: RecordHandle): Revision {
    return this.#slabOf(handle).f64[(baseOf(handle) >>> 3) + F64.create]!;
  }

  version(handle: RecordHandle): number {
    return this.#slabOf(handle).f64[(baseOf(handle) >>> 3) + F64.version]!;
  }

  isTombstone(handle: RecordHandle): boolean {
    return this.version(handle) === 0;
  }

  lease(handle: RecordHandle): bigint {
    if (!this.#hasLease(handle)) return 0n;
    const high = BigInt(this.#field(handle, U32.leaseHigh));
    return BigInt.asIntN(64, (high << 32n) | BigInt(this.#field(handle, U32.leaseLow)));
  }

  older(handle: RecordHandle): RecordHandle {
    return this.#field(handle, U32.older);
  }

  setOlder(handle: RecordHandle, older: RecordHandle): void {
    this.#slabOf(handle).u32[(baseOf(handle) >>> 2) + U32.older] = older;
  }

  keyLength(handle: RecordHandle): number {
    return this.#field(handle, U32.keyLength);
  }

  valueLength(handle: RecordHandle): number {
    return this.#field(handle, U32.valueLength);
  }

  /** The key without a copy: to be looked at before anything else happens to the heap. */
  keyView(handle: RecordHandle): Uint8Array {
    const start = this.#keyStart(handle);
    return this.#slabOf(handle).bytes.subarray(start, start + this.keyLength(handle));
  }

  /** The value without a copy, likewise. */
  valueView(handle: RecordHandle): Uint8Array {
    const start = this.#keyStart(handle) + this.keyLength(handle);
    return this.#slabOf(handle).bytes.subarray(start, start + this.valueLength(handle));
  }

  /** Orders the record's key against another, bytewise: negative when it comes before. */
  compareKey(handle: RecordHandle, key: Uint8Array): number {
    const { bytes } = this.#slabOf(handle);
    const start = this.#keyStart(handle);
    const length = this.keyLength(handle);
    const shared = Math.min(length, key.length);
    for (let i = 0; i < shared; i++) {
      const difference = bytes[start + i]! - key[i]!;
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  /** Six bytes of the key from `skip` on, as `headOf` in tree-node.ts has it. */
  keyHead(handle: RecordHandle, skip: number): number {
    return headOf(this.keyView(handle), skip);
  }

  /** Whether the key is there as of this version: what a range's count counts. */
  counts(handle: RecordHandle): boolean {
    return !this.isTombstone(handle);
  }

  /** A key for the caller to keep. */
  keyCopy(handle: RecordHandle): Uint8Array {
    return this.keyView(handle).slice();
  }

  /** What clients get: copies, so that nobody can change the store through them. */
  toKeyValue(handle: RecordHandle, withValue = true): KeyValue {
    const { bytes } = this.#slabOf(handle);
    const keyStart = this.#keyStart(handle);
    const valueStart = keyStart + this.keyLength(handle);
    return {
      key: bytes.slice(keyStart, valueStart),
      value: withValue ? bytes.slice(valueStart, valueStart + this.valueLength(handle)) : NOTHING,
      createRevision: this.createRevision(handle),
      modRevision: this.modRevision(handle),
      version: this.version(handle),
      lease: this.lease(handle),
    };
  }

  /** So much is wasted that moving the records out of sparse slabs pays. */
  needsEvacuation(): boolean {
    return this.#capacityBytes > 2 * this.#liveBytes + TOLERATED_WASTE_BYTES;
  }

  /** Whether the record lies in a slab that is mostly waste. */
  isInSparseSlab(handle: RecordHandle): boolean {
    const slab = this.#slabOf(handle);
    return slab !== this.#filling && slab.liveBytes * 2 < slab.bytes.length;
  }

  /** The same record in another place; the old one is still to be freed. */
  duplicate(handle: RecordHandle): RecordHandle {
    const size = this.#sizeOf(handle);
    const copy = this.#allocate(size);
    const from = baseOf(handle);
    this.#slabOf(copy).bytes.set(this.#slabOf(handle).bytes.subarray(from, from + size), baseOf(copy));
    this.#contentBytes += this.#contentOf(copy);
    return copy;
  }

  #contentOf(handle: RecordHandle): number {
    if ((this.#field(handle, U32.flags) & IS_HIDDEN) !== 0) return 0;
    return contentOf(this.keyLength(handle), this.valueLength(handle), this.#hasLease(handle));
  }

  #hasLease(handle: RecordHandle): boolean {
    return (this.#field(handle, U32.flags) & HAS_LEASE) !== 0;
  }

  #slabOf(handle: RecordHandle): Slab {
    return this.#slabs[handle >>> SLOT_BITS]!;
  }

  #field(handle: RecordHandle, field: number): number {
    return this.#slabOf(handle).u32[(baseOf(handle) >>> 2) + field]!;
  }

  #keyStart(handle: RecordHandle): number {
    return baseOf(handle) + HEADER_BYTES + (this.#hasLease(handle) ? LEASE_FIELD_BYTES : 0);
  }

  #sizeOf(handle: RecordHandle): number {
    return this.#keyStart(handle) - baseOf(handle) + this.keyLength(handle) + this.valueLength(handle);
  }

  #allocate(size: number): RecordHandle {
    const rounded = roundUp(size);
    this.#liveBytes += rounded;
    if (rounded > MAX_SHARED_BYTES) {
      const slab = new Slab(rounded);
      slab.liveBytes = rounded;
      return this.#addSlab(slab) * SLOTS_PER_SLAB;
    }
    if (this.#filling === null || this.#filled + rounded > SLAB_BYTES) this.#startSlab();
    this.#filling!.liveBytes += rounded;
    const handle = this.#fillingNumber * SLOTS_PER_SLAB + this.#filled / SLOT_BYTES;
    this.#filled += rounded;
    return handle;
  }

  #startSlab(): void {
    const full = this.#filling;
    if (full !== null && full.liveBytes === 0) this.#dropSlab(this.#fillingNumber, full);
    this.#filling = new Slab(SLAB_BYTES);
    this.#fillingNumber = this.#addSlab(this.#filling);
    this.#filled = 0;
  }

  #addSlab(slab: Slab): number {
    this.#capacityBytes += slab.bytes.length;
    const number = this.#unusedNumbers.pop() ?? this.#slabs.length;
    assert(number < MAX_SLABS, "the store has outgrown its address space");
    this.#slabs[number] = slab;
    return number;
  }

  #dropSlab(number: number, slab: Slab): void {
    this.#capacityBytes -= slab.bytes.length;
    this.#slabs[number] = null;
    this.#unusedNumbers.push(number);
  }
}

/** Offset in its slab. */
function baseOf(handle: RecordHandle): number {
  return (handle & (SLOTS_PER_SLAB - 1)) * SLOT_BYTES;
}

function contentOf(keyLength: number, valueLength: number, hasLease: boolean): number {
  return VERSION_BYTES + (hasLease ? ATTACHMENT_BYTES : 0) + keyLength + valueLength;
}

function roundUp(size: number): number {
  return Math.ceil(size / SLOT_BYTES) * SLOT_BYTES;
}

const NOTHING: Uint8Array = new Uint8Array(0);
