import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { gcsObjectStore } from "../../../src/adapters/gcs/index.ts";
import { rejection } from "../storage-helpers.ts";
import { objectStoreFaultConformance } from "./fault-conformance.ts";
import { GCS_DOUBLE_BUCKET, gcsError, startGcsDouble } from "./gcs-double.ts";
import { objectStoreConformance } from "./port-conformance.ts";
import type { ProtocolDouble } from "./protocol-double.ts";

const bucket = GCS_DOUBLE_BUCKET;

describe("double", () => {
  let double: ProtocolDouble;
  beforeAll(async () => {
    double = await startGcsDouble();
  });
  afterAll(() => double.stop());

  objectStoreConformance("a double of GCS", {
    site: () => ({ open: (prefix) => gcsObjectStore({ bucket, prefix, endpoint: double.endpoint }) }),
  });

  it("reads again what was damaged on its way", async () => {
    const store = await gcsObjectStore({ bucket, prefix: "damaged", endpoint: double.endpoint });
    await store.putIfAbsent("a", Uint8Array.of(1, 2, 3));
    const headers = {
      "x-goog-generation": "1",
      "x-goog-hash": "crc32c=AAAAAA==,md5=XUFAKrxLKna5cZ2REBfFkg==",
    };
    double.failNext({ type: "reply", reply: { status: 200, headers, body: "hellO" } });
    expect((await store.get("a"))?.body).toEqual(Uint8Array.of(1, 2, 3));
  });

  it("does not take an empty page for the end of a listing", async () => {
    const store = await gcsObjectStore({ bucket, prefix: "pages", endpoint: double.endpoint });
    for (const name of ["a", "b"]) await store.putIfAbsent(name, new Uint8Array(1));
    const tokens: (string | null)[] = [];
    double.fault = ({ url }) => {
      const page = tokens.push(url.searchParams.get("pageToken"));
      // Nothing at all, then nothing but the name that is to be left out, as where much was deleted.
      const body = [
        { nextPageToken: "first" },
        { nextPageToken: "second", items: [{ name: "pages/a", size: "1" }] },
      ][page - 1];
      return body === undefined
        ? null
        : { type: "reply", reply: { status: 200, body: JSON.stringify(body) } };
    };
    onTestFinished(() => void (double.fault = () => null));
    expect(await store.list("", { startAfter: "a" })).toEqual({
      objects: [{ name: "b", size: 1 }],
      more: false,
    });
    expect(tokens).toEqual([null, "first", "second"]);
  });

  it("says that a bucket is missing, however few the words of the server are", async () => {
    const store = await gcsObjectStore({ bucket, prefix: "bucketless", endpoint: double.endpoint });
    for (const ask of [() => store.putIfAbsent("a", new Uint8Array(1)), () => store.list("")]) {
      double.failNext({ type: "reply", reply: gcsError(404, "notFound", "Not Found") });
      await expect(ask()).rejects.toMatchObject({ detail: expect.stringMatching(/no bucket engine/) });
    }
  });

  it("deletes what it may before it says what it may not", async () => {
    const store = await gcsObjectStore({ bucket, prefix: "locked", endpoint: double.endpoint });
    const names = Array.from({ length: 40 }, (_, i) => `object-${i}`);
    for (const name of names) await store.putIfAbsent(name, new Uint8Array(1));
    const locked = gcsError(403, "retentionPolicyNotMet", "Object is subject to a retention policy");
    double.fault = ({ url }) =>
      url.pathname.endsWith("object-20") ? { type: "reply", reply: locked } : null;
    onTestFinished(() => void (double.fault = () => null));
    await expect(store.delete(names)).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(/retention policy/),
    });
    expect((await store.list("")).objects.map(({ name }) => name)).toEqual(["object-20"]);
  });

  it("sends the token that a client has, and says when there is none", async () => {
    const seen: (string | undefined)[] = [];
    double.fault = ({ headers }) => {
      seen.push(headers.authorization);
      return null;
    };
    const open = (
      getRequestHeaders: () => Promise<Record<string, string>>,
    ): ReturnType<typeof gcsObjectStore> =>
      gcsObjectStore({
        bucket,
        storage: { apiEndpoint: double.endpoint, authClient: { getRequestHeaders } },
      });
    const store = await open(async () => ({ Authorization: "Bearer token" }));
    await store.get("a");
    expect(seen).toEqual(["Bearer token"]);
    for (const [message, fix] of [
      ["Could not load the default credentials. Browse to …", /GOOGLE_APPLICATION_CREDENTIALS/],
      [
        "invalid_grant: Invalid JWT: Token must be a short-lived token … check your iat and exp values",
        /clock/,
      ],
      ["invalid_grant: Bad Request", /renew/],
    ] as const) {
      const without = await open(() => Promise.reject(new Error(message)));
      await expect(without.putIfAbsent("a", new Uint8Array(1))).rejects.toMatchObject({
        code: "storageFailed",
        detail: expect.stringMatching(fix),
      });
    }
    expect(seen).toHaveLength(1);
  });
});

objectStoreFaultConformance("GCS", {
  start: startGcsDouble,
  open: (endpoint, timeoutMs) => gcsObjectStore({ bucket, prefix: "faulty", endpoint, timeoutMs }),
  replies: {
    busy: [
      gcsError(429, "rateLimitExceeded", "The object exceeded the rate limit for object mutation operations"),
      gcsError(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
    ],
    broken: [
      gcsError(500, "backendError", "Backend Error"),
      gcsError(503, "backendError", "We encountered an internal error. Please try again."),
      { status: 502, body: "<html>Bad Gateway</html>" },
      gcsError(408, "requestTimeout", "Request timeout"),
    ],
    withoutVersion: { status: 200, body: "{}" },
    refused: [
      [gcsError(404, "notFound", "The specified bucket does not exist."), /no bucket engine.*create it/],
      [
        gcsError(403, "forbidden", "x does not have storage.objects.create access"),
        /roles\/storage.objectUser/,
      ],
      [
        gcsError(
          403,
          "retentionPolicyNotMet",
          "Object 'engine/log-manifest' is subject to bucket's retention policy",
        ),
        /retention policy or hold/,
      ],
      [gcsError(401, "required", "Anonymous caller does not have access"), /credentials/],
      [{ status: 404, body: "<html>404 Not Found</html>" }, /correct the endpoint|no bucket/],
      [gcsError(400, "invalid", "Something else"), /Something else/],
    ],
  },
  huge: (bytes) => ({
    status: 200,
    headers: { "x-goog-generation": "1", "content-length": String(bytes) },
    body: "x",
  }),
});

describe("GCS's options", () => {
  it("refuses what cannot be right", async () => {
    for (const options of [
      { bucket: "" },
      { bucket: "UPPER" },
      { bucket, prefix: "a/./b" },
      { bucket, endpoint: "localhost:9000" },
      { bucket, timeoutMs: -1 },
    ]) {
      expect(await rejection(gcsObjectStore(options))).toBe("invalidConfig");
    }
  });

  it("refuses a version that no object can have", async () => {
    const store = await gcsObjectStore({ bucket, endpoint: "http://127.0.0.1:1" });
    for (const version of ["", "0", "x", "1&ifGenerationMatch=2"]) {
      expect(await rejection(store.putIfMatch("a", new Uint8Array(1), version))).toBe("invalidArgument");
    }
  });
});
