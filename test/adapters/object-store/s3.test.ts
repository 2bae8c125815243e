import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll } from "vitest";
import { s3ObjectStore } from "../../../src/adapters/s3/index.ts";
import { type LocalR2, R2_BUCKET, R2_CREDENTIALS, startLocalR2 } from "./miniflare-r2.ts";
import { objectStoreConformance } from "./port-conformance.ts";

let r2: LocalR2;
let client: S3Client;
beforeAll(async () => {
  r2 = await startLocalR2();
  client = new S3Client({
    endpoint: r2.endpoint,
    region: "auto",
    forcePathStyle: true,
    credentials: R2_CREDENTIALS,
  });
});
afterAll(async () => {
  client.destroy();
  await r2.stop();
});

objectStoreConformance("R2 by its S3 API", {
  site: () => ({ open: (prefix) => s3ObjectStore({ bucket: R2_BUCKET, prefix, client }) }),
});
