export type { StorePage } from "./first-page.ts";
export { KeyedObjectStore } from "./keyed-object-store.ts";
export type { KeyDialect, KeyPage } from "./keyed-object-store.ts";
export { checkBody, keyOf, keyPrefix, prefixBeside, readBody } from "./object-names.ts";
export type {
  ListingPage,
  ListOptions,
  ObjectCallOptions,
  ObjectListing,
  ObjectReader,
  ObjectStore,
  ObjectVersion,
  PutOutcome,
  StoredObject,
} from "./object-store.ts";
export { inParallel, messageOf, ObjectRequests } from "./requests.ts";
export type { ObjectRequestsOptions, RequestFailure } from "./requests.ts";
export { ownershipMark } from "./ownership-mark.ts";
export { openObjectStorage } from "./object-storage.ts";
export type { ObjectStorage, ObjectStorageOptions } from "./object-storage.ts";
export { openSharedSnapshot } from "./snapshot-reader.ts";
export type { SharedSnapshot } from "./snapshot-reader.ts";
export { openStoredLog } from "./stored-log.ts";
export type { StoredLogOptions } from "./stored-log.ts";
