// R2 by its S3 API, as Cloudflare's local runtime has it.

import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll } from "vitest";
import { s3ObjectStore } from "../../src/adapters/s3/index.ts";
import { storageConformance } from "../adapters/conformance.ts";
import {
  type LocalR2,
  R2_BUCKET,
  R2_CREDENTIALS,
  startLocalR2,
} from "../adapters/object-store/miniflare-r2.ts";
import { objectStorageSite } from "../adapters/object-store/storage-site.ts";

let r2: LocalR2;
let client: S3Client;
beforeAll(async () => {
  r2 = await startLocalR2();
  const credentials = R2_CREDENTIALS;
  client = new S3Client({ endpoint: r2.endpoint, region: "auto", forcePathStyle: true, credentials });
});
afterAll(async () => {
  client.destroy();
  await r2.stop();
});

storageConformance("R2 by its S3 API", {
  site: () => objectStorageSite((prefix) => s3ObjectStore({ bucket: R2_BUCKET, prefix, client })),
  histories: 20,
});
