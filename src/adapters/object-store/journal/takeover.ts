import { EngineError } from "../../../core/errors/index.ts";
import { inOrder } from "../in-order.ts";
import type { ObjectStore } from "../object-store.ts";
import { createObject } from "./create-object.ts";
import type { Patience } from "./patience.ts";
import { decodeSlot, encodeSlot, type Slot, slotName } from "./slot.ts";
import { Disturbed, type JournalWalk, WINDOW } from "./walk.ts";

/** How often the owner before may be quicker; it looks into the manifest long before it has written so much. */
const MAX_LOST_RACES = 1000;

export interface TakeoverOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
  readonly journal: string;
  readonly journalId: bigint;
  readonly epoch: number;
  readonly owner: bigint;
  readonly walk: JournalWalk;
  /** Rejects when somebody else owns the journal. */
  readonly confirm: () => Promise<void>;
  readonly explain: (problem: string) => Promise<never>;
}

/**
 * Once the manifest names this owner: makes sure that no earlier one can acknowledge anything more, and reads what
 * they have. Returns the first slot to write; none of a smaller epoch gets there.
 */
export async function fenceOff(options: TakeoverOptions): Promise<number> {
  const fence = await placeFence(options);
  // Only now is it certain that the fence was not put where a later owner had deleted something.
  await options.confirm();
  const rest = Array.from({ length: WINDOW - 1 }, (_, i) => fence + 1 + i);
  await inOrder(
    rest,
    WINDOW,
    (seq) => fill(options, seq, fence),
    () => {},
  );
  return fence + WINDOW;
}

/** Fills the first free slot: who does not get past it acknowledges nothing more, since slots count in order. */
async function placeFence(options: TakeoverOptions): Promise<number> {
  const { store, patience, journal, walk } = options;
  for (let lost = 0; lost < MAX_LOST_RACES; lost++) {
    try {
      await walk.forward();
    } catch (error) {
      if (!(error instanceof Disturbed)) throw error;
      return await options.explain(error.message);
    }
    const slot = ownSlot(options, "fence", walk.next, walk.next - 1);
    const occupant = await createObject(store, patience, slotName(journal, slot.seq), encodeSlot(slot));
    if (occupant.type === "mine") {
      walk.pass(slot);
      return slot.seq;
    }
    if (occupant.type === "vanished") return await options.explain(`segment ${slot.seq} is missing`);
  }
  throw new EngineError("storageLocked", {
    detail: `${store.location}: another process keeps writing and does not notice that it was replaced; end it`,
  });
}

/**
 * The slots behind the fence, which the owner before may have under way as well: whoever of the two fills them, they
 * are filled, and it cannot get further.
 */
async function fill(options: TakeoverOptions, seq: number, fence: number): Promise<void> {
  const { store, patience, journal, journalId, epoch } = options;
  const name = slotName(journal, seq);
  const slot = ownSlot(options, "filler", seq, fence);
  const occupant = await createObject(store, patience, name, encodeSlot(slot));
  if (occupant.type === "mine") return;
  if (occupant.type === "vanished") return await options.explain(`segment ${seq} is missing`);
  const place = `${store.location}: ${name}`;
  const found = decodeSlot(occupant.body, journalId, seq, place);
  if (found.epoch > epoch) throw new EngineError("fenced", { detail: place });
}

function ownSlot(
  { journalId, epoch, owner }: TakeoverOptions,
  kind: "fence" | "filler",
  seq: number,
  through: number,
): Slot {
  // One byte more than a fence, so that the two differ in length.
  const payload = new Uint8Array(kind === "fence" ? 0 : 1);
  return { kind, journalId, epoch, owner, seq, through, part: 0, parts: 1, payload };
}
