import fc from "fast-check";
import type { Hono } from "hono";
import { beforeEach, describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import type { Engine, ReadOptions } from "../../../src/core/node/index.ts";
import { percentEncode } from "../../../src/runtimes/http/sugar/key-text.ts";
import { memoryEngine } from "./memory-engine.ts";
import { type RequestHeaders, testApp } from "./test-app.ts";

interface Page {
  readonly revision: number;
  readonly kvs: readonly Record<string, unknown>[];
  readonly prefixes?: readonly string[];
  readonly prefixes_base64?: readonly string[];
  readonly next?: string;
}

let store: KvStore;
let engine: Engine;
let app: Hono;

beforeEach(() => {
  store = new KvStore();
  engine = memoryEngine(store);
  ({ app } = testApp(engine));
});

const put = async (
  path: string,
  body: string | Uint8Array<ArrayBuffer> = "v",
  headers: RequestHeaders = {},
): Promise<Response> => app.request(path, { method: "PUT", body, headers });
const remove = async (path: string, headers: RequestHeaders = {}): Promise<Response> =>
  app.request(path, { method: "DELETE", headers });
const list = async (path: string): Promise<Page> => {
  const response = await app.request(path);
  expect(response.status).toBe(200);
  return (await response.json()) as Page;
};
const complaint = async (response: Response | Promise<Response>): Promise<string> => {
  const { status } = await response;
  const body = (await (await response).json()) as { reason: string; detail?: string };
  return [status, body.reason, body.detail ?? ""].join(" ").trim();
};

describe("GET /kv/:key", () => {
  it("gives the value as it is, and says where it stands", async () => {
    await put("/kv/a", "1");
    await put("/kv/b");
    await put("/kv/a", new Uint8Array([0, 255, 128]));
    const response = await app.request("/kv/a");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(new Uint8Array([0, 255, 128]));
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "x-content-type-options": "nosniff",
      etag: '"4"',
      "x-d-engine-revision": "4",
      "x-d-engine-create-revision": "2",
      "x-d-engine-version": "2",
    });
  });

  it("tells an empty value from none", async () => {
    await put("/kv/empty", "");
    const response = await app.request("/kv/empty");
    expect([response.status, await response.text()]).toEqual([200, ""]);
    expect(await complaint(app.request("/kv/none"))).toBe("404 keyNotFound");
  });

  it("answers HEAD with the headers alone", async () => {
    await put("/kv/a", "1");
    const response = await app.request("/kv/a", { method: "HEAD" });
    expect([response.status, response.headers.get("ETag"), await response.text()]).toEqual([200, '"2"', ""]);
  });

  it("reads the past", async () => {
    await put("/kv/a", "1");
    await put("/kv/a", "2");
    expect(await (await app.request("/kv/a?rev=2")).text()).toBe("1");
    expect(await (await app.request("/kv/a?rev=0")).text()).toBe("2");
    expect(await complaint(app.request("/kv/a?rev=1"))).toBe("404 keyNotFound");
    expect(await complaint(app.request("/kv/a?rev=9"))).toBe("400 futureRevision");
  });

  it("spares a reader who has it already", async () => {
    await put("/kv/a", "1");
    for (const [tag, status] of [
      ['"2"', 304],
      ['W/"2"', 304],
      ['"1", "2"', 304],
      ["*", 304],
      ['"3"', 200],
    ] as const) {
      expect((await app.request("/kv/a", { headers: { "If-None-Match": tag } })).status).toBe(status);
    }
  });

  it("passes the policy on", async () => {
    const policies: (ReadOptions | undefined)[] = [];
    const range: Engine["range"] = (request, options) => {
      policies.push(options);
      return engine.range(request, options);
    };
    const spy = testApp({ ...engine, range }).app;
    for (const query of ["", "?consistency=lease", "?consistency=eventual"])
      await spy.request(`/kv/a${query}`);
    expect(policies).toEqual([{}, { consistency: "lease" }, { consistency: "eventual" }]);
  });
});

describe("keys in paths", () => {
  it("may hold slashes, written either way", async () => {
    await put("/kv/a/b/c", "1");
    expect(await (await app.request("/kv/a%2Fb/c")).text()).toBe("1");
    await put("/kv/%2Fleading//double", "2");
    expect(await (await app.request("/kv//leading%2F%2fdouble")).text()).toBe("2");
    expect((await list("/kv/")).kvs.map((kv) => kv["key"])).toEqual(["/leading//double", "a/b/c"]);
  });

  it("are decoded once, and + is a plus", async () => {
    await put("/kv/100%2525+%3F%23", "1");
    expect((await list("/kv/")).kvs.map((kv) => kv["key"])).toEqual(["100%25+?#"]);
    await put("/kv/kv/x%20%C3%BC", "2");
    expect((await list("/kv/?prefix=kv/")).kvs.map((kv) => kv["key"])).toEqual(["kv/x ü"]);
  });

  it("may be any bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 30 }), async (key) => {
        const path = `/kv/${percentEncode(key).replaceAll(".", "%2E").replaceAll("/", "%2F")}`;
        // A URL takes %2E for a dot, and a whole segment of dots for a way up; no such key can be written.
        fc.pre(!/^\/kv\/(%2E){1,2}$/.test(path));
        const written = await put(path, key as Uint8Array<ArrayBuffer>);
        expect(written.status).toBe(200);
        expect((await engine.range({ key })).kvs[0]?.value).toEqual(key);
        expect(new Uint8Array(await (await app.request(path)).arrayBuffer())).toEqual(key);
      }),
    );
  });

  it.each(["/kv/%", "/kv/a%2", "/kv/a%zz", "/kv/%%41"])("are refused when %s is malformed", async (path) => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      expect((await app.request(path, { method })).status).toBe(400);
    }
  });

  it("are needed for a write", async () => {
    for (const path of ["/kv/", "/kv/?prefix=1"]) expect(await complaint(remove(path))).toBe("400 emptyKey");
    expect(await complaint(put("/kv/"))).toBe("400 emptyKey");
  });
});

describe("PUT /kv/:key", () => {
  it("says at which revision", async () => {
    const response = await put("/kv/a");
    expect(response.headers.get("ETag")).toBe('"2"');
    expect(await response.json()).toEqual({ revision: 2 });
  });

  it("creates, and only that, with If-None-Match: *", async () => {
    const headers = { "If-None-Match": "*" };
    const created = await put("/kv/a", "1", headers);
    expect([created.status, created.headers.get("ETag")]).toEqual([200, '"2"']);
    const again = await put("/kv/a", "2", headers);
    expect(again.headers.get("ETag")).toBe('"2"');
    expect(await complaint(again)).toBe("412 preconditionFailed");
    expect(await (await app.request("/kv/a")).text()).toBe("1");
  });

  it("replaces a known revision, and only that, with If-Match", async () => {
    await put("/kv/a", "1");
    const stale = await put("/kv/a", "x", { "If-Match": '"1"' });
    expect(stale.headers.get("ETag")).toBe('"2"');
    expect(await stale.json()).toMatchObject({ code: 9, error: "d-engine: the key is at revision 2" });
    expect((await put("/kv/a", "2", { "If-Match": '"2"' })).status).toBe(200);
    expect((await put("/kv/a", "3", { "If-Match": "3" })).status).toBe(200);
    expect((await put("/kv/a", "4", { "If-Match": "*" })).status).toBe(200);
    const none = await put("/kv/none", "x", { "If-Match": "*" });
    expect(none.headers.has("ETag")).toBe(false);
    expect(await none.json()).toMatchObject({ error: "d-engine: the key does not exist" });
    expect(store.revision).toBe(5);
  });

  it.each<Record<string, string>>([
    { "If-Match": "abc" },
    { "If-Match": 'W/"2"' },
    { "If-Match": '"2", "3"' },
    { "If-Match": "-1" },
    { "If-Match": "99999999999999999" },
    { "If-Match": "" },
    { "If-None-Match": '"2"' },
    { "If-Match": "2", "If-None-Match": "*" },
  ])("does not guess what %j means", async (headers) => {
    await put("/kv/a");
    expect((await put("/kv/a", "x", headers)).status).toBe(400);
    expect(store.revision).toBe(2);
  });

  it("attaches the key to a lease", async () => {
    await engine.leaseGrant({ id: -7n, ttlMs: 1000 });
    expect((await put("/kv/a?lease=-7")).status).toBe(200);
    expect((await put("/kv/b?lease=-7", "x", { "If-None-Match": "*" })).status).toBe(200);
    expect(store.leaseKeys(-7n).map((key) => new TextDecoder().decode(key))).toEqual(["a", "b"]);
  });

  it.each([
    ["0.25", 250],
    ["30", 30_000],
    ["0.001", 1],
  ])("gives the key a time to live of %s s", async (ttl, ttlMs) => {
    expect((await put(`/kv/a?ttl=${ttl}`)).status).toBe(200);
    expect([...store.leases()]).toMatchObject([{ ttlMs, isPrivate: true }]);
    expect((await put(`/kv/a?ttl=${ttl}`, "x", { "If-Match": "2" })).status).toBe(200);
    expect(store.leaseCount).toBe(1);
    expect((await put("/kv/a")).status).toBe(200);
    expect(store.leaseCount).toBe(0);
  });

  it.each([
    ["ttl=0", "400 invalidArgument ?ttl: not a number of seconds greater than 0"],
    ["ttl=-1", "400 invalidArgument ?ttl: not a number of seconds greater than 0"],
    ["ttl=1s", "400 invalidArgument ?ttl: not a number of seconds greater than 0"],
    ["ttl=0.0001", "400 invalidArgument ?ttl: not a number of seconds greater than 0"],
    ["ttl=9000000001", "400 leaseTtlTooLarge"],
    ["lease=1", "404 leaseNotFound"],
    ["lease=x", "400 invalidArgument ?lease: not a 64-bit number"],
    ["lease=9223372036854775808", "400 invalidArgument ?lease: not a 64-bit number"],
    ["lease=1&ttl=1", "400 invalidArgument both a lease and a TTL are given"],
  ])("refuses ?%s, and nothing changes", async (query, expected) => {
    expect(await complaint(put(`/kv/a?${query}`))).toBe(expected);
    expect([store.revision, store.leaseCount]).toEqual([1, 0]);
  });

  it("takes no more than the limit", async () => {
    const { app: small } = testApp(engine, { limits: { maxRequestBytes: 10 } });
    const send = (length: number) => small.request("/kv/a", { method: "PUT", body: "x".repeat(length) });
    expect((await send(10)).status).toBe(200);
    expect(await complaint(send(11))).toMatch(/^400 requestTooLarge/);
  });
});

describe("DELETE /kv/:key", () => {
  beforeEach(async () => {
    for (const key of ["a", "a/1", "a/2", "b"]) await put(`/kv/${key}`);
  });
  const keys = async () => (await list("/kv/?keys=1")).kvs.map((kv) => kv["key"]);

  it("deletes one key and says whether it was there", async () => {
    expect(await (await remove("/kv/a")).json()).toEqual({ deleted: 1, revision: 6 });
    expect(await (await remove("/kv/a")).json()).toEqual({ deleted: 0, revision: 6 });
    expect(await keys()).toEqual(["a/1", "a/2", "b"]);
  });

  it("deletes all that begin so, when told", async () => {
    expect(await (await remove("/kv/a/?prefix=1")).json()).toEqual({ deleted: 2, revision: 6 });
    expect(await (await remove("/kv/a?prefix")).json()).toEqual({ deleted: 1, revision: 7 });
    expect(await keys()).toEqual(["b"]);
  });

  it("deletes one key when told not to take it for a prefix", async () => {
    await remove("/kv/a?prefix=0");
    expect(await keys()).toEqual(["a/1", "a/2", "b"]);
  });

  it("heeds If-Match", async () => {
    expect(await complaint(remove("/kv/a", { "If-Match": '"9"' }))).toBe("412 preconditionFailed");
    expect(await (await remove("/kv/a", { "If-Match": '"2"' })).json()).toEqual({ deleted: 1, revision: 6 });
    expect(await complaint(remove("/kv/a", { "If-Match": "*" }))).toBe("412 preconditionFailed");
    expect((await remove("/kv/a?prefix=1", { "If-Match": "*" })).status).toBe(400);
    expect(await keys()).toEqual(["a/1", "a/2", "b"]);
  });

  it.each(["prefx=1", "prefix=yes", "prefix=1&prefix=0", "%70refix=1"])(
    "refuses ?%s, which might mean another range",
    async (query) => {
      expect((await remove(`/kv/a?${query}`)).status).toBe(400);
      expect(store.revision).toBe(5);
    },
  );
});

describe("GET /kv/", () => {
  it("lists keys and values in order", async () => {
    await put("/kv/b", "2");
    await put("/kv/a", "1");
    await put("/kv/a", "one");
    for (const path of ["/kv", "/kv/", "/kv?limit=2", "/kv/?limit=2"]) {
      expect(await list(path)).toEqual({
        revision: 4,
        kvs: [
          { key: "a", value: "one", create_revision: 3, mod_revision: 4, version: 2 },
          { key: "b", value: "2", create_revision: 2, mod_revision: 2, version: 1 },
        ],
      });
    }
    expect((await list("/kv/?rev=3")).kvs.map((kv) => kv["value"])).toEqual(["1", "2"]);
    expect((await list("/kv/?keys=1&limit=1")).kvs).toEqual([
      { key: "a", create_revision: 3, mod_revision: 4, version: 2 },
    ]);
  });

  it("shows what is not UTF-8 in base64 under another name", async () => {
    await put("/kv/%FF/x", new Uint8Array([0xc3]));
    await put("/kv/%EF%BB%BFbom", "\ufeffv");
    expect((await list("/kv/")).kvs).toMatchObject([
      { key: "\ufeffbom", value: "\ufeffv" },
      { key_base64: "/y94", value_base64: "ww==" },
    ]);
    expect(await list("/kv/?delimiter=/")).toMatchObject({ prefixes: [], prefixes_base64: ["/y8="] });
  });

  it("shows one level of a tree", async () => {
    for (const key of ["a", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/1"]) await put(`/kv/${key}`);
    const level = async (query: string) => {
      const { kvs, prefixes } = await list(`/kv/?${query}`);
      return [...kvs.map((kv) => kv["key"]), prefixes];
    };
    expect(await level("delimiter=/")).toEqual(["a", "a0", ["a/", "b/"]]);
    expect(await level("delimiter=/&prefix=a/")).toEqual(["a/1", "a/3", ["a/2/"]]);
    expect(await level("delimiter=/2/&prefix=a")).toEqual(["a", "a/1", "a/3", "a0", ["a/2/"]]);
    expect(await level("delimiter=/&prefix=c")).toEqual([[]]);
    expect(await level("delimiter=")).toEqual(["a", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/1", undefined]);
  });

  it("does not read the inside of what it shows as one", async () => {
    for (let i = 0; i < 300; i++) await put(`/kv/big/${i}`);
    await put("/kv/z");
    const reads: number[] = [];
    const range: Engine["range"] = async (request, options) => {
      const reply = await engine.range(request, options);
      reads.push(reply.kvs.length);
      return reply;
    };
    const { app: spy } = testApp({ ...engine, range });
    const tree = await spy.request("/kv/?delimiter=/&limit=10");
    expect(await tree.json()).toMatchObject({ kvs: [{ key: "z" }], prefixes: ["big/"] });
    // The first key of the prefix and what it was read with, then what comes after the prefix.
    expect(reads.splice(0)).toEqual([11, 1]);
    // One more than is shown, to know whether there is more.
    await spy.request("/kv/?limit=10");
    expect(reads).toEqual([11]);
  });

  it("goes on at the same revision, whatever was written since", async () => {
    for (const key of ["a", "b", "c"]) await put(`/kv/${key}`, "old");
    const first = await list("/kv/?limit=2&consistency=lease");
    expect(first.next).toBe("/kv/?prefix=&after=b&limit=2&rev=4&consistency=lease");
    await put("/kv/c", "new");
    await put("/kv/d", "new");
    const second = await list(first.next ?? "");
    expect(second).toMatchObject({ revision: 4, kvs: [{ key: "c", value: "old" }] });
    expect(second.next).toBeUndefined();
  });

  it("pages through anything as if it were one page", async () => {
    const letter = fc.constantFrom(0x61, 0x62, 0x2f, 0x00, 0xff);
    const bytes = fc.array(letter, { maxLength: 4 }).map((codes) => Uint8Array.from(codes));
    const settings = fc.record({
      keys: fc.array(
        bytes.filter((key) => key.length > 0),
        { maxLength: 12 },
      ),
      prefix: bytes.filter((key) => key.length < 3),
      delimiter: bytes.filter((key) => key.length < 3),
      limit: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(settings, async ({ keys, prefix, delimiter, limit }) => {
        const fresh = memoryEngine();
        for (const key of keys) await fresh.put({ key });
        const { app: paged } = testApp(fresh);
        const seen: string[] = [];
        let path: string | undefined =
          `/kv/?prefix=${percentEncode(prefix)}&delimiter=${percentEncode(delimiter)}&limit=${limit}`;
        while (path !== undefined) {
          const page = (await (await paged.request(path)).json()) as Page;
          const items = itemsOf(page);
          expect(items.length).toBeLessThanOrEqual(limit);
          // Only the last page may be short.
          expect(page.next === undefined || items.length === limit).toBe(true);
          seen.push(...items);
          path = page.next;
        }
        expect(seen.toSorted()).toEqual(expectedItems(keys, prefix, delimiter));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["limit=0", "?limit: not a number from 1 to 1000"],
    ["limit=1001", "?limit: not a number from 1 to 1000"],
    ["limit=x", "?limit: not a number from 1 to 1000"],
    ["rev=-1", "?rev: not a number from 0 to 9007199254740991"],
    ["consistency=strong", "?consistency: not linearizable, lease or eventual"],
    ["consistency=%FF", "?consistency: not UTF-8"],
    ["prefix=%4", "?prefix: a % is not followed by two hex digits"],
    ["limit=1&limit=2", "?limit: given twice"],
    [
      "sort=1",
      '?"sort": one of prefix, delimiter, after, limit, keys, rev, consistency, min_revision was expected',
    ],
  ])("refuses ?%s", async (query, detail) => {
    expect(await complaint(app.request(`/kv/?${query}`))).toBe(`400 invalidArgument ${detail}`);
  });
});

/** The items of a page as hex, `/` behind those that are prefixes. */
function itemsOf({ kvs, prefixes = [], prefixes_base64 = [] }: Page): string[] {
  const hex = (text: unknown, encoding: "utf8" | "base64") =>
    Buffer.from(text as string, encoding).toString("hex");
  return [
    ...kvs.map((kv) => ("key" in kv ? hex(kv["key"], "utf8") : hex(kv["key_base64"], "base64"))),
    ...prefixes.map((prefix) => `${hex(prefix, "utf8")}/`),
    ...prefixes_base64.map((prefix) => `${hex(prefix, "base64")}/`),
  ];
}

/** The same, worked out the obvious way: on hex strings, two digits a byte. */
function expectedItems(keys: readonly Uint8Array[], prefix: Uint8Array, delimiter: Uint8Array): string[] {
  const items = new Set<string>();
  for (const key of keys) {
    const buffer = Buffer.from(key);
    if (!buffer.subarray(0, prefix.length).equals(prefix)) continue;
    const at = delimiter.length === 0 ? -1 : buffer.indexOf(delimiter, prefix.length);
    items.add(
      at === -1 ? buffer.toString("hex") : `${buffer.subarray(0, at + delimiter.length).toString("hex")}/`,
    );
  }
  return [...items].toSorted();
}
