import type { BinaryKey } from "../../kv/index.ts";

/** A single key, or keys from `from` (inclusive) to `to` (exclusive; null: no end). */
export type Interval =
  | { readonly single: true; readonly from: BinaryKey }
  | { readonly single: false; readonly from: BinaryKey; readonly to: BinaryKey | null };

/** All members of one interval, in a treap ordered by (from, to). */
interface Node<T> {
  readonly from: BinaryKey;
  readonly to: BinaryKey | null;
  readonly members: Set<T>;
  /** Larger than those below it: random, so that no order of arrival makes the tree deep. */
  readonly priority: number;
  /** The furthest end in this subtree; null: none is further. */
  furthest: BinaryKey | null;
  left: Node<T> | null;
  right: Node<T> | null;
}

/**
 * Who is interested in a key: single keys by a hash table, ranges by an interval tree (a treap whose nodes know the
 * furthest end below them). Looking up a key costs the logarithm of the number of different ranges, and those found.
 */
export class IntervalIndex<T> {
  readonly #keys: Map<BinaryKey, Set<T>> = new Map();
  readonly #random: () => number;
  #root: Node<T> | null = null;
  #size = 0;

  /** @param random uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  get size(): number {
    return this.#size;
  }

  /** The member must not be there yet. */
  add(interval: Interval, member: T): void {
    this.#size++;
    if (interval.single) {
      const members = this.#keys.get(interval.from);
      if (members === undefined) this.#keys.set(interval.from, new Set([member]));
      else members.add(member);
    } else {
      this.#root = this.#insert(this.#root, interval.from, interval.to, member);
    }
  }

  /** The member must be there, under this interval. */
  delete(interval: Interval, member: T): void {
    this.#size--;
    if (interval.single) {
      const members = this.#keys.get(interval.from)!;
      members.delete(member);
      if (members.size === 0) this.#keys.delete(interval.from);
    } else {
      this.#root = this.#remove(this.#root!, interval.from, interval.to, member);
    }
  }

  /** Visits everyone whose interval has the key. */
  visit(key: BinaryKey, visit: (member: T) => void): void {
    const members = this.#keys.get(key);
    if (members !== undefined) for (const member of members) visit(member);
    visitNodes(this.#root, key, visit);
  }

  #insert(node: Node<T> | null, from: BinaryKey, to: BinaryKey | null, member: T): Node<T> {
    if (node === null) {
      const members = new Set([member]);
      return { from, to, members, priority: this.#random(), furthest: to, left: null, right: null };
    }
    const order = compare(from, to, node);
    if (order === 0) {
      node.members.add(member);
      return node;
    }
    if (order < 0) {
      node.left = this.#insert(node.left, from, to, member);
      if (node.left.priority > node.priority) return rotateRight(node);
    } else {
      node.right = this.#insert(node.right, from, to, member);
      if (node.right.priority > node.priority) return rotateLeft(node);
    }
    update(node);
    return node;
  }

  #remove(node: Node<T>, from: BinaryKey, to: BinaryKey | null, member: T): Node<T> | null {
    const order = compare(from, to, node);
    if (order === 0) {
      node.members.delete(member);
      return node.members.size > 0 ? node : merge(node.left, node.right);
    }
    if (order < 0) node.left = this.#remove(node.left!, from, to, member);
    else node.right = this.#remove(node.right!, from, to, member);
    update(node);
    return node;
  }
}

function visitNodes<T>(node: Node<T> | null, key: BinaryKey, visit: (member: T) => void): void {
  if (node === null || (node.furthest !== null && node.furthest <= key)) return;
  visitNodes(node.left, key, visit);
  // Everything to the right begins later still.
  if (key < node.from) return;
  if (node.to === null || key < node.to) for (const member of node.members) visit(member);
  visitNodes(node.right, key, visit);
}

function compare(from: BinaryKey, to: BinaryKey | null, node: Node<unknown>): number {
  if (from !== node.from) return from < node.from ? -1 : 1;
  if (to === node.to) return 0;
  return node.to === null || (to !== null && to < node.to) ? -1 : 1;
}

function later(a: BinaryKey | null, b: BinaryKey | null): BinaryKey | null {
  if (a === null || b === null) return null;
  return a > b ? a : b;
}

function update(node: Node<unknown>): void {
  let furthest = node.to;
  if (node.left !== null) furthest = later(furthest, node.left.furthest);
  if (node.right !== null) furthest = later(furthest, node.right.furthest);
  node.furthest = furthest;
}

function rotateRight<T>(node: Node<T>): Node<T> {
  const root = node.left!;
  node.left = root.right;
  root.right = node;
  update(node);
  update(root);
  return root;
}

function rotateLeft<T>(node: Node<T>): Node<T> {
  const root = node.right!;
  node.right = root.left;
  root.left = node;
  update(node);
  update(root);
  return root;
}

/** Everything in `left` comes before everything in `right`. */
function merge<T>(left: Node<T> | null, right: Node<T> | null): Node<T> | null {
  if (left === null) return right;
  if (right === null) return left;
  if (left.priority > right.priority) {
    left.right = merge(left.right, right);
    update(left);
    return left;
  }
  right.left = merge(left, right.left);
  update(right);
  return right;
}
