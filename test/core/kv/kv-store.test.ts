// One test for each rule of etcd's, as read in its sources (server/etcdserver/txn, server/storage/mvcc).

import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/core/errors/index.ts";
import { KvStore } from "../../../src/core/kv/index.ts";
import type { Compare, KvResult, RangeRequest, RequestOp, TxnResponse } from "../../../src/core/kv/index.ts";
import {
  OPEN_END,
  apply,
  bytes,
  codeOf,
  compact,
  counters,
  del,
  plain,
  put,
  putRequest,
  rangeRequest,
  read,
  text,
  txn,
} from "./support.ts";

function putOp(...args: Parameters<typeof putRequest>): RequestOp {
  return { type: "put", request: putRequest(...args) };
}

function rangeOp(...args: Parameters<typeof rangeRequest>): RequestOp {
  return { type: "range", request: rangeRequest(...args) };
}

function deleteOp(key: string, rangeEnd = ""): RequestOp {
  return { type: "deleteRange", request: { key: bytes(key), rangeEnd: bytes(rangeEnd) } };
}

function txnOp(success: RequestOp[], failure: RequestOp[] = [], compare: Compare[] = []): RequestOp {
  return { type: "txn", request: { compare, success, failure } };
}

function responseOf(result: KvResult): TxnResponse {
  if (result.type !== "txn") throw new Error(`a txn gave ${JSON.stringify(result)}`);
  return result.response;
}

/** What the `i`-th operation, a range, found. */
function found(response: TxnResponse, i: number): string[] {
  const op = response.responses[i]!;
  if (op.type !== "range") throw new Error(`operation ${i} is a ${op.type}`);
  return op.response.kvs.map((kv) => `${text(kv.key)}=${text(kv.value)}`);
}

function storeWith(...pairs: readonly (readonly [string, string])[]): KvStore {
  const store = new KvStore();
  for (const [key, value] of pairs) put(store, key, value);
  return store;
}

describe("revisions", () => {
  it("an empty store is at 1, and the first write makes 2", () => {
    const store = new KvStore();
    expect(store.revision).toBe(1);
    expect(put(store, "a").revision).toBe(2);
  });

  it("one transaction is one revision, however much it changes", () => {
    const store = new KvStore();
    const result = txn(store, { success: [putOp("a"), putOp("b"), txnOp([putOp("c")])] });
    expect(result.revision).toBe(2);
    expect(["a", "b", "c"].map((key) => counters(store, key))).toEqual(["2/2/1", "2/2/1", "2/2/1"]);
  });

  it("what changes nothing makes no revision", () => {
    const store = storeWith(["a", "1"]);
    expect(del(store, "missing")).toMatchObject({ revision: 2, response: { deleted: 0 } });
    expect(txn(store, { success: [rangeOp("a"), deleteOp("missing")] })).toMatchObject({ revision: 2 });
    expect(store.revision).toBe(2);
  });

  it("rewriting the same value is a change", () => {
    const store = storeWith(["a", "1"], ["a", "1"]);
    expect(store.revision).toBe(3);
    expect(counters(store, "a")).toBe("2/3/2");
  });

  it("deleting starts the version again", () => {
    const store = storeWith(["a", "1"], ["a", "2"]);
    del(store, "a");
    expect(counters(store, "a")).toBe("none");
    put(store, "a", "3");
    expect(counters(store, "a")).toBe("5/5/1");
  });

  it("an old revision shows all counters as they were", () => {
    const store = storeWith(["a", "1"], ["a", "2"], ["b", "x"]);
    del(store, "a");
    put(store, "a", "3");
    expect([1, 2, 3, 4, 5, 6].map((revision) => counters(store, "a", revision))).toEqual([
      "none",
      "2/2/1",
      "2/3/2",
      "2/3/2",
      "none",
      "6/6/1",
    ]);
    expect(counters(store, "a", -3)).toBe("6/6/1");
  });
});

describe("range bounds", () => {
  const store = storeWith(["a", "1"], ["b", "2"], ["ba", "3"], ["c", "4"]);

  it.each([
    ["no end: the key alone", "b", "", ["b=2"]],
    ["no end, missing", "bb", "", []],
    ["from inclusive to exclusive", "a", "ba", ["a=1", "b=2"]],
    ["a zero byte: everything from the key on", "b", "\0", ["b=2", "ba=3", "c=4"]],
    ["both zero bytes: everything", "\0", "\0", ["a=1", "b=2", "ba=3", "c=4"]],
    ["a prefix: its last byte raised", "b", "c", ["b=2", "ba=3"]],
    ["an inverted range is empty", "c", "a", []],
    ["a range from a key to itself is empty", "b", "b", []],
  ])("%s", (_name, key, rangeEnd, expected) => {
    expect(read(store, key, rangeEnd)).toEqual(expected);
  });

  it("orders keys by their bytes, not as text", () => {
    const binary = new KvStore();
    const keys = [[0xff], [0x7f, 0xff], [0x80], [0x7f], [0x00, 0x01], [0x00]].map((key) =>
      Uint8Array.from(key),
    );
    for (const key of keys) apply(binary, { type: "put", request: { key } });
    const all = binary.range({ key: OPEN_END, rangeEnd: OPEN_END }).kvs.map((kv) => [...kv.key]);
    expect(all).toEqual([[0x00], [0x00, 0x01], [0x7f], [0x7f, 0xff], [0x80], [0xff]]);
  });
});

describe("range options", () => {
  // Revisions 2 to 6; "b" is changed again by the last.
  const store = storeWith(["a", "z"], ["b", "y"], ["c", "x"], ["d", "w"], ["b", "a"]);
  const run = (more: Omit<RangeRequest, "key">): string => {
    const { kvs, more: left, count } = store.range(rangeRequest("\0", "\0", more));
    return `${kvs.map((kv) => text(kv.key)).join("")} ${left} ${count}`;
  };

  it.each<[string, Omit<RangeRequest, "key">, string]>([
    ["limit, and how many there are all the same", { limit: 2 }, "ab true 4"],
    ["a limit that is just enough", { limit: 4 }, "abcd false 4"],
    ["a limit of 0 is none", { limit: 0 }, "abcd false 4"],
    ["a negative limit is none", { limit: -1 }, "abcd false 4"],
    ["a limit behind which nobody counts on", { limit: 2, withoutCount: true }, "ab true 3"],
    ["that, with filters", { limit: 1, minModRevision: 4, withoutCount: true }, "b true 4"],
    ["that, with nothing but the count asked for", { countOnly: true, withoutCount: true }, " false 4"],
    ["as many bytes as three keys and values have", { maxBytes: 6 }, "abc true 4"],
    ["one byte less", { maxBytes: 5 }, "ab true 4"],
    ["enough bytes for all", { maxBytes: 8 }, "abcd false 4"],
    ["bytes for the keys alone", { maxBytes: 3, keysOnly: true }, "abc true 4"],
    ["one key however many bytes it has", { maxBytes: 1 }, "a true 4"],
    ["fewer keys than would fit", { limit: 1, maxBytes: 6 }, "a true 4"],
    ["count only", { countOnly: true, limit: 1 }, " false 4"],
    ["descending", { sortOrder: "descend" }, "dcba false 4"],
    ["descending with a limit", { sortOrder: "descend", limit: 2 }, "dc true 4"],
    ["by value", { sortOrder: "ascend", sortTarget: "value" }, "bdca false 4"],
    [
      "by value, descending, with a limit",
      { sortOrder: "descend", sortTarget: "value", limit: 2 },
      "ac true 4",
    ],
    ["by modification", { sortOrder: "ascend", sortTarget: "mod" }, "acdb false 4"],
    ["by creation, descending", { sortOrder: "descend", sortTarget: "create" }, "dcba false 4"],
    ["by version, equal ones by key", { sortOrder: "ascend", sortTarget: "version" }, "acdb false 4"],
    ["by a target without an order: ascending", { sortTarget: "value" }, "bdca false 4"],
    [
      "and then what the limit has left, and one more, is sorted",
      { sortTarget: "value", limit: 2 },
      "bc true 4",
    ],
    ["filters do not count against count", { minModRevision: 4 }, "bcd false 4"],
    ["the limit comes after the filters", { minModRevision: 4, limit: 2 }, "bc true 4"],
    ["more is false when the filters leave no more", { minModRevision: 5, limit: 2 }, "bd false 4"],
    ["max mod revision", { maxModRevision: 4 }, "ac false 4"],
    ["min create revision", { minCreateRevision: 4 }, "cd false 4"],
    ["max create revision", { maxCreateRevision: 3 }, "ab false 4"],
    [
      "all filters, sorted, limited",
      { minModRevision: 3, maxCreateRevision: 4, sortOrder: "descend", limit: 1 },
      "c true 4",
    ],
    ["a negative maximum is one", { maxModRevision: -1 }, " false 4"],
  ])("%s", (_name, more, expected) => {
    expect(run(more)).toBe(expected);
  });

  it("keys only leaves everything but the value", () => {
    const [kv] = store.range(rangeRequest("b", "", { keysOnly: true })).kvs;
    expect(plain(kv!)).toEqual({
      key: "b",
      value: "",
      createRevision: 3,
      modRevision: 6,
      version: 2,
      lease: 0,
    });
  });

  it("sorts by value even where values are not asked for", () => {
    const request = rangeRequest("\0", "\0", { keysOnly: true, sortOrder: "ascend", sortTarget: "value" });
    expect(
      store
        .range(request)
        .kvs.map((kv) => text(kv.key))
        .join(""),
    ).toBe("bdca");
  });

  it("gives what cannot change the store", () => {
    const mine = storeWith(["a", "1"]);
    const kv = mine.range(rangeRequest("a")).kvs[0]!;
    kv.key.fill(0);
    kv.value.fill(0);
    expect(read(mine, "a")).toEqual(["a=1"]);
  });
});

describe("reading at a revision", () => {
  it("refuses the future and the compacted past; the compacted revision itself can be read", () => {
    const store = storeWith(["a", "1"], ["a", "2"], ["a", "3"]);
    compact(store, 3);
    expect(codeOf(() => read(store, "a", "", { revision: 5 }))).toBe("futureRevision");
    expect(codeOf(() => read(store, "a", "", { revision: 2 }))).toBe("compacted");
    expect(read(store, "a", "", { revision: 3 })).toEqual(["a=2"]);
    expect(read(store, "a", "", { revision: 4 })).toEqual(["a=3"]);
  });
});

describe("put", () => {
  it("gives the previous pair if asked, and only if there is one", () => {
    const store = new KvStore();
    expect(put(store, "a", "1", { prevKv: true })).toMatchObject({ response: { prevKv: null } });
    expect(put(store, "a", "2")).toMatchObject({ response: { prevKv: null } });
    const result = put(store, "a", "3", { prevKv: true });
    if (result.type !== "put") throw new Error("not a put");
    expect(plain(result.response.prevKv!)).toEqual({
      key: "a",
      value: "2",
      createRevision: 2,
      modRevision: 3,
      version: 2,
      lease: 0,
    });
  });

  it("keeps the value where it is to be ignored", () => {
    const store = storeWith(["a", "1"]);
    expect(put(store, "a", "", { ignoreValue: true })).toMatchObject({ revision: 3 });
    expect([read(store, "a"), counters(store, "a")]).toEqual([["a=1"], "2/3/2"]);
  });

  it.each([[{ ignoreValue: true }], [{ ignoreLease: true }]])(
    "%o on a missing key is an error",
    (options) => {
      const store = storeWith(["gone", "1"]);
      del(store, "gone");
      expect(put(store, "gone", "", options)).toEqual({ type: "error", code: "keyNotFound", revision: 3 });
      expect(put(store, "never", "", options)).toEqual({ type: "error", code: "keyNotFound", revision: 3 });
    },
  );

  it("refuses a lease that does not exist", () => {
    const store = new KvStore();
    expect(put(store, "a", "1", { lease: 7n })).toEqual({
      type: "error",
      code: "leaseNotFound",
      revision: 1,
    });
    expect(read(store, "a")).toEqual([]);
  });
});

describe("delete", () => {
  it("takes a range, counts, and gives the pairs if asked", () => {
    const store = storeWith(["a", "1"], ["b", "2"], ["c", "3"]);
    const result = del(store, "a", "c", { prevKv: true });
    if (result.type !== "deleteRange") throw new Error("not a delete");
    expect(result.response.deleted).toBe(2);
    expect(result.response.prevKvs.map((kv) => text(kv.value))).toEqual(["1", "2"]);
    expect([result.revision, read(store, "\0", "\0")]).toEqual([5, ["c=3"]]);
  });

  it("takes everything from a key on", () => {
    const store = storeWith(["a", "1"], ["b", "2"], ["c", "3"]);
    expect(del(store, "b", "\0")).toMatchObject({ response: { deleted: 2, prevKvs: [] } });
    expect(read(store, "\0", "\0")).toEqual(["a=1"]);
  });

  it("does not count what was deleted before", () => {
    const store = storeWith(["a", "1"], ["b", "2"]);
    del(store, "a");
    expect(del(store, "\0", "\0")).toMatchObject({ response: { deleted: 1 } });
  });
});

describe("txn", () => {
  it("takes one branch or the other", () => {
    const store = storeWith(["a", "1"]);
    const compare: Compare = { key: bytes("a"), target: "value", result: "equal", value: bytes("1") };
    const request = { compare: [compare], success: [putOp("a", "2")], failure: [rangeOp("a")] };
    expect(responseOf(txn(store, request))).toMatchObject({ succeeded: true, revision: 3 });
    const second = responseOf(txn(store, request));
    expect([second.succeeded, second.revision, found(second, 0)]).toEqual([false, 3, ["a=2"]]);
  });

  it("lets operations see what earlier ones did", () => {
    const store = storeWith(["a", "old"]);
    const response = responseOf(
      txn(store, {
        success: [rangeOp("a"), putOp("a", "new"), rangeOp("a"), deleteOp("b"), rangeOp("a", "\0")],
      }),
    );
    expect([found(response, 0), found(response, 2), found(response, 4)]).toEqual([
      ["a=old"],
      ["a=new"],
      ["a=new"],
    ]);
  });

  it("lets a nested transaction see it too, but its compares look at the state before everything", () => {
    const store = storeWith(["a", "old"]);
    const isNew: Compare = { key: bytes("a"), target: "value", result: "equal", value: bytes("new") };
    const response = responseOf(
      txn(store, { success: [putOp("a", "new"), txnOp([rangeOp("yes")], [rangeOp("a")], [isNew])] }),
    );
    const nested = response.responses[1]!;
    if (nested.type !== "txn") throw new Error("not a txn");
    expect([nested.response.succeeded, found(nested.response, 0)]).toEqual([false, ["a=new"]]);
  });

  it("refuses before any effect: a put to a missing key with its value ignored", () => {
    const store = new KvStore();
    const result = txn(store, { success: [putOp("a", "1"), putOp("missing", "", { ignoreValue: true })] });
    expect(result).toEqual({ type: "error", code: "keyNotFound", revision: 1 });
    expect(read(store, "\0", "\0")).toEqual([]);
  });

  it("refuses before any effect: a put with an unknown lease, nested", () => {
    const store = new KvStore();
    const result = txn(store, { success: [putOp("a", "1"), txnOp([putOp("b", "", { lease: 1n })])] });
    expect([result, store.revision]).toEqual([{ type: "error", code: "leaseNotFound", revision: 1 }, 1]);
  });

  it("refuses before any effect: a range at a revision that is not there", () => {
    const store = storeWith(["a", "1"], ["a", "2"]);
    compact(store, 3);
    const at = (revision: number): KvResult =>
      txn(store, { success: [putOp("b", "1"), rangeOp("a", "", { revision })] });
    // Its own revision too is in the future.
    expect(at(4)).toEqual({ type: "error", code: "futureRevision", revision: 3 });
    expect(at(2)).toEqual({ type: "error", code: "compacted", revision: 3 });
    expect(at(3)).toMatchObject({ type: "txn", revision: 4 });
  });

  it("does not mind errors in the branch that it does not take", () => {
    const store = new KvStore();
    const result = txn(store, { success: [putOp("a")], failure: [rangeOp("a", "", { revision: 99 })] });
    expect(result).toMatchObject({ type: "txn", revision: 2 });
  });

  it("undoes everything when a deletion took away what a later put relies on (etcd crashes)", () => {
    const store = storeWith(["a", "1"], ["b", "2"]);
    const before = [store.hash(), store.sizeBytes];
    const result = txn(store, {
      success: [putOp("0", "x"), txnOp([deleteOp("a", "\0")]), putOp("b", "", { ignoreValue: true })],
    });
    expect(result).toEqual({ type: "error", code: "keyNotFound", revision: 3 });
    expect([store.hash(), store.sizeBytes]).toEqual(before);
    expect(put(store, "b", "3")).toMatchObject({ revision: 4 });
    expect(counters(store, "b")).toBe("3/4/2");
  });

  it("may delete a key and put it again in one revision (etcd allows it behind an open end)", () => {
    const store = storeWith(["b", "1"], ["b", "2"]);
    txn(store, { success: [deleteOp("a", "\0"), putOp("b", "3")] });
    expect([counters(store, "b"), counters(store, "b", 3)]).toEqual(["4/4/1", "2/3/2"]);
  });
});

describe("compares", () => {
  // a: 2/5/2, b: 3/3/1, c: 4/4/1
  const store = storeWith(["a", "1"], ["b", "2"], ["c", "3"], ["a", "4"]);
  const holds = (compare: Compare): boolean => responseOf(txn(store, { compare: [compare] })).succeeded;
  const on = (key: string, rangeEnd = ""): Pick<Compare, "key" | "rangeEnd"> => ({
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
  });

  it("knows four relations for each of the five targets", () => {
    const relations = ["less", "equal", "notEqual", "greater"] as const;
    const values = [
      relations.map((result) => holds({ ...on("a"), result, target: "value", value: bytes("4") })),
      relations.map((result) => holds({ ...on("a"), result, target: "version", version: 1 })),
      relations.map((result) => holds({ ...on("a"), result, target: "create", createRevision: 3 })),
      relations.map((result) => holds({ ...on("a"), result, target: "mod", modRevision: 5 })),
      relations.map((result) => holds({ ...on("a"), result, target: "lease", lease: -1n })),
    ];
    expect(values).toEqual([
      [false, true, false, false],
      [false, false, true, true],
      [true, false, true, false],
      [false, true, false, false],
      [false, false, true, true],
    ]);
  });

  it("compares values by their bytes", () => {
    expect(holds({ ...on("a"), result: "greater", target: "value", value: bytes("39") })).toBe(true);
    expect(holds({ ...on("a"), result: "less", target: "value", value: bytes("4\0") })).toBe(true);
  });

  it("takes a missing key for zeros, except that its value compares with nothing", () => {
    expect(holds({ ...on("x"), result: "equal", target: "version", version: 0 })).toBe(true);
    expect(holds({ ...on("x"), result: "equal", target: "create", createRevision: 0 })).toBe(true);
    expect(holds({ ...on("x"), result: "less", target: "mod", modRevision: 1 })).toBe(true);
    expect(holds({ ...on("x"), result: "equal", target: "lease", lease: 0n })).toBe(true);
    expect(holds({ ...on("x"), result: "equal", target: "value", value: bytes("") })).toBe(false);
    expect(holds({ ...on("x"), result: "notEqual", target: "value", value: bytes("y") })).toBe(false);
  });

  it("must hold for every key of a range, and takes an empty range for a missing key", () => {
    expect(holds({ ...on("b", "d"), result: "equal", target: "version", version: 1 })).toBe(true);
    expect(holds({ ...on("a", "d"), result: "equal", target: "version", version: 1 })).toBe(false);
    expect(holds({ ...on("a", "\0"), result: "greater", target: "version", version: 0 })).toBe(true);
    expect(holds({ ...on("x", "z"), result: "equal", target: "version", version: 0 })).toBe(true);
    expect(holds({ ...on("x", "z"), result: "notEqual", target: "value", value: bytes("y") })).toBe(false);
  });

  it("must all hold", () => {
    const yes: Compare = { ...on("a"), result: "equal", target: "version", version: 2 };
    const no: Compare = { ...on("a"), result: "equal", target: "version", version: 3 };
    expect(responseOf(txn(store, { compare: [yes, no] })).succeeded).toBe(false);
    expect(responseOf(txn(store, { compare: [yes, yes] })).succeeded).toBe(true);
  });
});

describe("compact", () => {
  it("refuses what is compacted already, and the future", () => {
    const store = storeWith(["a", "1"], ["a", "2"], ["a", "3"]);
    expect(compact(store, 5)).toEqual({ type: "error", code: "futureRevision", revision: 4 });
    expect(compact(store, 3)).toEqual({ type: "compact", revision: 4 });
    expect(compact(store, 3)).toEqual({ type: "error", code: "compacted", revision: 4 });
    expect(compact(store, 2)).toEqual({ type: "error", code: "compacted", revision: 4 });
    expect([store.compactRevision, store.revision]).toEqual([3, 4]);
  });
});

describe("readTxn", () => {
  it("reads like a transaction through the log", () => {
    const store = storeWith(["a", "1"], ["a", "2"]);
    const exists: Compare = { key: bytes("a"), target: "version", result: "greater", version: 0 };
    const request = {
      compare: [exists],
      success: [rangeOp("a"), rangeOp("a", "", { revision: 2 }), txnOp([rangeOp("a")])],
      failure: [],
    };
    const response = store.readTxn(request);
    expect(response).toEqual(responseOf(txn(store, request)));
    expect([found(response, 0), found(response, 1), response.revision]).toEqual([["a=2"], ["a=1"], 3]);
    const future = { compare: [], success: [rangeOp("a", "", { revision: 9 })], failure: [] };
    expect(codeOf(() => store.readTxn(future))).toBe("futureRevision");
  });

  it("is not for writes", () => {
    const store = new KvStore();
    const request = { compare: [], success: [], failure: [txnOp([], [deleteOp("a")])] };
    expect(() => store.readTxn(request)).toThrow(AssertionError);
  });
});

describe("applyChunk", () => {
  it("answers every command, also those that make no sense, and goes on", () => {
    const store = new KvStore();
    const results = store.applyChunk([
      { command: bytes("nonsense"), term: 1 },
      { command: new Uint8Array(0), term: 1 },
    ]);
    expect(results).toEqual([
      { type: "error", code: "malformed", revision: 1 },
      { type: "error", code: "malformed", revision: 1 },
    ]);
    expect(put(store, "a").revision).toBe(2);
  });

  it("keeps nothing of the commands' bytes", () => {
    const store = new KvStore();
    const command = Uint8Array.from([1, 1, 0, 1, 0x61, 1, 0x62]);
    store.applyChunk([{ command, term: 1 }]);
    command.fill(0);
    expect(read(store, "a")).toEqual(["a=b"]);
  });
});
