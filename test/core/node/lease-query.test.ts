import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caller } from "../../../src/core/kv/index.ts";
import {
  decodeLeaseAnswer,
  decodeLeaseQuestion,
  encodeLeaseAnswer,
  encodeLeaseQuestion,
  type LeaseAnswer,
} from "../../../src/core/node/lease-query.ts";
import { callers } from "../kv/auth/arbitrary-commands.ts";

const questions = fc.record({
  kind: fc.constantFrom("renew" as const, "look" as const),
  id: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  caller: fc.oneof(fc.constant<Caller>({ type: "anonymous" }), callers),
});

const answers: fc.Arbitrary<LeaseAnswer> = fc.oneof(
  fc.constant(null),
  fc.record({ ttlMs: fc.nat(), remainingMs: fc.nat() }),
  fc.record({ refused: fc.constantFrom("userEmpty" as const, "authOldRevision" as const) }),
);

describe("what members ask the leader about leases", () => {
  it("is read as it was written, the answers too", () => {
    fc.assert(
      fc.property(questions, answers, (question, answer) => {
        expect(decodeLeaseQuestion(encodeLeaseQuestion(question))).toEqual(question);
        expect(decodeLeaseAnswer(encodeLeaseAnswer(answer))).toEqual(answer);
      }),
    );
  });

  it("is refused in part, with more behind it, of another version, and of another kind", () => {
    const question = encodeLeaseQuestion({
      kind: "look",
      id: 7n,
      caller: { type: "user", name: "alice", since: 3 },
    });
    const answer = encodeLeaseAnswer({ ttlMs: 1000, remainingMs: 10 });
    for (const [whole, decode] of [
      [question, decodeLeaseQuestion],
      [answer, decodeLeaseAnswer],
    ] as const) {
      for (let length = 0; length < whole.length; length++) {
        expect(() => decode(whole.slice(0, length))).toThrow("malformed");
      }
      expect(() => decode(Uint8Array.from([...whole, 0]))).toThrow("malformed");
      expect(() => decode(Uint8Array.from([1, ...whole.slice(1)]))).toThrow("malformed");
      expect(() => decode(Uint8Array.from([2, 9, ...whole.slice(2)]))).toThrow("malformed");
    }
  });
});
