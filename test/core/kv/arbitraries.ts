import fc from "fast-check";
import type { Compare, KvCommand, RangeRequest, RequestOp } from "../../../src/core/kv/index.ts";
import { bytes } from "./support.ts";

/** Named writes, alarms and what has to do with users have tests of their own. */
export type DirectCommand = Exclude<KvCommand, { readonly type: "once" | "as" | "auth" | "alarm" }>;

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
    lease: fc.constantFrom(0n, 0n, 0n, 1n, 2n),
    ownLease: fc.constantFrom(0n, 0n, 0n, 0n, 11n, 12n, 13n),
  })
  .map(({ ownLease, ...request }) => ({
    ...request,
    ...(request.ignoreValue ? { value: bytes("") } : {}),
    // As the engine fills it in: a put with a TTL names the lease that it brings.
    ...(ownLease === 0n ? { ttlMs: 0 } : { ttlMs: 500, lease: ownLease, ignoreLease: false }),
    ...(request.ignoreLease && ownLease === 0n ? { lease: 0n } : {}),
  }));

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
      fc.record({ target: fc.constant("lease"), lease: fc.constantFrom(0n, 1n, 2n, -1n) }),
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

const leaseId = fc.constantFrom(1n, 2n, 2n, 11n, -3n);
const ttlMs = fc.constantFrom(1, 2000, 9_000_000_000_000);

/** Entries are applied in term 1: an expiry that was decided in another does nothing. */
const leaseCommands: fc.Arbitrary<DirectCommand> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("leaseGrant" as const),
      request: fc.record({ id: leaseId, ttlMs }),
    }),
  },
  fc.record({ type: fc.constant("leaseRevoke" as const), request: fc.record({ id: leaseId }) }),
  fc.record({
    type: fc.constant("leaseExpire" as const),
    request: fc.record({
      term: fc.constantFrom(1, 1, 2),
      leases: fc.array(fc.record({ id: leaseId, serial: fc.integer({ min: 1, max: 6 }) }), { maxLength: 3 }),
    }),
  }),
);

export const alarmCommands: fc.Arbitrary<KvCommand> = fc.record({
  type: fc.constant("alarm" as const),
  request: fc.record({
    action: fc.constantFrom("activate", "deactivate"),
    alarm: fc.record({
      type: fc.constantFrom("noSpace", "noSpace", "corrupt"),
      memberId: fc.constantFrom(1n, 2n, 2n ** 64n - 1n),
    }),
  }),
});

export const commands: fc.Arbitrary<DirectCommand> = fc.oneof(
  { weight: 4, arbitrary: leaseCommands },
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
