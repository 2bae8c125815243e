import type { ObjectStore, ObjectVersion } from "./object-store.ts";
import { MANIFEST_NAME } from "./segment-log.ts";

/** What changes whenever the log is taken over, and seldom else; null: there is no log. One small read. */
export async function ownershipMark(store: ObjectStore): Promise<ObjectVersion | null> {
  return (await store.get(MANIFEST_NAME))?.version ?? null;
}
