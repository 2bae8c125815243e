import type { Revision } from "./types.ts";
import { NO_VALUE } from "./value-arena.ts";
import type { Slab, ValueSpan } from "./value-arena.ts";

/** One change of one key: a put, or a tombstone. Only where its value lies may change later. */
export class Version implements ValueSpan {
  readonly modRevision: Revision;
  /** 0 in a tombstone. */
  readonly createRevision: Revision;
  /** Puts since creation; 0 in a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  slab: Slab = NO_VALUE.slab;
  offset = 0;
  length = 0;

  constructor(modRevision: Revision, createRevision: Revision, version: number, lease: bigint) {
    this.modRevision = modRevision;
    this.createRevision = createRevision;
    this.version = version;
    this.lease = lease;
  }

  static tombstone(modRevision: Revision): Version {
    return new Version(modRevision, 0, 0, 0n);
  }

  get isTombstone(): boolean {
    return this.version === 0;
  }
}

/**
 * The versions of one key, oldest first; one alone is not worth an array. Two may have the same revision, when one
 * transaction deletes a key and puts it again: the later one counts.
 *
 * What is in an array stays there and in place, so whoever looks at an earlier revision may go on reading while
 * versions are added. Dropping old ones makes a new array.
 */
export type KeyHistory = Version | Version[];

/** Arrays up to this length are copied to grow, so that they are no larger than they need to be. */
const EXACT_LENGTH = 8;

/** The history with one version more; the same array, perhaps. */
export function append(history: KeyHistory | undefined, version: Version): KeyHistory {
  if (history === undefined) return version;
  if (history instanceof Version) return [history, version];
  if (history.length < EXACT_LENGTH) return [...history, version];
  history.push(version);
  return history;
}

/** The history without its newest version; null: nothing is left. */
export function withoutNewest(history: KeyHistory): KeyHistory | null {
  return history instanceof Version ? null : slice(history, 0, history.length - 1);
}

export function newest(history: KeyHistory): Version {
  return history instanceof Version ? history : history[history.length - 1]!;
}

/** The version that a reader at `revision` sees; null when the key was not there. */
export function versionAt(history: KeyHistory, revision: Revision): Version | null {
  if (history instanceof Version) {
    return history.modRevision <= revision && !history.isTombstone ? history : null;
  }
  const i = countUpTo(history, revision) - 1;
  const version = history[i];
  return version === undefined || version.isTombstone ? null : version;
}

/**
 * What is left of a history when everything but the newest version at `revision` is dropped below it, and that one
 * too if it is a tombstone. Null: nothing. `onDrop` hears of each version that goes.
 */
export function compactHistory(
  history: KeyHistory,
  revision: Revision,
  onDrop: (version: Version) => void,
): KeyHistory | null {
  if (history instanceof Version) {
    if (history.modRevision > revision || !history.isTombstone) return history;
    onDrop(history);
    return null;
  }
  const visible = countUpTo(history, revision) - 1;
  if (visible < 0) return history;
  const keepFrom = history[visible]!.isTombstone ? visible + 1 : visible;
  if (keepFrom === 0) return history;
  for (let i = 0; i < keepFrom; i++) onDrop(history[i]!);
  return slice(history, keepFrom, history.length);
}

export function forEachVersion(history: KeyHistory, visit: (version: Version) => void): void {
  if (history instanceof Version) visit(history);
  else for (const version of history) visit(version);
}

/** Number of versions whose revision is not above `revision`. */
function countUpTo(versions: readonly Version[], revision: Revision): number {
  // The newest is what most readers want.
  if (versions[versions.length - 1]!.modRevision <= revision) return versions.length;
  let low = 0;
  let high = versions.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (versions[middle]!.modRevision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}

function slice(versions: readonly Version[], from: number, to: number): KeyHistory | null {
  if (from === to) return null;
  return to - from === 1 ? versions[from]! : versions.slice(from, to);
}
