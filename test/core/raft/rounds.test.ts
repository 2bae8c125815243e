import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Rounds } from "../../../src/core/raft/rounds.ts";

const read = (readId: bigint, from: bigint | null = null): { readId: bigint; from: bigint | null } => ({
  readId,
  from,
});

describe("Rounds", () => {
  it("confirms a read by a round that began after it, at the commit index of that moment", () => {
    const rounds = new Rounds();
    rounds.begin(0, 5);
    rounds.add(read(1n));
    expect(rounds.confirm(1)).toEqual([]);
    expect(rounds.begin(10, 7)).toBe(2);
    expect(rounds.confirm(1)).toEqual([]);
    expect(rounds.confirm(2)).toEqual([{ readId: 1n, from: null, index: 7 }]);
    expect(rounds.pendingReads).toBe(0);
  });

  it("confirms earlier rounds with a later one, each read at its own index, in order", () => {
    const rounds = new Rounds();
    rounds.add(read(1n));
    rounds.begin(0, 5);
    rounds.add(read(2n, 9n));
    rounds.begin(10, 8);
    expect(rounds.confirm(2)).toEqual([
      { readId: 1n, from: null, index: 5 },
      { readId: 2n, from: 9n, index: 8 },
    ]);
  });

  it("lets reads wait while the leader does not know the newest commit", () => {
    const rounds = new Rounds();
    rounds.add(read(1n));
    rounds.begin(0, null);
    expect(rounds.confirm(1)).toEqual([]);
    expect(rounds.wantsRound).toBe(true);
    rounds.begin(10, 6);
    expect(rounds.confirm(2)).toEqual([{ readId: 1n, from: null, index: 6 }]);
  });

  it("wants a round when reads wait and none is under way for earlier ones: the rest is batched", () => {
    const rounds = new Rounds();
    expect(rounds.wantsRound).toBe(false);
    rounds.add(read(1n));
    expect(rounds.wantsRound).toBe(true);
    rounds.begin(0, 5);
    rounds.add(read(2n));
    expect(rounds.wantsRound).toBe(false);
    rounds.confirm(1);
    expect(rounds.wantsRound).toBe(true);
  });

  it("measures the lease from the sending of the newest confirmed round", () => {
    const rounds = new Rounds();
    rounds.begin(100, null);
    rounds.begin(200, null);
    rounds.begin(300, null);
    expect(rounds.sentAtMs(0)).toBeUndefined();
    expect(rounds.sentAtMs(1)).toBe(100);
    rounds.confirm(2);
    expect(rounds.sentAtMs(2)).toBe(200);
    // A new voter may throw the confirmed round back: then nothing is known.
    expect(rounds.sentAtMs(1)).toBeUndefined();
  });

  it("hands everything unanswered back, once", () => {
    const rounds = new Rounds();
    rounds.add(read(1n));
    rounds.begin(0, 5);
    rounds.add(read(2n));
    expect(rounds.takeAll().map(({ readId }) => readId)).toEqual([1n, 2n]);
    expect([rounds.takeAll(), rounds.pendingReads, rounds.confirm(9)]).toEqual([[], 0, []]);
  });

  it("answers every read once, with an index no older than its beginning and a round no older either", () => {
    const operation = fc.oneof(
      fc.constantFrom("add" as const, "begin" as const, "beginUncommitted" as const, "commit" as const),
      fc.record({ confirm: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const rounds = new Rounds();
        const began = new Map<bigint, { commit: number; round: number }>();
        let commit = 1;
        let answered = 0;
        const stale: bigint[] = [];
        for (const op of operations) {
          if (op === "add") {
            const id = BigInt(began.size + 1);
            began.set(id, { commit, round: rounds.current });
            rounds.add(read(id));
          } else if (op === "begin") rounds.begin(0, commit);
          else if (op === "beginUncommitted") rounds.begin(0, null);
          else if (op === "commit") commit++;
          else {
            const round = Math.min(op.confirm, rounds.current);
            for (const { readId, index } of rounds.confirm(round)) {
              const start = began.get(readId)!;
              if (index < start.commit || round <= start.round) stale.push(readId);
              answered++;
            }
          }
          expect(rounds.pendingReads).toBe(began.size - answered);
        }
        expect(stale).toEqual([]);
        rounds.begin(0, commit);
        expect(rounds.confirm(rounds.current).length).toBe(began.size - answered);
        expect(rounds.pendingReads).toBe(0);
      }),
    );
  });
});
