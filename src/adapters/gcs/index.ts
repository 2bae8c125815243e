export { gcsObjectStore } from "./gcs-object-store.ts";
export type { GcsClientLike, GcsObjectStoreOptions } from "./options.ts";
