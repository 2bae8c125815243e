const HEADER_WORDS = 5;
const NEXT = 0;
const HASH = 1;
const STATE = 2;
const FIRST = 3;
const LENGTH = 4;

/** Low bits first: bit `i` is in word `i >> 5`. */
export type BitSet = Int32Array;

export function hasBit(set: BitSet, bit: number): boolean {
  return (set[bit >> 5]! & (1 << (bit & 31))) !== 0;
}

export function flipBit(set: BitSet, bit: number): void {
  set[bit >> 5]! ^= 1 << (bit & 31);
}

/**
 * The configurations that a search has reached: which completed operations are placed, the state that they lead
 * to, and which unknown operations were taken to have effect on the way.
 *
 * A configuration that used a superset of the unknown operations of a known one, and is otherwise equal, can
 * reach nothing that the known one cannot, so `add` refuses it. Without this, n open writes cost 2^n.
 *
 * Entries lie behind each other in one typed array: a search that is about to run out of its budget holds
 * millions of them. Placed operations are numbered in the order of their return, so that all but a few words of
 * the set are full or empty, and are not stored.
 */
export class VisitedConfigurations {
  readonly #usedWords: number;
  #entries: Int32Array = new Int32Array(1024);
  /** Offset 0 stands for the end of a chain. */
  #end = 1;
  #buckets: Int32Array = new Int32Array(64);
  #size = 0;

  /** `usedWords`: words of each set of unknown operations. */
  constructor(usedWords: number) {
    this.#usedWords = usedWords;
  }

  get size(): number {
    return this.#size;
  }

  /** Remembers a configuration; false when it is known or a known one is at least as good. */
  add(placedHash: number, placed: BitSet, state: number, used: BitSet): boolean {
    let first = 0;
    while (first < placed.length && placed[first] === -1) first++;
    let end = placed.length;
    while (end > first && placed[end - 1] === 0) end--;

    const hash = mix(placedHash ^ Math.imul(state + 1, 0x9e3779b1));
    const bucket = hash & (this.#buckets.length - 1);
    for (let at = this.#buckets[bucket]!; at !== 0; at = this.#entries[at + NEXT]!) {
      if (this.#entries[at + HASH] !== hash || this.#entries[at + STATE] !== state) continue;
      if (this.#samePlaced(at, placed, first, end) && this.#usedIsSubset(at, used)) return false;
    }
    this.#insert(hash, bucket, placed, first, end, state, used);
    return true;
  }

  #samePlaced(at: number, placed: BitSet, first: number, end: number): boolean {
    const entries = this.#entries;
    if (entries[at + FIRST] !== first || entries[at + LENGTH] !== end - first) return false;
    for (let word = first; word < end; word++) {
      if (entries[at + HEADER_WORDS + word - first] !== placed[word]) return false;
    }
    return true;
  }

  #usedIsSubset(at: number, used: BitSet): boolean {
    const start = at + HEADER_WORDS + this.#entries[at + LENGTH]!;
    for (let word = 0; word < this.#usedWords; word++) {
      if ((this.#entries[start + word]! & ~used[word]!) !== 0) return false;
    }
    return true;
  }

  #insert(
    hash: number,
    bucket: number,
    placed: BitSet,
    first: number,
    end: number,
    state: number,
    used: BitSet,
  ): void {
    const at = this.#end;
    const length = end - first;
    this.#end = at + HEADER_WORDS + length + this.#usedWords;
    if (this.#end > this.#entries.length) {
      const larger = new Int32Array(Math.max(this.#entries.length * 2, this.#end));
      larger.set(this.#entries);
      this.#entries = larger;
    }
    const entries = this.#entries;
    entries[at + NEXT] = this.#buckets[bucket]!;
    entries[at + HASH] = hash;
    entries[at + STATE] = state;
    entries[at + FIRST] = first;
    entries[at + LENGTH] = length;
    entries.set(placed.subarray(first, end), at + HEADER_WORDS);
    entries.set(used, at + HEADER_WORDS + length);
    this.#buckets[bucket] = at;
    this.#size++;
    if (this.#size > this.#buckets.length) this.#grow();
  }

  #grow(): void {
    const entries = this.#entries;
    const buckets = new Int32Array(this.#buckets.length * 4);
    for (let at = 1; at < this.#end; at += HEADER_WORDS + entries[at + LENGTH]! + this.#usedWords) {
      const bucket = entries[at + HASH]! & (buckets.length - 1);
      entries[at + NEXT] = buckets[bucket]!;
      buckets[bucket] = at;
    }
    this.#buckets = buckets;
  }
}

/** Spreads the bits of a 32-bit number over all of its bits. */
export function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
