import { Hash64 } from "./hash64.ts";
import { isIdempotencyKey } from "./idempotency-key.ts";
import { MAX_REMEMBERED_BYTES, MAX_REMEMBERED_WRITES } from "./limits.ts";
import { encodeResult } from "./result-codec.ts";
import type { NamedResult } from "./types.ts";

/** A named write that was done. */
export interface RememberedWrite {
  /** Counts the named writes ever done. */
  readonly serial: number;
  readonly key: string;
  readonly fingerprint: string;
  /** Encoded by `encodeResult`. */
  readonly result: Uint8Array;
}

export const FINGERPRINT_LENGTH = 16;
/** What an entry costs besides its text and result. */
const ENTRY_BYTES = 128;

/** Tells a request from others under the same name. */
export function fingerprintOf(encodedCommand: Uint8Array): string {
  return new Hash64().add(encodedCommand).digest();
}

export function isFingerprint(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

/** What a user's write is remembered as. No idempotency key has a space. */
export function nameOf(user: string, key: string): string {
  return `${user} ${key}`;
}

/** Whether a write can be remembered under this name: a key, or that of a user. */
export function isRememberedName(name: string): boolean {
  return isIdempotencyKey(name.slice(name.lastIndexOf(" ") + 1));
}

/**
 * What named writes gave, so that one that is asked for again is answered and not done again. Bounded by number and
 * bytes: the oldest are forgotten first, and those that are old enough when a command says so. The same on every
 * replica, since only commands change it.
 */
export class IdempotencyTable {
  /** In the order of their serials. */
  readonly #writes: Map<string, RememberedWrite> = new Map();
  #lastSerial = 0;
  #sizeBytes = 0;

  get size(): number {
    return this.#writes.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get lastSerial(): number {
    return this.#lastSerial;
  }

  get(key: string): RememberedWrite | undefined {
    return this.#writes.get(key);
  }

  /** Oldest first. */
  all(): IterableIterator<RememberedWrite> {
    return this.#writes.values();
  }

  /** There must be none of that name. */
  remember(key: string, fingerprint: string, result: NamedResult): void {
    this.#add({ serial: ++this.#lastSerial, key, fingerprint, result: encodeResult(result) });
    for (const oldest of this.#writes.values()) {
      if (this.#fits) return;
      this.#remove(oldest);
    }
  }

  /** Forgets writes up to a serial. */
  forget(toSerial: number): void {
    for (const oldest of this.#writes.values()) {
      if (oldest.serial > toSerial) return;
      this.#remove(oldest);
    }
  }

  /** From a snapshot, in the order of their serials. Returns whether it can be. */
  restore(write: RememberedWrite): boolean {
    if (write.serial <= this.#lastSerial || this.#writes.has(write.key)) return false;
    this.#lastSerial = write.serial;
    this.#add(write);
    return this.#fits;
  }

  /** From a snapshot: writes were done that are forgotten. Returns whether it can be. */
  restoreSerial(lastSerial: number): boolean {
    if (lastSerial < this.#lastSerial) return false;
    this.#lastSerial = lastSerial;
    return true;
  }

  get #fits(): boolean {
    return this.#writes.size <= MAX_REMEMBERED_WRITES && this.#sizeBytes <= MAX_REMEMBERED_BYTES;
  }

  #add(write: RememberedWrite): void {
    this.#writes.set(write.key, write);
    this.#sizeBytes += sizeOf(write);
  }

  #remove(write: RememberedWrite): void {
    this.#writes.delete(write.key);
    this.#sizeBytes -= sizeOf(write);
  }
}

function sizeOf({ key, result }: RememberedWrite): number {
  return ENTRY_BYTES + key.length + result.length;
}
