import type { Slot } from "./slot.ts";
import { WINDOW } from "./walk.ts";

export interface NearStart {
  /** Where to begin. */
  readonly seq: number;
  /** The first of the slots that were looked at to find that out: all must be as they were written. */
  readonly looked: number;
}

export interface NearStartOptions {
  /** The first slot that counts. */
  readonly boundary: number;
  /** Null: it is free. */
  readonly read: (seq: number) => Promise<Slot | null>;
  /** Whether whoever begins with this record, which is whole, misses nothing by it. */
  readonly suffices: (record: Uint8Array) => boolean;
}

/** A walk of so many slots is as quick as looking for something better. */
const STEP = 64;

/**
 * A late slot at which a reader may begin as well as at the boundary, because a record begins there that `suffices`.
 * Looks at some twenty slots, where a walk from the boundary would read thousands.
 *
 * Any such record will do, wherever it is found; that those which suffice come before those which do not is only
 * expected, and what the search is quick by. It must not be void: that is so if none of the `WINDOW - 1` slots before it
 * has a greater epoch, since an owner writes nothing further behind a later owner's fence (DESIGN.md, 5).
 */
export async function nearStart({ boundary, read, suffices }: NearStartOptions): Promise<NearStart> {
  const isGood = async (seq: number): Promise<boolean> => {
    const slot = await read(seq);
    return slot?.kind === "part" && slot.parts === 1 && suffices(slot.payload) && (await isValid(slot, read));
  };
  let good = boundary;
  let bad = boundary + STEP;
  while (await isGood(bad)) {
    good = bad;
    bad = boundary + (bad - boundary) * 2;
  }
  while (bad - good > STEP) {
    const middle = good + ((bad - good) >>> 1);
    if (await isGood(middle)) good = middle;
    else bad = middle;
  }
  return { seq: good, looked: Math.max(boundary, good - WINDOW + 1) };
}

async function isValid(slot: Slot, read: NearStartOptions["read"]): Promise<boolean> {
  for (let seq = slot.seq - WINDOW + 1; seq < slot.seq; seq++) {
    const before = await read(seq);
    if (before === null || before.epoch > slot.epoch) return false;
  }
  return true;
}
