import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareBytes } from "../../../src/core/bytes/index.ts";
import { AssertionError } from "../../../src/core/errors/index.ts";
import { NO_RECORD, RecordHeap } from "../../../src/core/kv/record-heap.ts";
import type { NewRecord, RecordHandle } from "../../../src/core/kv/record-heap.ts";
import { ATTACHMENT_BYTES, VERSION_BYTES } from "../../../src/core/kv/size.ts";
import { bytes } from "./support.ts";

const MAX_INT64 = 2n ** 63n - 1n;

const records: fc.Arbitrary<NewRecord> = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  // Beyond an eighth of a slab a record gets a slab of its own.
  value: fc.oneof(
    { weight: 20, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 40_000 }).map((n) => new Uint8Array(n).fill(n)) },
  ),
  modRevision: fc.maxSafeNat(),
  createRevision: fc.maxSafeNat(),
  version: fc.maxSafeNat(),
  lease: fc.oneof(fc.constant(0n), fc.bigInt({ min: -MAX_INT64 - 1n, max: MAX_INT64 })),
  older: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});

function contentOf(heap: RecordHeap, handle: RecordHandle): NewRecord {
  return {
    key: heap.keyView(handle).slice(),
    value: heap.valueView(handle).slice(),
    modRevision: heap.modRevision(handle),
    createRevision: heap.createRevision(handle),
    version: heap.version(handle),
    lease: heap.lease(handle),
    older: heap.older(handle),
  };
}

/** In a form that is quick to compare. */
function plain(record: NewRecord): object {
  return { ...record, key: record.key.join(), value: record.value.join() };
}

function small(key: string, valueBytes = 1000): NewRecord {
  const value = new Uint8Array(valueBytes).fill(key.length);
  return {
    key: bytes(key),
    value,
    modRevision: 2,
    createRevision: 2,
    version: 1,
    lease: 0n,
    older: NO_RECORD,
  };
}

/** What a record adds to the content of its heap. */
function counted({ key, value, lease }: NewRecord): number {
  return VERSION_BYTES + (lease === 0n ? 0 : ATTACHMENT_BYTES) + key.length + value.length;
}

describe("RecordHeap", () => {
  it("gives back what was put in, through frees, moves and reuse", () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.record({ create: records }) },
        { weight: 2, arbitrary: fc.record({ free: fc.nat() }) },
        { weight: 1, arbitrary: fc.record({ move: fc.nat() }) },
      ),
      { maxLength: 100 },
    );
    fc.assert(
      fc.property(steps, (script) => {
        const heap = new RecordHeap();
        const live: { handle: RecordHandle; readonly record: NewRecord }[] = [];
        for (const step of script) {
          if ("create" in step) {
            live.push({ handle: heap.create(step.create), record: step.create });
          } else if (live.length > 0 && "free" in step) {
            const [gone] = live.splice(step.free % live.length, 1);
            heap.free(gone!.handle);
          } else if (live.length > 0 && "move" in step) {
            const moving = live[step.move % live.length]!;
            const old = moving.handle;
            moving.handle = heap.duplicate(old);
            heap.free(old);
          }
        }
        for (const { handle, record } of live) expect(plain(contentOf(heap, handle))).toEqual(plain(record));
        expect(new Set(live.map(({ handle }) => handle)).size).toBe(live.length);
        const content = live.reduce((sum, { record }) => sum + counted(record), 0);
        expect(heap.contentBytes).toBe(content);
      }),
    );
  });

  it("orders keys bytewise", () => {
    const keys = fc.uint8Array({ minLength: 1, maxLength: 4, max: 3 });
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const heap = new RecordHeap();
        const handle = heap.create({ ...small(""), key: a });
        expect(Math.sign(heap.compareKey(handle, b))).toBe(Math.sign(compareBytes(a, b)));
      }),
    );
  });

  it("hands out copies", () => {
    const heap = new RecordHeap();
    const handle = heap.create(small("key"));
    const kv = heap.toKeyValue(handle);
    kv.key.fill(0);
    kv.value.fill(0);
    expect(heap.toKeyValue(handle).key).toEqual(bytes("key"));
    expect(heap.toKeyValue(handle).value[0]).toBe(3);
    expect(heap.toKeyValue(handle, false).value).toEqual(new Uint8Array(0));
  });

  it("says when much is wasted, and that moving what is left helps", () => {
    const heap = new RecordHeap();
    const handles = Array.from({ length: 20_000 }, (_, i) => heap.create(small(`key ${i}`)));
    expect(heap.needsEvacuation()).toBe(false);
    const kept = handles.filter((_, i) => i % 10 === 0);
    for (const [i, handle] of handles.entries()) if (i % 10 !== 0) heap.free(handle);
    expect(heap.needsEvacuation()).toBe(true);
    for (const handle of kept.filter((each) => heap.isInSparseSlab(each))) {
      heap.duplicate(handle);
      heap.free(handle);
    }
    expect(heap.needsEvacuation()).toBe(false);
    expect(heap.contentBytes).toBe(kept.reduce((sum, _, i) => sum + counted(small(`key ${i * 10}`)), 0));
  });

  it("uses the place of freed slabs again, so that handles stay small", () => {
    const heap = new RecordHeap();
    const highest = Math.max(...Array.from({ length: 50 }, () => heap.create(small("big", 100_000))));
    for (let round = 0; round < 50; round++) {
      const handle = heap.create(small("another", 100_000));
      expect(handle).toBeLessThanOrEqual(highest + (1 << 14));
      heap.free(handle);
    }
    for (let i = 0; i < 20_000; i++) heap.free(heap.create(small("small")));
    expect(heap.create(small("last"))).toBeLessThanOrEqual(highest + (4 << 14));
    expect(heap.needsEvacuation()).toBe(false);
  });

  it("frees a record once", () => {
    const heap = new RecordHeap();
    const handle = heap.create(small("key"));
    heap.free(handle);
    expect(() => heap.free(handle)).toThrow(AssertionError);
  });
});
