export { s3ObjectStore } from "./s3-object-store.ts";
export type { S3ClientLike, S3ObjectStoreOptions } from "./options.ts";
