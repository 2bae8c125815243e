import { EngineError } from "../../core/errors/index.ts";
import type { ListingPage, ObjectListing } from "./object-store.ts";

/** A page as a store gives it. */
export interface StorePage {
  readonly objects: readonly ObjectListing[];
  /** What to ask the store for the next page with; null on the last one. */
  readonly next: string | null;
}

/** A store that has nothing to say so often has no end of it. */
const MAX_EMPTY_PAGES = 1000;

/**
 * The first page that has something on it, or the last one. A store may give an empty page although more follow: GCS
 * says so, and where much was deleted others do it too. Taken for the end, it would hide a snapshot, or a whole log.
 */
export async function firstPage(
  location: string,
  fetch: (token: string | null) => Promise<StorePage>,
): Promise<ListingPage> {
  let token: string | null = null;
  for (let pages = 0; pages < MAX_EMPTY_PAGES; pages++) {
    const { objects, next }: StorePage = await fetch(token);
    if (objects.length > 0 || next === null) return { objects, more: next !== null };
    token = next;
  }
  throw new EngineError("storageUnavailable", {
    detail: `${location}: a listing of nothing but empty pages`,
  });
}
