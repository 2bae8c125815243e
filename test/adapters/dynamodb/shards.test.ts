import fc from "fast-check";
import { expect, it } from "vitest";
import { shardOf } from "../../../src/adapters/dynamodb/item-layout.ts";
import type { ListingPage } from "../../../src/adapters/object-store/index.ts";
import { mergeShards } from "../../../src/adapters/dynamodb/merge-shards.ts";

it("spreads names that count up evenly over the shards", () => {
  for (const shards of [1, 3, 8, 64]) {
    for (const radix of [10, 16]) {
      const counts = Array.from({ length: shards }, () => 0);
      for (let i = 0; i < 6400; i++) {
        const name = `log/${i.toString(radix).padStart(13, "0")}.seg`;
        counts[shardOf(name, shards)]! += 1;
      }
      expect(Math.max(...counts)).toBeLessThan((6400 / shards) * 1.35);
      expect(Math.min(...counts)).toBeGreaterThan((6400 / shards) * 0.65);
    }
  }
});

/** What the shards hold, cut into pages as DynamoDB may cut them: anywhere, but never before the first. */
const shardsArbitrary = fc.array(
  fc.record({
    names: fc.uniqueArray(fc.stringMatching(/^[a-c]{1,3}$/), { maxLength: 8 }),
    page: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 1, maxLength: 5 },
);

it("lists all shards in one order, nothing twice and nothing left out", () => {
  fc.assert(
    fc.property(shardsArbitrary, fc.integer({ min: 1, max: 6 }), (shards, limit) => {
      // A name lives in one shard.
      const owned = shards.map(({ names }, i) =>
        names.filter((name) => shards.findIndex((other) => other.names.includes(name)) === i).toSorted(),
      );
      const page = (shard: number, after: string): ListingPage => {
        const left = owned[shard]!.filter((name) => name > after);
        const objects = left.slice(0, shards[shard]!.page).map((name) => ({ name, size: 1 }));
        return { objects, more: objects.length < left.length };
      };
      const found: string[] = [];
      for (let more = true; more;) {
        const merged = mergeShards(
          owned.map((_, shard) => page(shard, found.at(-1) ?? "")),
          limit,
        );
        expect(merged.objects.length).toBeLessThanOrEqual(limit);
        expect(merged.more && merged.objects.length === 0).toBe(false);
        found.push(...merged.objects.map(({ name }) => name));
        more = merged.more;
      }
      expect(found).toEqual(owned.flat().toSorted());
    }),
  );
});
