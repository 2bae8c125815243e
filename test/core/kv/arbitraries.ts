import fc from "fast-check";
import type { Compare, KvCommand, RangeRequest, RequestOp } from "../../../src/core/kv/index.ts";
import { bytes } from "./support.ts";

/** Few keys, so that commands meet. */
const key = fc.constantFrom("a", "aa", "ab", "b", "ba", "c", "d", "zz").map(bytes);
const value = fc.constantFrom("", "x", "y", "yy", "a longer value").map(bytes);
const rangeEnd = fc.constantFrom("", "", "\0", "b", "c", "zzz").map(bytes);
const revision = fc.integer({ min: -1, max: 40 });
const bound = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: revision });

export const rangeRequests: fc.Arbitrary<RangeRequest> = fc.record({
  key,
  rangeEnd,
  limit: fc.constantFrom(0, 0, 1, 2, 3, -1),
  revision: fc.oneof(fc.constant(0), revision),
  sortOrder: fc.constantFrom("none", "ascend", "descend"),
  sortTarget: fc.constantFrom("key", "version", "create", "mod", "value"),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: bound,
  maxModRevision: bound,
  minCreateRevision: bound,
  maxCreateRevision: bound,
});

const putRequests = fc
  .record({
    key,
    value,
    prevKv: fc.boolean(),
    ignoreValue: rarely(),
    ignoreLease: rarely(),
    lease: fc.constant(0n),
  })
  .map((request) => (request.ignoreValue ? { ...request, value: bytes("") } : request));

const deleteRequests = fc.record({ key, rangeEnd, prevKv: fc.boolean() });

const compareResults = fc.constantFrom("equal", "greater", "less", "notEqual");

export const compares: fc.Arbitrary<Compare> = fc
  .tuple(
    fc.record({ key, rangeEnd, result: compareResults }),
    fc.oneof(
      fc.record({ target: fc.constant("version"), version: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ target: fc.constant("create"), createRevision: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ target: fc.constant("mod"), modRevision: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ target: fc.constant("value"), value }),
      fc.record({ target: fc.constant("lease"), lease: fc.constantFrom(0n, 1n, -1n) }),
    ),
  )
  .map(([common, operand]) => ({ ...common, ...operand }) as Compare);

const { op } = fc.letrec<{ op: RequestOp; branch: RequestOp[] }>((tie) => ({
  op: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ type: fc.constant("put" as const), request: putRequests }),
    fc.record({ type: fc.constant("range" as const), request: rangeRequests }),
    fc.record({ type: fc.constant("deleteRange" as const), request: deleteRequests }),
    fc.record({
      type: fc.constant("txn" as const),
      request: fc.record({
        compare: fc.array(compares, { maxLength: 2 }),
        success: tie("branch"),
        failure: tie("branch"),
      }),
    }),
  ),
  branch: fc.array(tie("op"), { maxLength: 3 }),
}));

export const operations: fc.Arbitrary<RequestOp> = op;

const txnRequests = fc.record({
  compare: fc.array(compares, { maxLength: 2 }),
  success: fc.array(op, { maxLength: 4 }),
  failure: fc.array(op, { maxLength: 4 }),
});

export const commands: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("put" as const), request: putRequests }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("deleteRange" as const), request: deleteRequests }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("txn" as const), request: txnRequests }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("compact" as const),
      request: fc.record({ revision: fc.integer({ min: -1, max: 40 }) }),
    }),
  },
);

function rarely(): fc.Arbitrary<boolean> {
  return fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
}
