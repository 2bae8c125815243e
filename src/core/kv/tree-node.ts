import type { BinaryKey } from "./key.ts";

/** Identity of the tree that may change a node in place. */
export type Owner = object;

/**
 * A node of a {@link CowTree}. A leaf has `values[i]` for `keys[i]`. An inner node has one child more than keys:
 * child `i` holds the keys from `keys[i - 1]` (inclusive) to `keys[i]` (exclusive). One class for both, so that
 * the engine sees one shape.
 */
export class TreeNode<V> {
  readonly owner: Owner;
  keys: BinaryKey[];
  /** Null in an inner node. */
  values: V[] | null;
  /** Null in a leaf. */
  children: TreeNode<V>[] | null;

  private constructor(owner: Owner, keys: BinaryKey[], values: V[] | null, children: TreeNode<V>[] | null) {
    this.owner = owner;
    this.keys = keys;
    this.values = values;
    this.children = children;
  }

  static leaf<V>(owner: Owner, keys: BinaryKey[], values: V[]): TreeNode<V> {
    return new TreeNode<V>(owner, keys, values, null);
  }

  static inner<V>(owner: Owner, keys: BinaryKey[], children: TreeNode<V>[]): TreeNode<V> {
    return new TreeNode<V>(owner, keys, null, children);
  }

  /** The same node for another owner; children are shared. */
  copy(owner: Owner): TreeNode<V> {
    return new TreeNode<V>(
      owner,
      this.keys.slice(),
      this.values?.slice() ?? null,
      this.children?.slice() ?? null,
    );
  }
}

/** Index of the first key that is not less than `key`. */
export function lowerBound(keys: readonly BinaryKey[], key: BinaryKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the child whose range holds `key`. */
export function childIndex(keys: readonly BinaryKey[], key: BinaryKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}
