import type { Entry, KeySource, TreeNode } from "./tree-node.ts";

/**
 * Walks a {@link CowTree} in key order, both ways. Every move returns whether there is an entry to look at, and
 * `entry` may be read only then. Valid until the tree changes.
 */
export class TreeCursor {
  readonly #keys: KeySource;
  readonly #root: TreeNode;
  readonly #skips: boolean;
  /** Inner nodes from the root down, and the child taken in each. */
  readonly #path: TreeNode[] = [];
  readonly #taken: number[] = [];
  #leaf: TreeNode;
  #at = -1;

  /** @param skips goes past nodes without an entry that counts; of others it shows all entries. */
  constructor(keys: KeySource, root: TreeNode, skips: boolean) {
    this.#keys = keys;
    this.#root = root;
    this.#skips = skips;
    this.#leaf = root;
    this.#descend(root, "first");
  }

  get entry(): Entry {
    return this.#leaf.entries![this.#at]!;
  }

  /** To the first entry whose key is not less than `key`. */
  seek(key: Uint8Array): boolean {
    this.#find(key);
    this.#at = this.#positionOf(key) - 1;
    return this.next();
  }

  /** To the last entry whose key is less than `key`; null: to the last entry of all. */
  seekBefore(key: Uint8Array | null): boolean {
    if (key === null) {
      this.#reset();
      this.#descend(this.#root, "last");
      this.#at = this.#leaf.length;
    } else {
      this.#find(key);
      this.#at = this.#positionOf(key);
    }
    return this.previous();
  }

  next(): boolean {
    while (++this.#at >= this.#leaf.length) {
      if (!this.#turn(1)) {
        this.#at = this.#leaf.length;
        return false;
      }
    }
    return true;
  }

  previous(): boolean {
    while (--this.#at < 0) {
      if (!this.#turn(-1)) {
        this.#at = -1;
        return false;
      }
    }
    return true;
  }

  /** Where in the leaf the key is or would be. */
  #positionOf(key: Uint8Array): number {
    const i = this.#leaf.find(this.#keys, key);
    return i < 0 ? ~i : i;
  }

  #reset(): void {
    this.#path.length = 0;
    this.#taken.length = 0;
  }

  /** To the leaf where `key` is or would be. */
  #find(key: Uint8Array): void {
    this.#reset();
    let node = this.#root;
    while (node.children !== null) {
      const i = node.childFor(this.#keys, key);
      this.#path.push(node);
      this.#taken.push(i);
      node = node.children[i]!;
    }
    this.#leaf = node;
  }

  /** To the neighbouring leaf, just outside its nearest entry; stays when there is none. */
  #turn(direction: 1 | -1): boolean {
    let level = this.#path.length - 1;
    while (level >= 0) {
      const children = this.#path[level]!.children!;
      let sibling = this.#taken[level]! + direction;
      while (this.#skips && children[sibling]?.counted === 0) sibling += direction;
      const child = children[sibling];
      if (child !== undefined) {
        this.#taken[level] = sibling;
        this.#path.length = level + 1;
        this.#taken.length = level + 1;
        this.#descend(child, direction === 1 ? "first" : "last");
        this.#at = direction === 1 ? -1 : this.#leaf.length;
        return true;
      }
      level--;
    }
    return false;
  }

  #descend(from: TreeNode, end: "first" | "last"): void {
    let node = from;
    while (node.children !== null) {
      const i = end === "first" ? 0 : node.children.length - 1;
      this.#path.push(node);
      this.#taken.push(i);
      node = node.children[i]!;
    }
    this.#leaf = node;
  }
}
