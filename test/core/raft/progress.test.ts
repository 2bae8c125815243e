import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { raftOptions } from "../../../src/core/raft/index.ts";
import { Progress } from "../../../src/core/raft/progress.ts";

const options = raftOptions({ nodeId: 1n, maxInflightMessages: 2 });
const fresh = (next = 10): Progress => new Progress(next, 0, options);

describe("Progress", () => {
  it("starts by probing at the end of the leader's log, with nothing known", () => {
    const progress = fresh();
    expect([progress.state, progress.match, progress.next, progress.isPaused()]).toEqual([
      "probe",
      0,
      10,
      false,
    ]);
  });

  it("probes with one message at a time", () => {
    const progress = fresh();
    progress.probeSent = true;
    expect(progress.isPaused()).toBe(true);
    progress.acknowledge(0);
    expect(progress.isPaused()).toBe(false);
  });

  it("streams while the window has room", () => {
    const progress = fresh();
    progress.becomeReplicate();
    progress.inflights.add(1, 10);
    expect(progress.isPaused()).toBe(false);
    progress.inflights.add(2, 10);
    expect(progress.isPaused()).toBe(true);
    progress.inflights.freeTo(1);
    expect(progress.isPaused()).toBe(false);
  });

  it("sends nothing while a snapshot is on its way, and goes on after it", () => {
    const progress = fresh();
    progress.becomeSnapshot(20);
    expect(progress.isPaused()).toBe(true);
    progress.becomeProbe();
    expect([progress.state, progress.next, progress.pendingSnapshot]).toEqual(["probe", 21, 0]);
  });

  it("goes on from what is known to match when a snapshot came to nothing", () => {
    const progress = fresh();
    progress.acknowledge(4);
    progress.becomeSnapshot(20);
    progress.pendingSnapshot = 0;
    progress.becomeProbe();
    expect(progress.next).toBe(5);
  });

  it("sends nothing while the driver reads older entries for it", () => {
    const progress = fresh();
    progress.becomeReplicate();
    progress.pendingLogRead = 3;
    expect(progress.isPaused()).toBe(true);
  });

  it("ignores an acknowledgement that says nothing new, and never goes back", () => {
    const progress = fresh(1);
    expect(progress.acknowledge(5)).toBe(true);
    expect(progress.acknowledge(5)).toBe(false);
    expect(progress.acknowledge(3)).toBe(false);
    expect([progress.match, progress.next]).toEqual([5, 6]);
  });

  it("when a streamed message is refused, drops the window and starts again after what is known", () => {
    const progress = fresh(1);
    progress.acknowledge(5);
    progress.becomeReplicate();
    progress.inflights.add(7, 10);
    progress.inflights.add(9, 10);
    progress.next = 10;
    expect(progress.refuse(9, 6)).toBe(true);
    expect([progress.state, progress.next, progress.inflights.count]).toEqual(["probe", 6, 0]);
  });

  it("takes a refusal of what has been acknowledged since as stale", () => {
    const progress = fresh(1);
    progress.acknowledge(5);
    progress.becomeReplicate();
    expect(progress.refuse(5, 2)).toBe(false);
    expect([progress.state, progress.match, progress.next]).toEqual(["replicate", 5, 6]);
  });

  it("when probing, takes a refusal of another message than the last as stale", () => {
    const progress = fresh(10);
    expect(progress.refuse(4, 2)).toBe(false);
    expect(progress.next).toBe(10);
    expect(progress.refuse(9, 6)).toBe(true);
    expect(progress.next).toBe(7);
  });

  it("never probes below what is known to match, whatever the hint says", () => {
    const progress = fresh(1);
    progress.acknowledge(5);
    progress.becomeProbe();
    progress.next = 9;
    progress.refuse(8, 0);
    expect(progress.next).toBe(6);
  });

  it("never probes at or above the refused place, whatever the hint says", () => {
    const progress = fresh(10);
    progress.refuse(9, 1000);
    expect(progress.next).toBe(9);
  });

  it("keeps match < next and match growing, whatever happens in whatever order", () => {
    const operation = fc.oneof(
      fc.record({ acknowledge: fc.nat(30) }),
      fc.record({ refuse: fc.nat(30), hint: fc.nat(30) }),
      fc.record({ snapshot: fc.integer({ min: 1, max: 30 }) }),
      fc.constantFrom("probe" as const, "replicate" as const, "send" as const),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const progress = fresh();
        for (const op of operations) {
          const before = progress.match;
          if (op === "probe") progress.becomeProbe();
          else if (op === "replicate") progress.becomeReplicate();
          else if (op === "send") progress.next++;
          else if ("acknowledge" in op) progress.acknowledge(op.acknowledge);
          else if ("refuse" in op) progress.refuse(op.refuse, op.hint);
          else progress.becomeSnapshot(op.snapshot);
          expect(progress.match).toBeGreaterThanOrEqual(before);
          expect(progress.next).toBeGreaterThan(progress.match);
          expect(progress.state === "replicate" || progress.inflights.count === 0).toBe(true);
          expect(progress.state === "snapshot" || progress.pendingSnapshot === 0).toBe(true);
        }
      }),
    );
  });

  it("finds where two logs agree within as many probes as there are entries, for any honest hints", () => {
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.integer({ min: 1, max: 30 }),
        fc.infiniteStream(fc.nat(30)),
        (agree, next, noise) => {
          const progress = fresh(Math.max(next, agree + 1));
          let probes = 0;
          while (progress.next - 1 > agree) {
            const rejected = progress.next - 1;
            // Anything at or above the place of agreement, and below the refused one, is an honest hint.
            const hint = Math.max(agree, Math.min(rejected - 1, noise.next().value));
            expect(progress.refuse(rejected, hint)).toBe(true);
            expect(++probes).toBeLessThanOrEqual(31);
          }
          expect(progress.next - 1).toBe(agree);
        },
      ),
    );
  });
});
