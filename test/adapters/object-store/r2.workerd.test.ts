// The dialect where it is used: in workerd, on a binding.

import { env } from "cloudflare:workers";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { r2ObjectStore } from "../../../src/adapters/r2/index.ts";
import { storageConformance } from "../conformance.ts";
import { objectStoreConformance } from "./port-conformance.ts";
import { objectStorageSite } from "./storage-site.ts";

const open = async (prefix: string): Promise<ObjectStore> =>
  r2ObjectStore({ bucket: env.BUCKET, name: "engine", prefix });

objectStoreConformance("R2 by its binding", { site: () => ({ open }) });
storageConformance("R2 by its binding", { site: () => objectStorageSite(open), histories: 10 });
