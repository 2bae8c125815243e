import { assert } from "../errors/index.ts";
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

/** The idempotency key in a name. */
function keyOf(name: string): string {
  return name.slice(name.lastIndexOf(" ") + 1);
}

/** Whose a name is; null where nobody said who asked. */
function ownerOf(name: string): string | null {
  const at = name.lastIndexOf(" ");
  return at === -1 ? null : name.slice(0, at);
}

/** Whether a write can be remembered under this name: a key, or that of a user. */
export function isRememberedName(name: string): boolean {
  return isIdempotencyKey(keyOf(name));
}

/** What one user has in the table. */
interface Share {
  /** In the order of their serials. */
  readonly writes: Set<RememberedWrite>;
  sizeBytes: number;
}

/**
 * What named writes gave, so that one that is asked for again is answered and not done again. Bounded by number and
 * bytes; for want of room it is the oldest of whoever takes most of it that is forgotten, so that nobody can make the
 * names of others go who take less than their share. Those that are old enough go when a command says so. The same on
 * every replica, since only commands change it.
 */
export class IdempotencyTable {
  /** In the order of their serials. */
  #writes: Map<string, RememberedWrite> = new Map();
  /** None is empty. */
  readonly #shares: Map<string | null, Share> = new Map();
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

  /**
   * The write that is remembered under a name. A user's may have been asked for before there were users: then it is one
   * of nobody's that asked for the same.
   */
  find(name: string, fingerprint: string): RememberedWrite | undefined {
    const own = this.#writes.get(name);
    if (own !== undefined || ownerOf(name) === null) return own;
    const ofNobody = this.#writes.get(keyOf(name));
    return ofNobody?.fingerprint === fingerprint ? ofNobody : undefined;
  }

  /** Oldest first. */
  all(): IterableIterator<RememberedWrite> {
    return this.#writes.values();
  }

  /** There must be none of that name. */
  remember(key: string, fingerprint: string, result: NamedResult): void {
    this.#add({ serial: ++this.#lastSerial, key, fingerprint, result: encodeResult(result) });
    while (!this.#fits) this.#remove(this.#oldestOfLargestShare());
  }

  /** Forgets writes up to a serial. */
  forget(toSerial: number): void {
    for (const oldest of this.#writes.values()) {
      if (oldest.serial > toSerial) return;
      this.#remove(oldest);
    }
  }

  /**
   * From now on nobody says who asks, and repetitions come without their users' names: so names are nobody's. Of two
   * users who chose the same key the newer write has it, and the other's repetition is refused, or given that result;
   * neither is done twice.
   */
  disown(): void {
    const writes = [...this.#writes.values()];
    const newNames = new Map<RememberedWrite, string>();
    const taken = new Set(writes.filter(({ key }) => ownerOf(key) === null).map(({ key }) => key));
    for (const write of writes.toReversed()) {
      const key = keyOf(write.key);
      if (taken.has(key)) continue;
      taken.add(key);
      newNames.set(write, key);
    }
    this.#writes = new Map();
    this.#shares.clear();
    this.#sizeBytes = 0;
    for (const write of writes) this.#add({ ...write, key: newNames.get(write) ?? write.key });
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

  /** Of two shares of the same size that with the oldest: the order in which shares came is no part of the state. */
  #oldestOfLargestShare(): RememberedWrite {
    let largest = 0;
    let found: RememberedWrite | null = null;
    for (const { writes, sizeBytes } of this.#shares.values()) {
      if (sizeBytes < largest) continue;
      const [oldest] = writes;
      if (sizeBytes === largest && found !== null && found.serial < oldest!.serial) continue;
      largest = sizeBytes;
      found = oldest!;
    }
    assert(found !== null, "a table without a write is too large");
    return found;
  }

  #add(write: RememberedWrite): void {
    const bytes = sizeOf(write);
    this.#writes.set(write.key, write);
    this.#sizeBytes += bytes;
    const owner = ownerOf(write.key);
    const share = this.#shares.get(owner);
    if (share === undefined) {
      this.#shares.set(owner, { writes: new Set([write]), sizeBytes: bytes });
      return;
    }
    share.writes.add(write);
    share.sizeBytes += bytes;
  }

  #remove(write: RememberedWrite): void {
    const bytes = sizeOf(write);
    this.#writes.delete(write.key);
    this.#sizeBytes -= bytes;
    const owner = ownerOf(write.key);
    const share = this.#shares.get(owner)!;
    share.writes.delete(write);
    share.sizeBytes -= bytes;
    if (share.writes.size === 0) this.#shares.delete(owner);
  }
}

function sizeOf({ key, result }: RememberedWrite): number {
  return ENTRY_BYTES + key.length + result.length;
}
