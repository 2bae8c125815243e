// Against an S3 server from the PATH: versitygw, or what S3_SERVER names.

import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ObjectStore } from "../../src/adapters/object-store/index.ts";
import { s3ObjectStore } from "../../src/adapters/s3/index.ts";
import { storageConformance } from "../adapters/conformance.ts";
import { objectStoreConformance } from "../adapters/object-store/port-conformance.ts";
import { objectStorageSite } from "../adapters/object-store/storage-site.ts";
import {
  createS3Bucket,
  localS3Client,
  MINIO,
  type ObjectServer,
  S3_CREDENTIALS,
  startObjectServer,
  VERSITYGW,
} from "./object-servers.ts";

const program = process.env["S3_SERVER"] === MINIO.name ? MINIO : VERSITYGW;
const bucket = "engine";
let server: ObjectServer;
let client: S3Client;
beforeAll(async () => {
  server = await startObjectServer(program);
  client = localS3Client(server.endpoint);
  await createS3Bucket(client, bucket);
});
afterAll(async () => {
  client.destroy();
  await server.stop();
});

const open = (prefix: string): Promise<ObjectStore> => s3ObjectStore({ bucket, prefix, client });

objectStoreConformance(program.name, { site: () => ({ open }) });
storageConformance(`S3 on ${program.name}`, { site: () => objectStorageSite(open), histories: 20 });

describe(`refusals of ${program.name}`, () => {
  const strangers: readonly (readonly [string, object, string, RegExp])[] = [
    ["a bucket that is not there", {}, "elsewhere", /no bucket elsewhere.*create it/],
    [
      "an unknown key",
      { accessKeyId: "nobody" },
      bucket,
      /credentials are not valid|NoSuchUser|user.*exist/i,
    ],
    ["a wrong secret", { secretAccessKey: "wrong-secret" }, bucket, /credentials are not valid/],
  ];

  it.each(strangers)("names the fix for %s", async (_, credentials, where, fix) => {
    const stranger = new S3Client({
      endpoint: server.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { ...S3_CREDENTIALS, ...credentials },
    });
    onTestFinished(() => stranger.destroy());
    const store = await s3ObjectStore({ bucket: where, prefix: "refused", client: stranger });
    const asked = [
      () => store.get("a"),
      () => store.list(""),
      () => store.delete(["a"]),
      () => store.putIfAbsent("a", new Uint8Array(1)),
    ];
    for (const ask of asked) {
      await expect(ask()).rejects.toMatchObject({
        code: "storageFailed",
        detail: expect.stringMatching(fix),
      });
    }
    const own = await s3ObjectStore({ bucket, prefix: "refused", client });
    expect(await own.list("")).toEqual({ objects: [], more: false });
  });

  it("names the region that is wrong", async () => {
    const lost = new S3Client({
      endpoint: server.endpoint,
      region: "eu-north-1",
      forcePathStyle: true,
      credentials: S3_CREDENTIALS,
    });
    onTestFinished(() => lost.destroy());
    const store = await s3ObjectStore({ bucket, prefix: "refused", client: lost });
    await expect(store.putIfAbsent("a", new Uint8Array(1))).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(/set the region/),
    });
  });
});
