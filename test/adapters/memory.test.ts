import { MemoryStorage } from "../../src/adapters/memory/index.ts";
import { storageConformance } from "./conformance.ts";

storageConformance("memory", {
  site: async () => {
    const storage = new MemoryStorage();
    return { open: async () => storage.reopen(), remove: async () => {} };
  },
  histories: 300,
});
