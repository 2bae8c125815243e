import { assert } from "../errors/index.ts";
import { ChangeLog } from "./change-log.ts";
import { CowTree } from "./cow-tree.ts";
import { keyToBytes } from "./key.ts";
import type { BinaryKey, KeyRange } from "./key.ts";
import { Version, append, newest, versionAt, withoutNewest } from "./key-history.ts";
import type { KeyHistory } from "./key-history.ts";
import type { KeyValue, Revision } from "./types.ts";
import { ValueArena, valueCopy } from "./value-arena.ts";

/** What a store without any write is at. */
export const FIRST_REVISION: Revision = 1;

/** The keys with their history, and the log of changes, as of one revision. */
export interface KeyspaceView {
  readonly tree: CowTree<KeyHistory>;
  readonly log: ChangeLog;
  readonly revision: Revision;
  readonly compactRevision: Revision;
}

/**
 * All keys, all their retained versions, and the store's clock. Changes gather in a transaction, visible at once to
 * itself, which `commit` makes the next revision and `rollback` takes back.
 *
 * The visible state at a revision is a function of (revision, compactRevision) and the changes; what compaction has
 * physically removed so far never shows.
 */
export class Keyspace {
  readonly tree: CowTree<KeyHistory> = new CowTree();
  readonly log: ChangeLog = new ChangeLog();
  readonly arena: ValueArena = new ValueArena();
  /** Revision of the last committed transaction. */
  revision: Revision = FIRST_REVISION;
  /** Reads below it are refused. 0: never compacted. */
  compactRevision: Revision = 0;
  /** Bytes of keys and values, of every version still in memory. */
  sizeBytes = 0;
  /** Position in the log of the first change of the open transaction. */
  #committedEnd = 0;

  /** Revision that a reader inside the open transaction is at. */
  get readRevision(): Revision {
    return this.log.end > this.#committedEnd ? this.revision + 1 : this.revision;
  }

  /** The key's version at `revision`; null when it was not there. */
  get(key: BinaryKey, revision: Revision): Version | null {
    const history = this.tree.get(key);
    return history === undefined ? null : versionAt(history, revision);
  }

  /** Visits the keys that were there at `revision`, ascending, until `visit` returns false. No changes meanwhile. */
  scan(range: KeyRange, revision: Revision, visit: (key: BinaryKey, version: Version) => boolean): void {
    const cursor = this.tree.cursor();
    for (let more = cursor.seek(range.from); more; more = cursor.next()) {
      const key = cursor.key;
      if (range.to !== null && key >= range.to) return;
      const version = versionAt(cursor.value, revision);
      if (version !== null && !visit(key, version)) return;
    }
  }

  put(key: BinaryKey, value: Uint8Array, lease: bigint): void {
    const modRevision = this.revision + 1;
    const history = this.tree.get(key);
    const last = history === undefined ? undefined : newest(history);
    const lives = last !== undefined && !last.isTombstone;
    const version = lives
      ? new Version(modRevision, last.createRevision, last.version + 1, lease)
      : new Version(modRevision, modRevision, 1, lease);
    this.arena.store(value, version);
    this.#add(key, history, version);
  }

  /** The key must be there. */
  delete(key: BinaryKey): void {
    const history = this.tree.get(key);
    assert(history !== undefined && !newest(history).isTombstone, "a key is deleted that is not there");
    this.#add(key, history, Version.tombstone(this.revision + 1));
  }

  /** Ends the transaction; it becomes the next revision if it changed anything. */
  commit(): void {
    this.revision = this.readRevision;
    this.#committedEnd = this.log.end;
  }

  /** Undoes the transaction. */
  rollback(): void {
    while (this.log.end > this.#committedEnd) {
      const { key, version } = this.log.pop();
      const rest = withoutNewest(this.tree.get(key)!);
      if (rest === null) this.tree.delete(key);
      else this.tree.set(key, rest);
      this.forget(key, version);
    }
  }

  /** Accounts for a version that has left the tree. */
  forget(key: BinaryKey, version: Version): void {
    this.arena.drop(version);
    this.sizeBytes -= key.length + version.length;
  }

  /** Everything inserted and logged so far is the committed state at `revision`. */
  restored(revision: Revision): void {
    this.revision = revision;
    this.#committedEnd = this.log.end;
  }

  /** Puts a version in place as it is: for restoring. */
  insert(key: BinaryKey, history: KeyHistory | undefined, version: Version): void {
    const changed = append(history, version);
    if (changed !== history) this.tree.set(key, changed);
    this.sizeBytes += key.length + version.length;
  }

  /** The committed state now, to be read while it goes on changing. Takes constant time, but for the log's chunk list. */
  view(): KeyspaceView {
    assert(this.log.end === this.#committedEnd, "a view is taken inside a transaction");
    return {
      tree: this.tree.clone(),
      log: this.log.clone(),
      revision: this.revision,
      compactRevision: this.compactRevision,
    };
  }

  #add(key: BinaryKey, history: KeyHistory | undefined, version: Version): void {
    this.insert(key, history, version);
    this.log.push(key, version);
  }
}

/** What clients get: copies, so that nobody can change the store through them. */
export function toKeyValue(key: BinaryKey, version: Version, withValue = true): KeyValue {
  return {
    key: keyToBytes(key),
    value: withValue ? valueCopy(version) : NOTHING,
    createRevision: version.createRevision,
    modRevision: version.modRevision,
    version: version.version,
    lease: version.lease,
  };
}

const NOTHING: Uint8Array = new Uint8Array(0);
