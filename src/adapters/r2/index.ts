export { r2ObjectStore } from "./r2-object-store.ts";
export type { R2BucketLike, R2ObjectStoreOptions } from "./options.ts";
