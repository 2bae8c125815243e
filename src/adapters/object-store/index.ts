export { checkBody, keyOf, keyPrefix, readBody } from "./object-names.ts";
export type {
  ObjectCallOptions,
  ObjectListing,
  ObjectStore,
  ObjectVersion,
  PutOutcome,
  StoredObject,
} from "./object-store.ts";
export { inParallel, messageOf, ObjectRequests } from "./requests.ts";
export type { ObjectRequestsOptions, RequestFailure } from "./requests.ts";
