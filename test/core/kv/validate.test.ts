import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isReadOnly,
  requestSize,
  validateCommand,
  validateDeleteRange,
  validatePut,
  validateRange,
  validateTxn,
} from "../../../src/core/kv/index.ts";
import type { Compare, RangeRequest, RequestOp, TxnRequest } from "../../../src/core/kv/index.ts";
import { bytes, codeOf, putRequest } from "./support.ts";

const NO_KEY = bytes("");

function putOp(key: string): RequestOp {
  return { type: "put", request: putRequest(key) };
}

function deleteOp(key: string, rangeEnd = ""): RequestOp {
  return { type: "deleteRange", request: { key: bytes(key), rangeEnd: bytes(rangeEnd) } };
}

function rangeOp(key: string): RequestOp {
  return { type: "range", request: { key: bytes(key) } };
}

function txnOf(success: RequestOp[], failure: RequestOp[] = [], compare: Compare[] = []): TxnRequest {
  return { compare, success, failure };
}

function txnOp(success: RequestOp[], failure: RequestOp[] = []): RequestOp {
  return { type: "txn", request: txnOf(success, failure) };
}

const compareA: Compare = { key: bytes("a"), target: "version", result: "equal", version: 1 };

describe("single requests", () => {
  it("need a key", () => {
    expect(codeOf(() => validateRange({ key: NO_KEY }))).toBe("emptyKey");
    expect(codeOf(() => validatePut({ key: NO_KEY }))).toBe("emptyKey");
    expect(codeOf(() => validateDeleteRange({ key: NO_KEY, rangeEnd: bytes("z") }))).toBe("emptyKey");
  });

  it("may not give what they ask to ignore", () => {
    expect(codeOf(() => validatePut(putRequest("a", "1", { ignoreValue: true })))).toBe("valueProvided");
    expect(codeOf(() => validatePut(putRequest("a", "", { ignoreLease: true, lease: 1n })))).toBe(
      "leaseProvided",
    );
    expect(codeOf(() => validatePut(putRequest("a", "", { ignoreValue: true, ignoreLease: true })))).toBe(
      "no error",
    );
  });

  it("sort by what there is", () => {
    const sort = (fields: object): string =>
      codeOf(() => validateRange({ key: bytes("a"), ...fields } as RangeRequest));
    expect(sort({ sortOrder: "sideways" })).toBe("invalidSortOption");
    expect(sort({ sortTarget: "colour" })).toBe("invalidSortOption");
    expect(sort({ sortOrder: "descend", sortTarget: "value" })).toBe("no error");
  });

  it("have whole numbers, and leases of 64 bits", () => {
    const fields = [
      "limit",
      "revision",
      "minModRevision",
      "maxModRevision",
      "minCreateRevision",
      "maxCreateRevision",
    ];
    const codes = fields.map((field) => codeOf(() => validateRange({ key: bytes("a"), [field]: 1.5 })));
    expect(new Set(codes)).toEqual(new Set(["invalidArgument"]));
    expect(codeOf(() => validateRange({ key: bytes("a"), limit: -5, revision: 2 ** 60 }))).toBe("no error");
    expect(codeOf(() => validatePut(putRequest("a", "", { lease: 2n ** 63n })))).toBe("invalidArgument");
    expect(codeOf(() => validatePut(putRequest("a", "", { lease: -(2n ** 63n) })))).toBe("no error");
    expect(codeOf(() => validateCommand({ type: "compact", request: { revision: Number.NaN } }))).toBe(
      "invalidArgument",
    );
  });
});

describe("transactions", () => {
  it("are refused for what is wrong with any operation or compare, in either branch, at any depth", () => {
    const bad = { type: "put", request: { key: NO_KEY } } as const;
    expect(codeOf(() => validateTxn(txnOf([bad])))).toBe("emptyKey");
    expect(codeOf(() => validateTxn(txnOf([], [bad])))).toBe("emptyKey");
    expect(codeOf(() => validateTxn(txnOf([txnOp([], [bad])])))).toBe("emptyKey");
    expect(codeOf(() => validateTxn(txnOf([], [], [{ ...compareA, key: NO_KEY }])))).toBe("emptyKey");
    expect(codeOf(() => validateTxn(txnOf([], [], [{ ...compareA, version: 0.5 } as Compare])))).toBe(
      "invalidArgument",
    );
  });

  const many = (count: number): RequestOp[] => Array.from({ length: count }, (_, i) => rangeOp(`key ${i}`));

  it("have at most 128 entries in each list, or what is configured", () => {
    const full = txnOf(
      many(128),
      many(128),
      Array.from({ length: 128 }, () => compareA),
    );
    expect(codeOf(() => validateTxn(full))).toBe("no error");
    expect(codeOf(() => validateTxn(txnOf(many(129))))).toBe("tooManyOps");
    expect(codeOf(() => validateTxn(txnOf([], many(129))))).toBe("tooManyOps");
    expect(
      codeOf(() =>
        validateTxn(
          txnOf(
            [],
            [],
            Array.from({ length: 129 }, () => compareA),
          ),
        ),
      ),
    ).toBe("tooManyOps");
    expect(codeOf(() => validateTxn(txnOf(many(129)), 129))).toBe("no error");
    expect(codeOf(() => validateCommand({ type: "txn", request: txnOf(many(3)) }, 2))).toBe("tooManyOps");
  });

  it("leave to a nested one what their longest list has not used", () => {
    const around = (inner: number, outer: number): TxnRequest => txnOf([txnOp(many(inner))], many(outer));
    expect(codeOf(() => validateTxn(around(28, 100)))).toBe("no error");
    expect(codeOf(() => validateTxn(around(29, 100)))).toBe("tooManyOps");
  });

  it("nest no deeper than the limit on operations allows at 128, whatever is configured", () => {
    let request = txnOf([]);
    for (let depth = 1; depth < 128; depth++) request = txnOf([{ type: "txn", request }]);
    expect(codeOf(() => validateTxn(request))).toBe("no error");
    expect(codeOf(() => validateTxn(txnOf([{ type: "txn", request }]), 1_000_000))).toBe("tooManyOps");
  });
});

describe("a key in one branch", () => {
  it.each<[string, RequestOp[], string]>([
    ["put twice", [putOp("a"), putOp("a")], "duplicateKey"],
    ["put and deleted", [putOp("a"), deleteOp("a")], "duplicateKey"],
    ["deleted and put", [deleteOp("a"), putOp("a")], "duplicateKey"],
    ["put inside a deleted range", [putOp("b"), deleteOp("a", "c")], "duplicateKey"],
    ["put at the end of a deleted range, which is not in it", [putOp("c"), deleteOp("a", "c")], "no error"],
    ["put before a deleted range", [putOp("a"), deleteOp("b", "c")], "no error"],
    [
      "put inside the second of overlapping ranges",
      [deleteOp("a", "z"), deleteOp("b", "c"), putOp("d")],
      "duplicateKey",
    ],
    ["put at the start of an inverted range", [deleteOp("c", "a"), putOp("c")], "no error"],
    ["put inside the bounds of an inverted range", [deleteOp("c", "a"), putOp("b")], "no error"],
    ["deleted twice", [deleteOp("a"), deleteOp("a", "c")], "no error"],
    ["put and read", [rangeOp("a"), putOp("a"), rangeOp("a")], "no error"],
    ["put, and put in a nested one", [putOp("a"), txnOp([putOp("a")])], "duplicateKey"],
    ["put, and put in a nested one's other branch", [putOp("a"), txnOp([], [putOp("a")])], "duplicateKey"],
    ["put in both branches of a nested one", [txnOp([putOp("a")], [putOp("a")])], "no error"],
    ["put in two nested ones", [txnOp([putOp("a")]), txnOp([], [putOp("a")])], "duplicateKey"],
    ["deleted, and put in a nested one", [txnOp([putOp("a")]), deleteOp("a")], "duplicateKey"],
    ["put, and deleted in a nested one", [putOp("a"), txnOp([], [deleteOp("a")])], "duplicateKey"],
    [
      "deleted in a nested one, then put in the next",
      [txnOp([deleteOp("a")]), txnOp([putOp("a")])],
      "duplicateKey",
    ],
    [
      "etcd's gap: put in a nested one, then deleted in the next",
      [txnOp([putOp("a")]), txnOp([deleteOp("a")])],
      "no error",
    ],
    ["etcd's gap: put behind an open end", [deleteOp("a", "\0"), putOp("b")], "no error"],
    ["etcd's gap: put at the start of an open end", [deleteOp("a", "\0"), putOp("a")], "no error"],
  ])("%s", (_name, ops, expected) => {
    expect(codeOf(() => validateTxn(txnOf(ops)))).toBe(expected);
    expect(codeOf(() => validateTxn(txnOf([], ops)))).toBe(expected);
    expect(codeOf(() => validateTxn(txnOf([txnOp([], ops)])))).toBe(expected);
  });

  it("may be put in each branch", () => {
    expect(codeOf(() => validateTxn(txnOf([putOp("a")], [putOp("a"), deleteOp("b")])))).toBe("no error");
  });

  it("collides exactly when comparing it with every range says so", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 3 });
    const deletes = fc.array(fc.tuple(name, fc.oneof(fc.constant(""), name)), { maxLength: 6 });
    fc.assert(
      fc.property(deletes, name, (ranges, key) => {
        const hit = ranges.some(([from, to]) => (to === "" ? key === from : from <= key && key < to));
        const ops = [...ranges.map(([from, to]) => deleteOp(from, to)), putOp(key)];
        expect(codeOf(() => validateTxn(txnOf(ops)))).toBe(hit ? "duplicateKey" : "no error");
      }),
    );
  });

  it("may be long and binary", () => {
    const key = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31);
    const other = key.slice();
    other[99_999]!++;
    const put = (k: Uint8Array): RequestOp => ({ type: "put", request: { key: k } });
    expect(codeOf(() => validateTxn(txnOf([put(key), put(other)])))).toBe("no error");
    expect(codeOf(() => validateTxn(txnOf([put(key), put(key.slice())])))).toBe("duplicateKey");
  });
});

describe("isReadOnly", () => {
  it("looks into both branches and into nested transactions", () => {
    expect(isReadOnly(txnOf([], [], [compareA]))).toBe(true);
    expect(isReadOnly(txnOf([rangeOp("a")], [txnOp([rangeOp("a")])]))).toBe(true);
    expect(isReadOnly(txnOf([rangeOp("a"), putOp("a")]))).toBe(false);
    expect(isReadOnly(txnOf([], [deleteOp("a")]))).toBe(false);
    expect(isReadOnly(txnOf([txnOp([], [putOp("a")])]))).toBe(false);
  });
});

describe("requestSize", () => {
  it("counts keys, ends and values, wherever they are, and a little for each part", () => {
    const value = "v".repeat(1000);
    const put = { type: "put", request: putRequest("k".repeat(500), value) } as const;
    const compare: Compare = { key: bytes("k"), target: "value", result: "equal", value: bytes(value) };
    const range: RequestOp = {
      type: "range",
      request: { key: bytes("k"), rangeEnd: bytes("e".repeat(700)) },
    };
    const nested: RequestOp = { type: "txn", request: txnOf([put], [range], [compare]) };
    expect(requestSize(put)).toBe(1500 + 16);
    expect(requestSize({ type: "txn", request: txnOf([nested]) })).toBe(1500 + 701 + 1001 + 5 * 16);
    expect(requestSize({ type: "compact", request: { revision: 5 } })).toBe(16);
    const permission = {
      access: "read",
      key: bytes("k".repeat(500)),
      rangeEnd: bytes("e".repeat(700)),
    } as const;
    const granting = { type: "auth", request: { op: "roleGrantPermission", role: "r", permission } } as const;
    expect(requestSize(granting)).toBe(1200 + 16);
    expect(requestSize({ type: "as", request: { caller: { type: "trusted" }, command: granting } })).toBe(
      1232,
    );
  });
});
