export type {
  ObjectCallOptions,
  ObjectListing,
  ObjectStore,
  ObjectVersion,
  PutOutcome,
  StoredObject,
} from "./object-store.ts";
