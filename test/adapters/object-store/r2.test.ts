import { describe, expect, it } from "vitest";
import { r2ObjectStore, type R2BucketLike } from "../../../src/adapters/r2/index.ts";
import { rejection } from "../storage-helpers.ts";

/** A binding whose next calls fail with these messages; otherwise empty, and what is put goes nowhere. */
function failingBucket(...messages: string[]): R2BucketLike & { calls: number } {
  const bucket = {
    calls: 0,
    async get() {
      bucket.fail();
      return null;
    },
    async put(key: string, value: Uint8Array) {
      bucket.fail();
      return { key, size: value.length, etag: "etag" };
    },
    async list() {
      bucket.fail();
      return { objects: [], truncated: false };
    },
    async delete() {
      bucket.fail();
    },
    fail() {
      bucket.calls++;
      const message = messages.shift();
      if (message !== undefined) throw new Error(message);
    },
  };
  return bucket;
}

const TOO_MANY = "put: Reduce your concurrent request rate for the same object. (10058)";
const INTERNAL = "put: We encountered an internal error. Please try again. (10001)";
const CONTENT = Uint8Array.of(1);

describe.concurrent("what the binding of R2 throws", () => {
  it("asks again where nothing was done", async () => {
    const bucket = failingBucket(TOO_MANY, TOO_MANY);
    expect(await r2ObjectStore({ bucket }).putIfAbsent("a", CONTENT)).toEqual({
      type: "written",
      version: "etag",
    });
    expect(bucket.calls).toBe(3);
  });

  it("says when that does not end", async () => {
    const bucket = failingBucket(...Array.from({ length: 100 }, () => TOO_MANY));
    expect(await rejection(r2ObjectStore({ bucket }).putIfMatch("a", CONTENT, "etag"))).toBe(
      "storageThrottled",
    );
  });

  it.for([INTERNAL, "put: ServiceUnavailable (10043)", "Network connection lost.", "no number"])(
    "does not know what became of a put, and repeats reads: %s",
    async (message) => {
      const bucket = failingBucket(message, message);
      const store = r2ObjectStore({ bucket });
      expect((await store.putIfAbsent("a", CONTENT)).type).toBe("unknown");
      expect(bucket.calls).toBe(1);
      expect(await store.get("a")).toBeNull();
      expect(bucket.calls).toBe(3);
    },
  );

  it("does not take an empty page for the end of a listing, nor empty pages without end for a listing", async () => {
    const asked: (string | undefined)[] = [];
    const pages = [
      { objects: [], truncated: true, cursor: "on" },
      { objects: [{ key: "a", size: 1, etag: "e" }], truncated: false },
    ];
    const bucket: R2BucketLike = {
      ...failingBucket(),
      list: async ({ cursor }) => pages[asked.push(cursor) - 1] ?? pages[0]!,
    };
    const store = r2ObjectStore({ bucket });
    expect(await store.list("")).toEqual({ objects: [{ name: "a", size: 1 }], more: false });
    expect(asked).toEqual([undefined, "on"]);
    expect(await rejection(store.list(""))).toBe("storageUnavailable");
  });

  it("takes a failed condition also as an error", async () => {
    const bucket = failingBucket("put: At least one of the pre-conditions did not hold. (10031)");
    expect(await r2ObjectStore({ bucket }).putIfAbsent("a", CONTENT)).toEqual({ type: "refused" });
  });

  it.for([
    ["put: You do not have permission. (10003)", /bind the bucket/],
    ["list: The specified bucket does not exist. (10006)", /create it/],
    ["put: something new (19999)", /something new/],
  ] as const)("names the fix, and asks once: %s", async ([message, fix]) => {
    const bucket = failingBucket(message);
    const store = r2ObjectStore({ bucket, name: "shelf" });
    await expect(store.putIfAbsent("a", CONTENT)).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(fix),
      message: expect.stringContaining("r2://shelf/"),
    });
    expect(bucket.calls).toBe(1);
  });

  it("does not wait for ever", async () => {
    const bucket = { ...failingBucket(), put: () => new Promise<never>(() => {}) };
    expect((await r2ObjectStore({ bucket, timeoutMs: 20 }).putIfAbsent("a", CONTENT)).type).toBe("unknown");
  });

  it("refuses to be opened without a binding", () => {
    const bucket = undefined as unknown as R2BucketLike;
    expect(() => r2ObjectStore({ bucket })).toThrow(/r2_buckets/);
  });
});
