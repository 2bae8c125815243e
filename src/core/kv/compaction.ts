import { compactHistory, forEachVersion } from "./key-history.ts";
import type { BinaryKey } from "./key.ts";
import type { Keyspace } from "./keyspace.ts";

/**
 * The physical side of compaction: frees, in small steps, what the compacted revision has already hidden. It follows
 * the change log rather than all keys, since a key has something to drop only if it changed; and when values dropped
 * have left the slabs sparse, it moves the rest together. What readers see does not depend on how far it has come.
 */
export class Compactor {
  readonly #keyspace: Keyspace;
  /** Position in the log up to which keys have been compacted. */
  #position = 0;
  /** Where the walk that empties sparse slabs goes on; null: none is under way. */
  #evacuateFrom: BinaryKey | null = null;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** Looks at no more than `maxKeys` keys. Returns whether there is more to do. */
  step(maxKeys: number): boolean {
    const left = this.#dropVersions(maxKeys);
    if (left === 0) return true;
    if (this.#evacuateFrom === null && this.#keyspace.arena.needsEvacuation()) this.#evacuateFrom = "";
    if (this.#evacuateFrom !== null) this.#evacuate(left);
    return this.#evacuateFrom !== null;
  }

  /** Returns how much of `maxKeys` is left. */
  #dropVersions(maxKeys: number): number {
    const { log, compactRevision } = this.#keyspace;
    let left = maxKeys;
    this.#position = Math.max(this.#position, log.start);
    while (left > 0 && this.#position < log.end) {
      if (log.versionAt(this.#position).modRevision > compactRevision) break;
      this.#compactKey(log.keyAt(this.#position));
      this.#position++;
      left--;
    }
    // Changes at the compacted revision itself stay: it is still readable, so a watch may start there.
    if (left < maxKeys) log.dropBefore(Math.min(this.#position, log.positionOf(compactRevision)));
    return left;
  }

  #compactKey(key: BinaryKey): void {
    const keyspace = this.#keyspace;
    const history = keyspace.tree.get(key);
    if (history === undefined) return;
    const rest = compactHistory(history, keyspace.compactRevision, (version) =>
      keyspace.forget(key, version),
    );
    if (rest === null) keyspace.tree.delete(key);
    else if (rest !== history) keyspace.tree.set(key, rest);
  }

  #evacuate(maxKeys: number): void {
    const { tree, arena } = this.#keyspace;
    const cursor = tree.cursor();
    let more = cursor.seek(this.#evacuateFrom!);
    for (let left = maxKeys; more && left > 0; left--) {
      forEachVersion(cursor.value, (version) => arena.evacuate(version));
      more = cursor.next();
    }
    this.#evacuateFrom = more ? cursor.key : null;
  }
}
