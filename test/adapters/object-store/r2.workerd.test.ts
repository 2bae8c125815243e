// The dialect where it is used: in workerd, on a binding.

import { env } from "cloudflare:workers";
import { r2ObjectStore } from "../../../src/adapters/r2/index.ts";
import { objectStoreConformance } from "./port-conformance.ts";

objectStoreConformance("R2 by its binding", {
  site: () => ({ open: async (prefix) => r2ObjectStore({ bucket: env.BUCKET, name: "engine", prefix }) }),
});
