import { compareBytes } from "../../bytes/index.ts";
import { isSingleKey, type KeyRange, keyRange } from "../key.ts";
import type { Permission } from "./types.ts";

/** What a user may read and write: the union of what was granted, so that neighbouring permissions add up. */
export class GrantedRanges {
  readonly #read: readonly KeyRange[];
  readonly #write: readonly KeyRange[];

  constructor(permissions: readonly Permission[]) {
    this.#read = union(permissions.filter(({ access }) => access !== "write"));
    this.#write = union(permissions.filter(({ access }) => access !== "read"));
  }

  mayRead(key: Uint8Array, rangeEnd?: Uint8Array): boolean {
    return covers(this.#read, key, rangeEnd);
  }

  mayWrite(key: Uint8Array, rangeEnd?: Uint8Array): boolean {
    return covers(this.#write, key, rangeEnd);
  }
}

/** The keys that a request or a permission names. */
function rangeOf(key: Uint8Array, rangeEnd: Uint8Array | undefined): KeyRange {
  return isSingleKey(rangeEnd) ? { from: key, to: successor(key) } : keyRange(key, rangeEnd!);
}

/** The smallest key after this one. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Disjoint, ascending, and no two of them touch. */
function union(permissions: readonly Permission[]): KeyRange[] {
  const ranges = permissions
    .map(({ key, rangeEnd }) => rangeOf(key, rangeEnd))
    .toSorted((a, b) => compareBytes(a.from, b.from));
  const merged: KeyRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last === undefined || (last.to !== null && compareBytes(last.to, range.from) < 0)) merged.push(range);
    else merged[merged.length - 1] = { from: last.from, to: later(last.to, range.to) };
  }
  return merged;
}

function later(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return null;
  return compareBytes(a, b) < 0 ? b : a;
}

/** Whether a request stays inside one of the ranges. One that is inverted names no key, and is taken for its first. */
function covers(ranges: readonly KeyRange[], key: Uint8Array, rangeEnd: Uint8Array | undefined): boolean {
  const asked = rangeOf(key, rangeEnd);
  const isEmpty = asked.to !== null && compareBytes(asked.to, key) <= 0;
  const to = isEmpty ? successor(key) : asked.to;
  const range = lastFrom(ranges, key);
  if (range === undefined) return false;
  return range.to === null || (to !== null && compareBytes(to, range.to) <= 0);
}

/** The last range that begins at `key` or before. */
function lastFrom(ranges: readonly KeyRange[], key: Uint8Array): KeyRange | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareBytes(ranges[middle]!.from, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return ranges[low - 1];
}
