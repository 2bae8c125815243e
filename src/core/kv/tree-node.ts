import { compareBytes } from "../bytes/index.ts";

/** Identity of the tree that may change a node in place. */
export type Owner = object;

/** An entry of a tree: a 32-bit number that names something with a key. */
export type Entry = number;

/** Where a tree's entries have their keys. */
export interface KeySource {
  /** Negative, zero or positive, as the entry's key comes before `key`, is equal to it or comes after. */
  compareKey(entry: Entry, key: Uint8Array): number;
  /** `headOf` the entry's key. */
  keyHead(entry: Entry, skip: number): number;
  /** The entry's key, for the tree to keep. */
  keyCopy(entry: Entry): Uint8Array;
  /** Whether it is one of those that `CowTree.count` counts. Always the same for an entry. */
  counts(entry: Entry): boolean;
}

/** Most entries or separators of a node. More of them cost more per insertion and copy, fewer more levels. */
export const MAX_LENGTH = 128;

const HEAD_BYTES = 6;

/**
 * A node of a {@link CowTree}. A leaf has entries in the order of their keys. An inner node has children, and one
 * separator fewer: child `i` holds the keys from `separators[i - 1]` (inclusive) to `separators[i]` (exclusive). One
 * class for both, so that the engine sees one shape.
 *
 * The keys of a leaf lie all over the store's memory, and to look at seven of them for each search is to wait for
 * memory seven times. So a node keeps the beginning that its keys share, and of each the few bytes after it, as a
 * number, in one place: most searches look at no other key than the one they find.
 */
export class TreeNode {
  readonly owner: Owner;
  /** Number of entries, or of separators. */
  length: number;
  /** Number of entries in or below it that count. */
  counted: number;
  /** All keys begin with it. */
  #prefix: Uint8Array;
  /** The bytes of each key after the prefix, by `headOf`. */
  readonly #heads: Float64Array;
  /** Null in an inner node. Room for one too many, before a split. */
  readonly entries: Uint32Array | null;
  /** Null in a leaf. */
  readonly separators: Uint8Array[] | null;
  /** Null in a leaf. */
  readonly children: TreeNode[] | null;

  private constructor(
    owner: Owner,
    length: number,
    counted: number,
    entries: Uint32Array | null,
    separators: Uint8Array[] | null,
    children: TreeNode[] | null,
    heads: Float64Array,
    prefix: Uint8Array,
  ) {
    this.owner = owner;
    this.length = length;
    this.counted = counted;
    this.entries = entries;
    this.separators = separators;
    this.children = children;
    this.#heads = heads;
    this.#prefix = prefix;
  }

  static leaf(owner: Owner, keys: KeySource, entries: Uint32Array): TreeNode {
    const room = new Uint32Array(MAX_LENGTH + 1);
    room.set(entries);
    const heads = new Float64Array(MAX_LENGTH + 1);
    const leaf = new TreeNode(owner, entries.length, 0, room, null, null, heads, NOTHING);
    leaf.#refresh(keys);
    return leaf;
  }

  static inner(owner: Owner, keys: KeySource, separators: Uint8Array[], children: TreeNode[]): TreeNode {
    const heads = new Float64Array(MAX_LENGTH + 1);
    const inner = new TreeNode(owner, separators.length, 0, null, separators, children, heads, NOTHING);
    inner.#refresh(keys);
    return inner;
  }

  /** The same node for another owner; children are shared. */
  copy(owner: Owner): TreeNode {
    const { length, counted, entries, separators, children } = this;
    return new TreeNode(
      owner,
      length,
      counted,
      entries?.slice() ?? null,
      separators?.slice() ?? null,
      children?.slice() ?? null,
      this.#heads.slice(),
      this.#prefix,
    );
  }

  /** Index of the key; if it is not there, `~i` for the index `i` where it would be. */
  find(keys: KeySource, key: Uint8Array): number {
    const prefix = this.#prefix;
    for (let i = 0; i < prefix.length; i++) {
      if (i === key.length || key[i]! < prefix[i]!) return ~0;
      if (key[i]! > prefix[i]!) return ~this.length;
    }
    const head = headOf(key, prefix.length);
    const heads = this.#heads;
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const difference = heads[middle]! - head || this.#compareAt(keys, middle, key);
      if (difference === 0) return middle;
      if (difference < 0) low = middle + 1;
      else high = middle;
    }
    return ~low;
  }

  /** Index of the child whose range holds `key`. */
  childFor(keys: KeySource, key: Uint8Array): number {
    const i = this.find(keys, key);
    return i < 0 ? ~i : i + 1;
  }

  /** Into a leaf, at the place that `find` gave. */
  insertEntry(keys: KeySource, i: number, key: Uint8Array, entry: Entry): void {
    this.entries!.copyWithin(i + 1, i, this.length);
    this.entries![i] = entry;
    this.#heads.copyWithin(i + 1, i, this.length);
    this.length++;
    if (!startsWith(key, this.#prefix)) return this.#refresh(keys);
    this.#heads[i] = headOf(key, this.#prefix.length);
    if (keys.counts(entry)) this.counted++;
  }

  /** In a leaf, for one with the same key. */
  replaceEntry(keys: KeySource, i: number, entry: Entry): void {
    this.counted += Number(keys.counts(entry)) - Number(keys.counts(this.entries![i]!));
    this.entries![i] = entry;
  }

  /** From a leaf. */
  removeEntry(keys: KeySource, i: number): void {
    if (keys.counts(this.entries![i]!)) this.counted--;
    this.entries!.copyWithin(i, i + 1, this.length);
    this.#heads.copyWithin(i, i + 1, this.length);
    this.length--;
  }

  /** Makes these the entries of a leaf. */
  setEntries(keys: KeySource, entries: Uint32Array): void {
    this.entries!.set(entries);
    this.length = entries.length;
    this.#refresh(keys);
  }

  /** Replaces, in an inner node, `count` separators from `i` on, and as many children from `i + 1` on. */
  spliceChildren(
    keys: KeySource,
    i: number,
    count: number,
    separators: Uint8Array[],
    children: TreeNode[],
  ): void {
    this.separators!.splice(i, count, ...separators);
    this.children!.splice(i + 1, count, ...children);
    this.length = this.separators!.length;
    // Before a split there may be one too many, for which there is room.
    this.#refresh(keys);
  }

  /** How many of the entries that count are before place `i` in a leaf, or below children before `i`. */
  countedBefore(keys: KeySource, i: number): number {
    const { children, entries } = this;
    // Most leaves have nothing else.
    if (entries !== null && this.counted === this.length) return i;
    let counted = 0;
    for (let at = 0; at < i; at++) {
      counted += entries === null ? children![at]!.counted : Number(keys.counts(entries[at]!));
    }
    return counted;
  }

  #compareAt(keys: KeySource, i: number, key: Uint8Array): number {
    const { entries } = this;
    return entries === null ? compareBytes(this.separators![i]!, key) : keys.compareKey(entries[i]!, key);
  }

  /** Finds prefix and heads anew, and counts anew. */
  #refresh(keys: KeySource): void {
    const { length, entries, separators, children } = this;
    this.counted = children === null ? 0 : children.reduce((sum, child) => sum + child.counted, 0);
    if (length === 0) {
      this.#prefix = NOTHING;
      return;
    }
    const first = entries === null ? separators![0]! : keys.keyCopy(entries[0]!);
    const last = entries === null ? separators![length - 1]! : keys.keyCopy(entries[length - 1]!);
    // What the first and the last key share, all between them share.
    const shared = sharedLength(first, last);
    this.#prefix = first.slice(0, shared);
    for (let i = 0; i < length; i++) {
      if (entries === null) {
        this.#heads[i] = headOf(separators![i]!, shared);
      } else {
        this.#heads[i] = keys.keyHead(entries[i]!, shared);
        if (keys.counts(entries[i]!)) this.counted++;
      }
    }
  }
}

/**
 * Six bytes of a key from `skip` on, as a number, zeros where it has ended: of two keys the same up to there, the one
 * with the smaller number comes first.
 */
export function headOf(key: Uint8Array, skip: number): number {
  let head = 0;
  for (let i = skip; i < skip + HEAD_BYTES; i++) head = head * 256 + (i < key.length ? key[i]! : 0);
  return head;
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return key.length >= prefix.length && sharedLength(key, prefix) === prefix.length;
}

const NOTHING: Uint8Array = new Uint8Array(0);
