import { TreeCursor } from "./tree-cursor.ts";
import { TreeNode, childIndex, lowerBound } from "./tree-node.ts";
import type { Entry, KeySource, Owner } from "./tree-node.ts";

/** Most entries or separators of a node. More of them cost more per insertion and copy, fewer more levels. */
const MAX_LENGTH = 128;
/** A shorter node is joined with a neighbour. Far below half, so that it does not split again at once. */
const MIN_LENGTH = MAX_LENGTH / 4;

/**
 * An ordered set of entries, at most one for each key: a B+tree whose nodes belong to the tree that made them.
 * `clone` shares every node, at no cost, with a second tree; from then on each of the two copies a shared node
 * before it changes it, and changes its own nodes in place.
 *
 * Entries are numbers and their keys lie elsewhere, so that a large tree is a few plain arrays to the garbage
 * collector.
 */
export class CowTree {
  readonly #keys: KeySource;
  #root: TreeNode;
  #owner: Owner = {};
  #size = 0;

  constructor(keys: KeySource) {
    this.#keys = keys;
    this.#root = TreeNode.leaf(this.#owner, []);
  }

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** The entry with this key. */
  get(key: Uint8Array): Entry | undefined {
    let node = this.#root;
    while (node.children !== null) node = node.children[childIndex(node.separators, key)]!;
    const i = lowerBound(this.#keys, node.entries, key);
    const entry = node.entries[i];
    return entry !== undefined && this.#keys.compareKey(entry, key) === 0 ? entry : undefined;
  }

  /** Adds an entry, in place of the one with the same key if there is one. `key` is the entry's key. */
  set(key: Uint8Array, entry: Entry): void {
    const root = (this.#root = this.#own(this.#root));
    const split = this.#insert(root, key, entry);
    if (split !== null) this.#root = TreeNode.inner(this.#owner, [split.separator], [root, split.right]);
  }

  /** Returns whether there was an entry with this key. */
  delete(key: Uint8Array): boolean {
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
  clone(): CowTree {
    const copy = new CowTree(this.#keys);
    copy.#root = this.#root;
    copy.#size = this.#size;
    // Neither tree owns the nodes they now share.
    this.#owner = {};
    return copy;
  }

  /** A cursor before the first entry, valid until this tree changes. */
  cursor(): TreeCursor {
    return new TreeCursor(this.#keys, this.#root);
  }

  #own(node: TreeNode): TreeNode {
    return node.owner === this.#owner ? node : node.copy(this.#owner);
  }

  /** `node` is owned. Returns the right half when it had to split. */
  #insert(node: TreeNode, key: Uint8Array, entry: Entry): Split | null {
    if (node.children === null) return this.#insertIntoLeaf(node, key, entry);
    const i = childIndex(node.separators, key);
    const child = (node.children[i] = this.#own(node.children[i]!));
    const split = this.#insert(child, key, entry);
    if (split === null) return null;
    node.separators.splice(i, 0, split.separator);
    node.children.splice(i + 1, 0, split.right);
    return node.separators.length > MAX_LENGTH ? this.#splitInner(node, splitPoint(node, i)) : null;
  }

  #insertIntoLeaf(leaf: TreeNode, key: Uint8Array, entry: Entry): Split | null {
    const { entries } = leaf;
    const i = lowerBound(this.#keys, entries, key);
    if (i < entries.length && this.#keys.compareKey(entries[i]!, key) === 0) {
      entries[i] = entry;
      return null;
    }
    this.#size++;
    if (i === entries.length) entries.push(entry);
    else entries.splice(i, 0, entry);
    return entries.length > MAX_LENGTH ? this.#splitLeaf(leaf, splitPoint(leaf, i)) : null;
  }

  /** `leaf` keeps the first `at` entries. */
  #splitLeaf(leaf: TreeNode, at: number): Split {
    const right = TreeNode.leaf(this.#owner, leaf.entries.slice(at));
    // A slice rather than a shorter length: an array that has grown keeps its spare room otherwise.
    leaf.entries = leaf.entries.slice(0, at);
    return { separator: this.#keys.keyCopy(right.entries[0]!), right };
  }

  /** `inner` keeps the first `at` separators and one child more; the separator after them moves up. */
  #splitInner(inner: TreeNode, at: number): Split {
    const separator = inner.separators[at]!;
    const right = TreeNode.inner(this.#owner, inner.separators.slice(at + 1), inner.children!.slice(at + 1));
    inner.separators = inner.separators.slice(0, at);
    inner.children = inner.children!.slice(0, at + 1);
    return { separator, right };
  }

  /** `node` is owned and has the key below it. */
  #remove(node: TreeNode, key: Uint8Array): void {
    if (node.children === null) {
      node.entries.splice(lowerBound(this.#keys, node.entries, key), 1);
      return;
    }
    const i = childIndex(node.separators, key);
    const child = (node.children[i] = this.#own(node.children[i]!));
    this.#remove(child, key);
    if (child.length < MIN_LENGTH && node.children.length > 1) this.#join(node, i === 0 ? 0 : i - 1);
  }

  /** Makes one node of children `i` and `i + 1`, or two of about equal length when one could not hold it all. */
  #join(parent: TreeNode, i: number): void {
    const left = (parent.children![i] = this.#own(parent.children![i]!));
    const right = parent.children![i + 1]!;
    if (left.children === null) {
      left.entries = left.entries.concat(right.entries);
    } else {
      left.separators = [...left.separators, parent.separators[i]!, ...right.separators];
      left.children = left.children.concat(right.children!);
    }
    if (left.length <= MAX_LENGTH) {
      parent.separators.splice(i, 1);
      parent.children!.splice(i + 1, 1);
      return;
    }
    const middle = left.length >>> 1;
    const split = left.children === null ? this.#splitLeaf(left, middle) : this.#splitInner(left, middle);
    parent.separators[i] = split.separator;
    parent.children![i + 1] = split.right;
  }
}

interface Split {
  readonly separator: Uint8Array;
  readonly right: TreeNode;
}

/** Half; but keys that arrive in order leave full nodes behind them. `inserted` is where the newest one went. */
function splitPoint(node: TreeNode, inserted: number): number {
  return inserted === node.length - 1 ? node.length - 2 : node.length >>> 1;
}
