import { EngineError, assert } from "../errors/index.ts";
import type { Keyspace, KeyspaceView } from "./keyspace.ts";
import { checkReadRevision } from "./range.ts";
import { writeSnapshot } from "./snapshot-writer.ts";
import { StateHasher, wholeHash } from "./state-hash.ts";
import type { Revision } from "./types.ts";

const HASHED_KEYS_PER_STEP = 1 << 16;

/** The whole state at one moment, to be written while the store goes on. */
export interface KvSnapshot {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  /** Frames of at most 256 KiB, each made when it is asked for, in well under a millisecond. */
  chunks(): Iterable<Uint8Array>;
  /**
   * The hash of this state, or of an earlier revision in it, in steps; for large states, instead of `KvStore.hash`.
   *
   * @throws EngineError `compacted`, `futureRevision`.
   */
  hasher(revision?: Revision): StateHasher;
  /** As `KvStore.stateHash`, given what the hasher of the latest revision has; in steps, of which the last gives it. */
  wholeHash(keysHash: string): Generator<void, string, undefined>;
  /**
   * Lets go of the state. Due even when it was not read to the end: nothing is freed while a snapshot is open. Once
   * released it may not be used, nor iterators it has given.
   */
  release(): void;
}

/** Of the committed state. Nothing in it is freed before its release. */
export class KeyspaceSnapshot implements KvSnapshot {
  readonly #keyspace: Keyspace;
  #view: KeyspaceView | null;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
    this.#view = keyspace.openView();
  }

  get revision(): Revision {
    return this.#open().revision;
  }

  *chunks(): Generator<Uint8Array, void, undefined> {
    const chunks = writeSnapshot(this.#open());
    for (let next = chunks.next(); next.done !== true; next = chunks.next()) {
      yield next.value;
      // A release in between ends it: what it would read may be gone.
      this.#open();
    }
  }

  get compactRevision(): Revision {
    return this.#open().compactRevision;
  }

  hasher(revision: Revision = this.revision): StateHasher {
    const view = this.#open();
    const problem = checkReadRevision(revision, view.revision, view.compactRevision);
    if (problem !== null) throw new EngineError(problem);
    return new StateHasher(view, revision);
  }

  wholeHash(keysHash: string): Generator<void, string, undefined> {
    return wholeHash(keysHash, this.#open());
  }

  release(): void {
    if (this.#view !== null) this.#keyspace.closeView();
    this.#view = null;
  }

  #open(): KeyspaceView {
    assert(this.#view !== null, "a snapshot is used after its release");
    return this.#view;
  }
}

/** The hash of a hasher, at once. */
export function hashAll(hasher: StateHasher): string {
  while (hasher.step(HASHED_KEYS_PER_STEP));
  return hasher.digest();
}
