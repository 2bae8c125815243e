// Against a fake-gcs-server from the PATH.

import { afterAll, beforeAll } from "vitest";
import { gcsObjectStore } from "../../src/adapters/gcs/index.ts";
import type { ObjectStore } from "../../src/adapters/object-store/index.ts";
import { storageConformance } from "../adapters/conformance.ts";
import { objectStoreConformance } from "../adapters/object-store/port-conformance.ts";
import { objectStorageSite } from "../adapters/object-store/storage-site.ts";
import { createGcsBucket, FAKE_GCS, type ObjectServer, startObjectServer } from "./object-servers.ts";

const bucket = "engine";
let server: ObjectServer;
beforeAll(async () => {
  server = await startObjectServer(FAKE_GCS);
  await createGcsBucket(server.endpoint, bucket);
});
afterAll(() => server.stop());

const open = (prefix: string): Promise<ObjectStore> =>
  gcsObjectStore({ bucket, prefix, endpoint: server.endpoint });

objectStoreConformance(FAKE_GCS.name, { site: () => ({ open }) });
storageConformance(`GCS on ${FAKE_GCS.name}`, { site: () => objectStorageSite(open), histories: 20 });
