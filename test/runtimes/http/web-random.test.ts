import { describe, expect, it } from "vitest";
import { webRandom } from "../../../src/runtimes/http/web-random.ts";

describe("webRandom", () => {
  it("draws evenly from 0 to 1, over many fetches from the platform", () => {
    const BUCKETS = 16;
    const DRAWS = 64_000;
    const counts = Array.from({ length: BUCKETS }, () => 0);
    const seen = new Set<number>();
    for (let i = 0; i < DRAWS; i++) {
      const drawn = webRandom.next();
      expect(drawn >= 0 && drawn < 1).toBe(true);
      counts[Math.floor(drawn * BUCKETS)]!++;
      seen.add(drawn);
    }
    // Of 48 bits each: two that are equal come once in 130,000 such runs.
    expect(seen.size).toBe(DRAWS);
    // Eight standard deviations.
    for (const count of counts) expect(Math.abs(count - DRAWS / BUCKETS)).toBeLessThan(490);
  });

  it("draws the lower bits, too", () => {
    let ones = 0;
    for (let i = 0; i < 10_000; i++) ones += (webRandom.next() * 2 ** 40) % 1 >= 0.5 ? 1 : 0;
    expect(Math.abs(ones - 5000)).toBeLessThan(400);
  });
});
