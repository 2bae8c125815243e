import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearStart } from "../../../src/adapters/object-store/journal/near-start.ts";
import type { Slot } from "../../../src/adapters/object-store/journal/slot.ts";

const BOUNDARY = 10;

/** A record of one slot, whose payload is a number. */
function slot(seq: number, epoch: number, kind: Slot["kind"] = "part", parts = 1): Slot {
  const payload = Uint8Array.of(seq >>> 16, seq >>> 8, seq);
  return { kind, journalId: 1n, epoch, owner: 1n, seq, through: seq - 1, part: 0, parts, payload };
}

const numberOf = ([high = 0, middle = 0, low = 0]: Uint8Array): number => (high << 16) | (middle << 8) | low;

async function find(
  slots: ReadonlyMap<number, Slot>,
  last: number,
): Promise<{ readonly seq: number; readonly looked: number; readonly reads: number }> {
  let reads = 0;
  const found = await nearStart({
    boundary: BOUNDARY,
    read: (seq) => (reads++, Promise.resolve(slots.get(seq) ?? null)),
    suffices: (record) => numberOf(record) <= last,
  });
  return { ...found, reads };
}

function journal(length: number, make: (seq: number) => Slot = (seq) => slot(seq, 1)): Map<number, Slot> {
  return new Map(Array.from({ length }, (_, i) => [BOUNDARY + i, make(BOUNDARY + i)]));
}

describe("a late slot to begin at", () => {
  it("is close before the last that suffices, and found by looking at few", async () => {
    const { seq, looked, reads } = await find(journal(20_000), 15_000);
    expect(seq).toBeLessThanOrEqual(15_000);
    expect(seq).toBeGreaterThan(15_000 - 64);
    expect(looked).toBe(seq - 3);
    expect(reads).toBeLessThan(100);
  });

  it("is the boundary of a short journal, and of none", async () => {
    expect(await find(journal(40), 1e6)).toMatchObject({ seq: BOUNDARY, looked: BOUNDARY });
    expect(await find(new Map(), 1e6)).toMatchObject({ seq: BOUNDARY, looked: BOUNDARY });
  });

  it("is never a void record, a fence, a filler, a part of a record, or one that does not suffice", async () => {
    const kinds = fc.constantFrom("part", "fence", "filler", "parts");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(kinds, fc.constantFrom(1, 1, 1, 2)), { minLength: 70, maxLength: 300 }),
        fc.nat(400),
        async (drawn, last) => {
          const slots = journal(drawn.length, (seq) => {
            const [kind, epoch] = drawn[seq - BOUNDARY]!;
            return kind === "parts" ? slot(seq, epoch, "part", 2) : slot(seq, epoch, kind as Slot["kind"]);
          });
          const { seq } = await find(slots, last);
          const found = slots.get(seq)!;
          const before = [1, 2, 3].map((back) => slots.get(seq - back)?.epoch ?? 0);
          const isSound =
            found.kind === "part" && found.parts === 1 && seq <= last && Math.max(...before) <= found.epoch;
          expect(seq === BOUNDARY || isSound).toBe(true);
        },
      ),
    );
  });
});
