import { beforeAll, describe, expect, it } from "vitest";
import { fingerprintOf, KvStore, MAX_TXN_READ_BYTES } from "../../../src/core/kv/index.ts";
import type { RequestOp } from "../../../src/core/kv/index.ts";
import { VERSION_BYTES } from "../../../src/core/kv/size.ts";
import { OPEN_END, apply, bytes, codeOf, compact, del, put, restored, snapshotOf, txn } from "./support.ts";

const ALL = { key: Uint8Array.of(0), rangeEnd: OPEN_END };

describe("how much a read is answered", () => {
  const store = new KvStore();
  for (let i = 10; i < 20; i++) put(store, `k${i}`, "0123456789");
  const each = VERSION_BYTES + 3 + 10;

  it("is bounded to the byte, before it is built", () => {
    expect(store.range(ALL, 10 * each).kvs).toHaveLength(10);
    expect(codeOf(() => store.range(ALL, 10 * each - 1))).toBe("rangeTooLarge");
    expect(() => store.range(ALL, 99)).toThrow("page by page, or use RangeStream: 99 bytes");
  });

  it("counts what the answer holds: a limit, filters and keys alone make it smaller", () => {
    expect(store.range({ ...ALL, limit: 3 }, 3 * each)).toMatchObject({ count: 10, more: true });
    expect(store.range({ ...ALL, minModRevision: store.revision }, each).kvs).toHaveLength(1);
    expect(store.range({ ...ALL, keysOnly: true }, 10 * (each - 10)).kvs).toHaveLength(10);
    expect(store.range({ ...ALL, countOnly: true }, 0).count).toBe(10);
    expect(store.range({ ...ALL, maxBytes: 20 }, each).kvs).toHaveLength(1);
  });

  it("is the sum over a transaction", () => {
    const ranges: RequestOp[] = [1, 2].map(() => ({ type: "range", request: ALL }));
    const request = { compare: [], success: ranges, failure: [] };
    expect(store.readTxn(request, 20 * each).responses).toHaveLength(2);
    expect(codeOf(() => store.readTxn(request, 20 * each - 1))).toBe("rangeTooLarge");
  });
});

describe("what a write may read, on every member", () => {
  const LARGE = "v".repeat(1 << 20);
  const COUNT = MAX_TXN_READ_BYTES >>> 20;
  const store = new KvStore();
  beforeAll(() => {
    for (let i = 0; i < COUNT; i++) put(store, `k${i + 100}`, LARGE);
  });

  function refused(run: () => unknown): void {
    const before = [store.revision, store.sizeBytes, store.keyCount];
    expect(run()).toMatchObject({ type: "error", code: "rangeTooLarge" });
    expect([store.revision, store.sizeBytes, store.keyCount]).toEqual(before);
  }

  it("is bounded: ranges, previous values and deletions, and nothing is changed", () => {
    const change: RequestOp = { type: "put", request: { key: bytes("new") } };
    refused(() => txn(store, { success: [change, { type: "range", request: ALL }] }));
    refused(() => apply(store, { type: "deleteRange", request: { ...ALL, prevKv: true } }));
    refused(() => txn(store, { success: [{ type: "deleteRange", request: { ...ALL, prevKv: true } }] }));
    const withPrevious = Array.from({ length: COUNT }, (_, i): RequestOp => {
      return { type: "put", request: { key: bytes(`k${i + 100}`), prevKv: true } };
    });
    refused(() => txn(store, { success: withPrevious }));
    const keeping = withPrevious.map((op): RequestOp => {
      return op.type === "put" ? { type: "put", request: { key: op.request.key, ignoreValue: true } } : op;
    });
    refused(() => txn(store, { success: keeping }));
  });

  it("leaves the name of a refused write free", () => {
    const command = { type: "deleteRange", request: { ...ALL, prevKv: true } } as const;
    const once = { key: "name", fingerprint: fingerprintOf(bytes("request")), forgetTo: 0 };
    expect(apply(store, { type: "once", request: { ...once, command } })).toMatchObject({
      code: "rangeTooLarge",
    });
    expect(apply(store, { type: "deleteRange", request: { key: bytes("k100") } })).toMatchObject({
      type: "deleteRange",
    });
    const again = apply(store, { type: "once", request: { ...once, command } });
    expect(again).toMatchObject({ type: "deleteRange", response: { deleted: COUNT - 1 } });
  });
});

describe("how many keys a transaction may look at", () => {
  const store = new KvStore();
  const KEYS = 10_000;
  beforeAll(() => {
    for (let at = 0; at < KEYS; at += 1000) {
      const success = Array.from({ length: 1000 }, (_, i): RequestOp => {
        return { type: "put", request: { key: bytes(`k${100_000 + at + i}`), value: bytes("v") } };
      });
      txn(store, { success });
    }
  });

  const looking = (times: number): RequestOp[] =>
    Array.from({ length: times }, () => ({
      type: "range",
      request: { ...ALL, sortTarget: "mod", sortOrder: "descend", limit: 1 },
    }));

  it("is bounded over its comparisons, its ranges and their counts at earlier revisions", () => {
    const compare = Array.from(
      { length: 100 },
      () => ({ ...ALL, target: "mod", result: "greater", modRevision: 0 }) as const,
    );
    expect(txn(store, { compare })).toMatchObject({ type: "txn" });
    expect(txn(store, { compare, success: looking(4) })).toMatchObject({ type: "txn" });
    expect(txn(store, { compare, success: looking(5) })).toMatchObject({ code: "rangeTooLarge" });
    const old = {
      type: "range",
      request: { ...ALL, countOnly: true, revision: store.revision - 1 },
    } as const;
    // As many changes since, or keys, whichever are fewer.
    expect(txn(store, { compare, success: Array.from({ length: 48 }, () => old) })).toMatchObject({
      type: "txn",
    });
    expect(txn(store, { compare, success: Array.from({ length: 49 }, () => old) })).toMatchObject({
      code: "rangeTooLarge",
    });
  });

  it("is the same for a member that was restored, and before anything that is compacted has been freed", () => {
    const first = new KvStore();
    for (let i = 0; i < 2000; i++) put(first, `k${i}`);
    for (let i = 0; i < 1000; i++) del(first, `k${i}`);
    compact(first, first.revision - 500);
    const second = restored(snapshotOf(first));
    const old = { ...ALL, countOnly: true, revision: first.compactRevision };
    // 500 changes since, and 1,500 keys then.
    for (const [times, type] of [
      [(1 << 20) / 500, "txn"],
      [(1 << 20) / 500 + 1, "error"],
    ] as const) {
      const success = Array.from({ length: times }, () => ({ type: "range", request: old }) as const);
      for (const store of [first, second]) expect(txn(store, { success })).toMatchObject({ type });
    }
  });

  it("does not count what needs no look: counts of the present, pages, and keys by name", () => {
    const counts = Array.from(
      { length: 200 },
      () => ({ type: "range", request: { ...ALL, limit: 1 } }) as const,
    );
    expect(txn(store, { success: counts })).toMatchObject({ type: "txn" });
  });
});
