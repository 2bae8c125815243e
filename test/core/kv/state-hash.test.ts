import { describe, expect, it } from "vitest";
import { Keyspace } from "../../../src/core/kv/keyspace.ts";
import { NO_RECORD } from "../../../src/core/kv/record-heap.ts";
import type { NewRecord } from "../../../src/core/kv/record-heap.ts";
import { StateHasher } from "../../../src/core/kv/state-hash.ts";
import { bytes } from "./support.ts";

const RECORD: NewRecord = {
  key: bytes("key"),
  value: bytes("value"),
  modRevision: 7,
  createRevision: 5,
  version: 3,
  lease: 9n,
  older: NO_RECORD,
};

function hashOf(records: readonly NewRecord[], revision = 10, step = 1000): string {
  const keyspace = new Keyspace();
  for (const record of records) keyspace.tree.set(record.key, keyspace.heap.create(record));
  const hasher = new StateHasher(keyspace, revision);
  while (hasher.step(step));
  return hasher.digest();
}

describe("StateHasher", () => {
  it("takes in every field of every key, and the revision", () => {
    const hashes = [
      hashOf([]),
      hashOf([RECORD]),
      hashOf([RECORD], 11),
      hashOf([{ ...RECORD, key: bytes("kex") }]),
      hashOf([{ ...RECORD, value: bytes("valuf") }]),
      hashOf([{ ...RECORD, value: bytes("value\0") }]),
      hashOf([{ ...RECORD, key: bytes("keyv"), value: bytes("alue") }]),
      hashOf([{ ...RECORD, modRevision: 8 }]),
      hashOf([{ ...RECORD, createRevision: 6 }]),
      hashOf([{ ...RECORD, version: 4 }]),
      hashOf([{ ...RECORD, lease: 8n }]),
      hashOf([RECORD, { ...RECORD, key: bytes("other") }]),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes.filter((hash) => !/^[0-9a-f]{16}$/.test(hash))).toEqual([]);
  });

  it("leaves out what cannot be seen at the revision", () => {
    expect(hashOf([RECORD, { ...RECORD, key: bytes("later"), modRevision: 11 }])).toBe(hashOf([RECORD]));
    expect(hashOf([RECORD, { ...RECORD, key: bytes("gone"), version: 0 }])).toBe(hashOf([RECORD]));
  });

  it("does not depend on the order of writing or the size of the steps", () => {
    const records = Array.from({ length: 500 }, (_, i) => ({ ...RECORD, key: bytes(`key ${i}`) }));
    expect(hashOf(records.toReversed(), 10, 1)).toBe(hashOf(records));
  });
});
