// Against a fake-gcs-server from the PATH.

import { afterAll, beforeAll } from "vitest";
import { gcsObjectStore } from "../../src/adapters/gcs/index.ts";
import { objectStoreConformance } from "../adapters/object-store/port-conformance.ts";
import { createGcsBucket, FAKE_GCS, type ObjectServer, startObjectServer } from "./object-servers.ts";

const bucket = "engine";
let server: ObjectServer;
beforeAll(async () => {
  server = await startObjectServer(FAKE_GCS);
  await createGcsBucket(server.endpoint, bucket);
});
afterAll(() => server.stop());

objectStoreConformance(FAKE_GCS.name, {
  site: () => ({ open: (prefix) => gcsObjectStore({ bucket, prefix, endpoint: server.endpoint }) }),
});
