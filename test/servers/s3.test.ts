// Against an S3 server from the PATH: versitygw, or what S3_SERVER names.

import type { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll } from "vitest";
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
