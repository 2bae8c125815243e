import type { KeyRange } from "./key.ts";
import { TreeCursor } from "./tree-cursor.ts";
import { MAX_LENGTH, TreeNode } from "./tree-node.ts";
import type { Entry, KeySource, Owner } from "./tree-node.ts";

/** A shorter node is joined with a neighbour. Far below half, so that it does not split again at once. */
const MIN_LENGTH: number = MAX_LENGTH / 4;

/**
 * An ordered set of entries, at most one for each key: a B+tree whose nodes belong to the tree that made them.
 * `clone` shares every node, at no cost, with a second tree; from then on each of the two copies a shared node
 * before it changes it, and changes its own nodes in place.
 *
 * Entries are numbers and their keys lie elsewhere, so that a large tree is little to the garbage collector.
 */
export class CowTree {
  readonly #keys: KeySource;
  #root: TreeNode;
  #owner: Owner = {};
  #size = 0;

  constructor(keys: KeySource) {
    this.#keys = keys;
    this.#root = TreeNode.leaf(this.#owner, keys, NO_ENTRIES);
  }

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** The entry with this key. */
  get(key: Uint8Array): Entry | undefined {
    let node = this.#root;
    while (node.children !== null) node = node.children[node.childFor(this.#keys, key)]!;
    const i = node.find(this.#keys, key);
    return i < 0 ? undefined : node.entries![i];
  }

  /** Number of entries in the range that count, by `KeySource.counts`, in logarithmic time. */
  count({ from, to }: KeyRange): number {
    const end = to === null ? this.#root.counted : this.#countedBefore(to);
    return Math.max(0, end - this.#countedBefore(from));
  }

  /** Adds an entry, in place of the one with the same key if there is one. `key` is the entry's key. */
  set(key: Uint8Array, entry: Entry): void {
    const root = (this.#root = this.#own(this.#root));
    const split = this.#insert(root, key, entry);
    if (split === null) return;
    this.#root = TreeNode.inner(this.#owner, this.#keys, [split.separator], [root, split.right]);
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
    return new TreeCursor(this.#keys, this.#root, false);
  }

  /** The same, which goes past long stretches where no entry counts. */
  skippingCursor(): TreeCursor {
    return new TreeCursor(this.#keys, this.#root, true);
  }

  #countedBefore(key: Uint8Array): number {
    let node = this.#root;
    let counted = 0;
    while (node.children !== null) {
      const i = node.childFor(this.#keys, key);
      counted += node.countedBefore(this.#keys, i);
      node = node.children[i]!;
    }
    const i = node.find(this.#keys, key);
    return counted + node.countedBefore(this.#keys, i < 0 ? ~i : i);
  }

  #own(node: TreeNode): TreeNode {
    return node.owner === this.#owner ? node : node.copy(this.#owner);
  }

  #ownChild(parent: TreeNode, i: number): TreeNode {
    const child = this.#own(parent.children![i]!);
    parent.children![i] = child;
    return child;
  }

  /** `node` is owned. Returns the right half when it had to split. */
  #insert(node: TreeNode, key: Uint8Array, entry: Entry): Split | null {
    if (node.children === null) return this.#insertIntoLeaf(node, key, entry);
    const i = node.childFor(this.#keys, key);
    const child = this.#ownChild(node, i);
    const before = child.counted;
    const split = this.#insert(child, key, entry);
    if (split === null) {
      node.counted += child.counted - before;
      return null;
    }
    node.spliceChildren(this.#keys, i, 0, [split.separator], [split.right]);
    return node.length > MAX_LENGTH ? this.#splitInner(node, splitPoint(node, i)) : null;
  }

  #insertIntoLeaf(leaf: TreeNode, key: Uint8Array, entry: Entry): Split | null {
    const found = leaf.find(this.#keys, key);
    if (found >= 0) {
      leaf.replaceEntry(this.#keys, found, entry);
      return null;
    }
    this.#size++;
    leaf.insertEntry(this.#keys, ~found, key, entry);
    return leaf.length > MAX_LENGTH ? this.#splitLeaf(leaf, splitPoint(leaf, ~found)) : null;
  }

  /** `leaf` keeps the first `at` entries. */
  #splitLeaf(leaf: TreeNode, at: number): Split {
    const entries = leaf.entries!.slice(0, leaf.length);
    leaf.setEntries(this.#keys, entries.subarray(0, at));
    const right = TreeNode.leaf(this.#owner, this.#keys, entries.subarray(at));
    return { separator: this.#keys.keyCopy(entries[at]!), right };
  }

  /** `inner` keeps the first `at` separators and one child more; the separator after them moves up. */
  #splitInner(inner: TreeNode, at: number): Split {
    const { separators, children, length } = inner;
    const [separator, ...rest] = separators!.slice(at);
    const right = TreeNode.inner(this.#owner, this.#keys, rest, children!.slice(at + 1));
    inner.spliceChildren(this.#keys, at, length - at, [], []);
    return { separator: separator!, right };
  }

  /** `node` is owned and has the key below it. */
  #remove(node: TreeNode, key: Uint8Array): void {
    if (node.children === null) {
      node.removeEntry(this.#keys, node.find(this.#keys, key));
      return;
    }
    const i = node.childFor(this.#keys, key);
    const child = this.#ownChild(node, i);
    const before = child.counted;
    this.#remove(child, key);
    node.counted += child.counted - before;
    if (child.length < MIN_LENGTH && node.children.length > 1) this.#join(node, i === 0 ? 0 : i - 1);
  }

  /** Makes one node of children `i` and `i + 1`, or two of about equal length when one could not hold it all. */
  #join(parent: TreeNode, i: number): void {
    const [left, right] = [parent.children![i]!, parent.children![i + 1]!];
    const joined = left.children === null ? this.#joinLeaves(left, right) : this.#joinInner(parent, i);
    parent.children![i] = joined.left;
    const { split } = joined;
    if (split === null) parent.spliceChildren(this.#keys, i, 1, [], []);
    else parent.spliceChildren(this.#keys, i, 1, [split.separator], [split.right]);
  }

  #joinLeaves(left: TreeNode, right: TreeNode): Joined {
    const entries = new Uint32Array(left.length + right.length);
    entries.set(left.entries!.subarray(0, left.length));
    entries.set(right.entries!.subarray(0, right.length), left.length);
    if (entries.length <= MAX_LENGTH) {
      return { left: TreeNode.leaf(this.#owner, this.#keys, entries), split: null };
    }
    const middle = entries.length >>> 1;
    const split = {
      separator: this.#keys.keyCopy(entries[middle]!),
      right: TreeNode.leaf(this.#owner, this.#keys, entries.subarray(middle)),
    };
    return { left: TreeNode.leaf(this.#owner, this.#keys, entries.subarray(0, middle)), split };
  }

  #joinInner(parent: TreeNode, i: number): Joined {
    const [left, right] = [parent.children![i]!, parent.children![i + 1]!];
    const separators = [...left.separators!, parent.separators![i]!, ...right.separators!];
    const children = [...left.children!, ...right.children!];
    if (separators.length <= MAX_LENGTH) {
      return { left: TreeNode.inner(this.#owner, this.#keys, separators, children), split: null };
    }
    const middle = separators.length >>> 1;
    const split = {
      separator: separators[middle]!,
      right: TreeNode.inner(
        this.#owner,
        this.#keys,
        separators.slice(middle + 1),
        children.slice(middle + 1),
      ),
    };
    const rest = [separators.slice(0, middle), children.slice(0, middle + 1)] as const;
    return { left: TreeNode.inner(this.#owner, this.#keys, ...rest), split };
  }
}

/** What goes to the right of a node that could not hold everything. */
interface Split {
  readonly separator: Uint8Array;
  readonly right: TreeNode;
}

interface Joined {
  readonly left: TreeNode;
  readonly split: Split | null;
}

/** Half; but keys that arrive in order leave full nodes behind them. `inserted` is where the newest one went. */
function splitPoint(node: TreeNode, inserted: number): number {
  return inserted === node.length - 1 ? node.length - 2 : node.length >>> 1;
}

const NO_ENTRIES: Uint32Array = new Uint32Array(0);
