// The storage suite through the real SDKs, to servers that fail now and then: replies are lost before and after the
// deed, or break off, and stores are busy or broken.

import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe } from "vitest";
import { gcsObjectStore } from "../../../src/adapters/gcs/index.ts";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { s3ObjectStore } from "../../../src/adapters/s3/index.ts";
import { Seeded } from "../../blackbox/support/random.ts";
import { storageConformance } from "../conformance.ts";
import { GCS_DOUBLE_BUCKET, gcsError, startGcsDouble } from "./gcs-double.ts";
import type { DoubleReply, Fault, ProtocolDouble } from "./protocol-double.ts";
import { S3_DOUBLE_BUCKET, s3Error, startS3Double } from "./s3-double.ts";
import { objectStorageSite } from "./storage-site.ts";

/** Of all requests. */
const FAULTY = 0.04;
const SEED = 20;

interface Double {
  readonly name: string;
  readonly start: () => Promise<ProtocolDouble>;
  readonly open: (endpoint: string, prefix: string) => Promise<ObjectStore>;
  readonly busy: DoubleReply;
  readonly broken: DoubleReply;
}

const DOUBLES: readonly Double[] = [
  {
    name: "S3",
    start: () => startS3Double(),
    open: (endpoint, prefix) => {
      const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
      const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
      return s3ObjectStore({ bucket: S3_DOUBLE_BUCKET, prefix, client });
    },
    busy: s3Error(409, "ConditionalRequestConflict", "A conflicting conditional operation is under way"),
    broken: s3Error(500, "InternalError", "We encountered an internal error."),
  },
  {
    name: "GCS",
    start: () => startGcsDouble(),
    open: (endpoint, prefix) => gcsObjectStore({ bucket: GCS_DOUBLE_BUCKET, prefix, endpoint }),
    busy: gcsError(429, "rateLimitExceeded", "The object exceeded the rate limit"),
    broken: gcsError(500, "backendError", "Backend Error"),
  },
];

describe.each(DOUBLES)("$name that fails now and then", ({ name, start, open, busy, broken }) => {
  const faults: readonly Fault[] = [
    { type: "drop", done: false },
    { type: "drop", done: true },
    { type: "reply", reply: busy },
    { type: "reply", reply: broken },
    { type: "reply", reply: broken, done: true },
    { type: "cut" },
  ];
  const random = new Seeded(SEED);
  let double: ProtocolDouble;
  beforeAll(async () => {
    double = await start();
    double.fault = () => (random.chance(FAULTY) ? random.pick(faults) : null);
  });
  afterAll(() => double.stop());

  storageConformance(`${name} that fails now and then`, {
    site: () => objectStorageSite((prefix) => open(double.endpoint, prefix)),
    histories: 5,
  });
});
