import { describe, expect, it } from "vitest";
import { LeaseRun } from "./world/lease-run.ts";

const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

describe("leases under faults", () => {
  it("never end early, and always end", async () => {
    let expired = 0;
    let renewals = 0;
    let latestMs = 0;
    for (const seed of SEEDS) {
      const result = await new LeaseRun(seed).run(6000);
      expect([seed, ...result.wrong]).toEqual([seed]);
      expired += result.expired;
      renewals += result.renewals;
      latestMs = Math.max(latestMs, result.latestMs);
    }
    // Or else there was nothing to see.
    expect(expired).toBeGreaterThan(150);
    expect(renewals).toBeGreaterThan(150);
    // The drift bound's share of the longest TTL, by the slowest clock, and time to commit it.
    expect(latestMs).toBeLessThan(1500 * (1.2 / 0.91 - 1) + 100);
  });
});
