import type { BinaryKey } from "./key.ts";
import { TreeCursor } from "./tree-cursor.ts";
import { TreeNode, childIndex, lowerBound } from "./tree-node.ts";
import type { Owner } from "./tree-node.ts";

/** Most keys of a node. Larger costs more per insertion and copy, smaller more levels. */
const MAX_KEYS = 128;
/** A node with fewer keys is joined with a neighbour. Far below half, so that it does not split again at once. */
const MIN_KEYS = MAX_KEYS / 4;

/**
 * An ordered map from keys to values: a B+tree whose nodes belong to the tree that made them. `clone` shares every
 * node, at no cost, with a second tree; from then on each of the two copies a shared node before it changes it,
 * and changes its own nodes in place.
 */
export class CowTree<V> {
  #root: TreeNode<V>;
  #owner: Owner = {};
  #size = 0;

  constructor() {
    this.#root = TreeNode.leaf(this.#owner, [], []);
  }

  /** Number of keys. */
  get size(): number {
    return this.#size;
  }

  get(key: BinaryKey): V | undefined {
    let node = this.#root;
    while (node.children !== null) node = node.children[childIndex(node.keys, key)]!;
    const i = lowerBound(node.keys, key);
    return node.keys[i] === key ? node.values![i] : undefined;
  }

  /** Adds the key or replaces its value. */
  set(key: BinaryKey, value: V): void {
    const root = (this.#root = this.#own(this.#root));
    const split = this.#insert(root, key, value);
    if (split !== null) {
      this.#root = TreeNode.inner(this.#owner, [split.separator], [root, split.right]);
    }
  }

  /** Returns whether the key was there. */
  delete(key: BinaryKey): boolean {
    // Looked up first: a miss must not copy nodes that are shared.
    if (this.get(key) === undefined) return false;
    this.#root = this.#own(this.#root);
    this.#remove(this.#root, key);
    while (this.#root.children !== null && this.#root.children.length === 1) {
      this.#root = this.#root.children[0]!;
    }
    this.#size--;
    return true;
  }

  /** A second tree with the same content, independent from now on. Takes constant time. */
  clone(): CowTree<V> {
    const copy = new CowTree<V>();
    copy.#root = this.#root;
    copy.#size = this.#size;
    // Neither tree owns the nodes they now share.
    this.#owner = {};
    return copy;
  }

  /** A cursor before the first key. It is valid until this tree changes; of a clone that nobody changes, for ever. */
  cursor(): TreeCursor<V> {
    return new TreeCursor(this.#root);
  }

  #own(node: TreeNode<V>): TreeNode<V> {
    return node.owner === this.#owner ? node : node.copy(this.#owner);
  }

  /** `node` is owned. Returns the right half when it had to split. */
  #insert(node: TreeNode<V>, key: BinaryKey, value: V): Split<V> | null {
    if (node.children === null) return this.#insertIntoLeaf(node, key, value);
    const i = childIndex(node.keys, key);
    const child = (node.children[i] = this.#own(node.children[i]!));
    const split = this.#insert(child, key, value);
    if (split === null) return null;
    node.keys.splice(i, 0, split.separator);
    node.children.splice(i + 1, 0, split.right);
    return node.keys.length > MAX_KEYS ? this.#splitInner(node, splitPoint(node.keys, i)) : null;
  }

  #insertIntoLeaf(leaf: TreeNode<V>, key: BinaryKey, value: V): Split<V> | null {
    const i = lowerBound(leaf.keys, key);
    if (leaf.keys[i] === key) {
      leaf.values![i] = value;
      return null;
    }
    this.#size++;
    if (i === leaf.keys.length) {
      leaf.keys.push(key);
      leaf.values!.push(value);
    } else {
      leaf.keys.splice(i, 0, key);
      leaf.values!.splice(i, 0, value);
    }
    return leaf.keys.length > MAX_KEYS ? this.#splitLeaf(leaf, splitPoint(leaf.keys, i)) : null;
  }

  /** `leaf` keeps the first `at` keys. */
  #splitLeaf(leaf: TreeNode<V>, at: number): Split<V> {
    const right = TreeNode.leaf<V>(this.#owner, leaf.keys.slice(at), leaf.values!.slice(at));
    // Slices rather than a shorter length: an array that has grown keeps its spare room otherwise.
    leaf.keys = leaf.keys.slice(0, at);
    leaf.values = leaf.values!.slice(0, at);
    return { separator: right.keys[0]!, right };
  }

  /** `inner` keeps the first `at` keys and one child more; the key after them moves up. */
  #splitInner(inner: TreeNode<V>, at: number): Split<V> {
    const separator = inner.keys[at]!;
    const right = TreeNode.inner<V>(this.#owner, inner.keys.slice(at + 1), inner.children!.slice(at + 1));
    inner.keys = inner.keys.slice(0, at);
    inner.children = inner.children!.slice(0, at + 1);
    return { separator, right };
  }

  /** `node` is owned and has the key below it. */
  #remove(node: TreeNode<V>, key: BinaryKey): void {
    if (node.children === null) {
      const i = lowerBound(node.keys, key);
      node.keys.splice(i, 1);
      node.values!.splice(i, 1);
      return;
    }
    const i = childIndex(node.keys, key);
    const child = (node.children[i] = this.#own(node.children[i]!));
    this.#remove(child, key);
    if (child.keys.length < MIN_KEYS && node.children.length > 1) {
      this.#join(node, i === 0 ? 0 : i - 1);
    }
  }

  /** Makes one node of children `i` and `i + 1`, or two of about equal size when one could not hold it all. */
  #join(parent: TreeNode<V>, i: number): void {
    const left = (parent.children![i] = this.#own(parent.children![i]!));
    const right = parent.children![i + 1]!;
    if (left.children === null) {
      left.keys = left.keys.concat(right.keys);
      left.values = left.values!.concat(right.values!);
    } else {
      left.keys = left.keys.concat(parent.keys[i]!, right.keys);
      left.children = left.children.concat(right.children!);
    }
    if (left.keys.length <= MAX_KEYS) {
      parent.keys.splice(i, 1);
      parent.children!.splice(i + 1, 1);
      return;
    }
    const middle = left.keys.length >>> 1;
    const split = left.children === null ? this.#splitLeaf(left, middle) : this.#splitInner(left, middle);
    parent.keys[i] = split.separator;
    parent.children![i + 1] = split.right;
  }
}

interface Split<V> {
  readonly separator: BinaryKey;
  readonly right: TreeNode<V>;
}

/** Half; but keys that arrive in order leave full nodes behind them. `inserted` is where the newest key went. */
function splitPoint(keys: readonly BinaryKey[], inserted: number): number {
  return inserted === keys.length - 1 ? keys.length - 2 : keys.length >>> 1;
}
