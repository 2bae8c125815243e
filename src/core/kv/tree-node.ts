import { compareBytes } from "../bytes/index.ts";

/** Identity of the tree that may change a node in place. */
export type Owner = object;

/** An entry of a tree: a number that names something with a key. */
export type Entry = number;

/** Where a tree's entries have their keys. */
export interface KeySource {
  /** Negative, zero or positive, as the entry's key comes before `key`, is equal to it or comes after. */
  compareKey(entry: Entry, key: Uint8Array): number;
  /** The entry's key, for the tree to keep. */
  keyCopy(entry: Entry): Uint8Array;
}

/**
 * A node of a {@link CowTree}. A leaf has entries in the order of their keys. An inner node has children, and one
 * separator fewer: child `i` holds the keys from `separators[i - 1]` (inclusive) to `separators[i]` (exclusive). One
 * class for both, so that the engine sees one shape.
 */
export class TreeNode {
  readonly owner: Owner;
  /** Empty in an inner node. */
  entries: Entry[];
  /** Empty in a leaf. */
  separators: Uint8Array[];
  /** Null in a leaf. */
  children: TreeNode[] | null;

  private constructor(owner: Owner, entries: Entry[], separators: Uint8Array[], children: TreeNode[] | null) {
    this.owner = owner;
    this.entries = entries;
    this.separators = separators;
    this.children = children;
  }

  static leaf(owner: Owner, entries: Entry[]): TreeNode {
    return new TreeNode(owner, entries, [], null);
  }

  static inner(owner: Owner, separators: Uint8Array[], children: TreeNode[]): TreeNode {
    return new TreeNode(owner, [], separators, children);
  }

  /** Entries of a leaf, separators of an inner node. */
  get length(): number {
    return this.children === null ? this.entries.length : this.separators.length;
  }

  /** The same node for another owner; children are shared. */
  copy(owner: Owner): TreeNode {
    return new TreeNode(owner, this.entries.slice(), this.separators.slice(), this.children?.slice() ?? null);
  }
}

/** Index of the first entry whose key is not less than `key`. */
export function lowerBound(keys: KeySource, entries: readonly Entry[], key: Uint8Array): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys.compareKey(entries[middle]!, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the child whose range holds `key`. */
export function childIndex(separators: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = separators.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(separators[middle]!, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
