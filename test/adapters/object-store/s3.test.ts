import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { s3ObjectStore } from "../../../src/adapters/s3/index.ts";
import { rejection } from "../storage-helpers.ts";
import { objectStoreFaultConformance } from "./fault-conformance.ts";
import { type LocalR2, R2_BUCKET, R2_CREDENTIALS, startLocalR2 } from "./miniflare-r2.ts";
import { objectStoreConformance } from "./port-conformance.ts";
import type { ProtocolDouble } from "./protocol-double.ts";
import { S3_DOUBLE_BUCKET, s3Error, startS3Double } from "./s3-double.ts";

const bucket = S3_DOUBLE_BUCKET;
const credentials = R2_CREDENTIALS;

/** One that would repeat whatever it may. */
function eagerClient(endpoint: string): S3Client {
  return new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials, maxAttempts: 10 });
}

describe("R2", () => {
  let r2: LocalR2;
  let client: S3Client;
  beforeAll(async () => {
    r2 = await startLocalR2();
    client = eagerClient(r2.endpoint);
  });
  afterAll(async () => {
    client.destroy();
    await r2.stop();
  });

  objectStoreConformance("R2 by its S3 API", {
    site: () => ({ open: (prefix) => s3ObjectStore({ bucket: R2_BUCKET, prefix, client }) }),
  });
});

describe("double", () => {
  let double: ProtocolDouble;
  let client: S3Client;
  beforeAll(async () => {
    double = await startS3Double();
    client = eagerClient(double.endpoint);
  });
  afterAll(async () => {
    client.destroy();
    await double.stop();
  });

  objectStoreConformance("a double of S3", {
    site: () => ({ open: (prefix) => s3ObjectStore({ bucket, prefix, client }) }),
  });

  it("does not take an empty page for the end of a listing", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "pages", client });
    await store.putIfAbsent("a", new Uint8Array(1));
    const tokens: (string | null)[] = [];
    const empty =
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>on</NextContinuationToken></ListBucketResult>";
    const headers = { "content-type": "application/xml" };
    double.fault = ({ url }) =>
      tokens.push(url.searchParams.get("continuation-token")) > 1
        ? null
        : { type: "reply", reply: { status: 200, headers, body: empty } };
    onTestFinished(() => void (double.fault = () => null));
    expect(await store.list("")).toEqual({ objects: [{ name: "a", size: 1 }], more: false });
    expect(tokens).toEqual([null, "on"]);
  });

  it("deletes one by one where a server cannot delete many at once", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "one-by-one", client });
    for (const name of ["a", "b", "c"]) await store.putIfAbsent(name, new Uint8Array(1));
    double.fault = ({ method }) =>
      method === "POST"
        ? { type: "reply", reply: s3Error(400, "MissingContentMD5", "Missing Content-MD5") }
        : null;
    onTestFinished(() => void (double.fault = () => null));
    await store.delete(["a", "b"]);
    expect((await store.list("")).objects).toEqual([{ name: "c", size: 1 }]);
    double.requests = 0;
    await store.delete(["c"]);
    expect(double.requests).toBe(1);
  });

  it("says which object could not be deleted", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "locked", client });
    const body =
      "<DeleteResult><Error><Key>locked/a</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>";
    double.failNext({
      type: "reply",
      reply: { status: 200, headers: { "content-type": "application/xml" }, body },
    });
    await expect(store.delete(["a"])).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(/s3:DeleteObject/),
    });
  });

  it("goes by the server's clock when its own is wrong", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "clock", client: eagerClient(double.endpoint) });
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    const skewed = s3Error(403, "RequestTimeTooSkewed", "The difference is too large");
    double.failNext({ type: "reply", reply: { ...skewed, headers: { ...skewed.headers, date } } });
    expect((await store.putIfAbsent("a", new Uint8Array(1))).type).toBe("written");
  });

  it("says what a server lacks", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "old", client });
    const reply = s3Error(
      501,
      "NotImplemented",
      "A header you provided implies functionality that is not there",
    );
    double.failNext({ type: "reply", reply });
    await expect(store.putIfAbsent("a", new Uint8Array(1))).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(/conditional writes/),
    });
  });

  it("names the region that a bucket is in", async () => {
    const store = await s3ObjectStore({ bucket, prefix: "region", client });
    const moved = s3Error(301, "PermanentRedirect", "The bucket must be addressed elsewhere");
    const headers = { ...moved.headers, "x-amz-bucket-region": "eu-west-1" };
    double.failNext({ type: "reply", reply: { ...moved, headers } });
    await expect(store.get("a")).rejects.toMatchObject({
      detail: expect.stringMatching(/the region eu-west-1/),
    });
  });
});

describe("a server at an endpoint", () => {
  beforeEach(() => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "key");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  });
  afterEach(() => void vi.unstubAllEnvs());

  async function open(ignored?: "if-match" | "if-none-match"): Promise<[ObjectStore, ProtocolDouble]> {
    const double = await startS3Double(ignored);
    const store = await s3ObjectStore({ bucket, prefix: "a", endpoint: double.endpoint });
    onTestFinished(async () => {
      await store.close();
      await double.stop();
    });
    return [store, double];
  }

  it("is asked once whether it heeds conditions, before the first put", async () => {
    const [store, double] = await open();
    expect(await store.get("a")).toBeNull();
    expect(double.requests).toBe(1);
    const puts = ["a", "b", "a"].map((name) => store.putIfAbsent(name, new Uint8Array(1)));
    expect((await Promise.all(puts)).map(({ type }) => type).toSorted()).toEqual([
      "refused",
      "written",
      "written",
    ]);
    expect(double.requests).toBe(1 + 4 + 3);
    expect((await store.list("")).objects.map(({ name }) => name)).toEqual(["a", "b"]);
  });

  it.each(["if-match", "if-none-match"] as const)("is refused when it ignores %s", async (header) => {
    const [store] = await open(header);
    for (let i = 0; i < 2; i++) {
      await expect(store.putIfAbsent("a", new Uint8Array(1))).rejects.toMatchObject({
        code: "storageFailed",
        detail: expect.stringMatching(new RegExp(`ignores ${header}`, "i")),
      });
    }
    expect((await store.list("")).objects).toEqual([]);
  });

  it("is asked again when no answer came", async () => {
    const [store, double] = await open();
    double.failNext({ type: "drop", done: true });
    expect((await store.putIfAbsent("a", new Uint8Array(1))).type).toBe("unknown");
    expect(await store.get("a")).toBeNull();
    expect((await store.putIfAbsent("a", new Uint8Array(1))).type).toBe("written");
  });
});

const unavailable = s3Error(503, "ServiceUnavailable", "Please try again");

objectStoreFaultConformance("S3", {
  start: () => startS3Double(),
  open: (endpoint, timeoutMs) =>
    s3ObjectStore({ bucket, prefix: "faulty", client: eagerClient(endpoint), timeoutMs }),
  replies: {
    busy: [
      s3Error(503, "SlowDown", "Please reduce your request rate."),
      s3Error(409, "ConditionalRequestConflict", "A conflicting conditional operation is under way"),
      s3Error(409, "OperationAborted", "A conflicting operation is under way"),
      s3Error(429, "TooManyRequests", "Reduce your rate"),
    ],
    broken: [
      s3Error(500, "InternalError", "We encountered an internal error."),
      unavailable,
      { status: 502 },
    ],
    withoutVersion: { status: 200 },
    refused: [
      [s3Error(404, "NoSuchBucket", "The specified bucket does not exist"), /no bucket engine.*create it/],
      [s3Error(404, "NoSuchUser", "There is no such user"), /no such user/],
      [s3Error(403, "AccessDenied", "Access Denied"), /s3:ListBucket.*s3:PutObject.*engine\/faulty\/\*/],
      [
        s3Error(403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
        /archive.*faulty/,
      ],
      [s3Error(403, "InvalidAccessKeyId", "The key does not exist"), /credentials are not valid/],
      [s3Error(400, "ExpiredToken", "The provided token has expired."), /renew/],
      [s3Error(403, "RequestTimeTooSkewed", "The difference is too large"), /clock/],
      [
        s3Error(400, "AuthorizationHeaderMalformed", "the region is wrong", "<Region>eu-central-1</Region>"),
        /the region eu-central-1/,
      ],
      [s3Error(400, "InvalidRequest", "Something else"), /Something else/],
    ],
  },
  huge: (bytes) => ({ status: 200, headers: { etag: '"1"', "content-length": String(bytes) }, body: "x" }),
});

describe("S3's options", () => {
  it("refuses what cannot be right", async () => {
    for (const options of [
      { bucket: "" },
      { bucket: "a/b" },
      { bucket: "shelf--use1-az4--x-s3" },
      { bucket, prefix: "a//b" },
      { bucket, prefix: "a/../b" },
      { bucket, prefix: "ü" },
      { bucket, prefix: "x".repeat(801) },
      { bucket, endpoint: "localhost:9000" },
      { bucket, timeoutMs: 0 },
      { bucket, timeoutMs: Number.NaN },
    ]) {
      expect(await rejection(s3ObjectStore(options))).toBe("invalidConfig");
    }
  });

  it("takes a prefix with slashes around it for the same", async () => {
    for (const [prefix, location] of [
      ["", "s3://engine/"],
      ["/", "s3://engine/"],
      ["/a/b/", "s3://engine/a/b/"],
    ] as const) {
      const store = await s3ObjectStore({ bucket, prefix, region: "us-east-1" });
      expect(store.location).toBe(location);
      await store.close();
    }
  });

  it("says what to do without credentials, and without a region", async () => {
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"]) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
    onTestFinished(() => void vi.unstubAllEnvs());
    const asked = async (options: { readonly region?: string }): Promise<string> => {
      const store = await s3ObjectStore({ bucket, ...options });
      const error = await store.putIfAbsent("a", new Uint8Array(1)).catch((thrown: unknown) => thrown);
      await store.close();
      return (error as Error).message;
    };
    expect(await asked({ region: "us-east-1" })).toMatch(/no credentials were found: set AWS_ACCESS_KEY_ID/);
    expect(await asked({})).toMatch(/set the region/);
  });
});
