import type { ListingPage } from "../object-store/index.ts";

/** The first `limit` of all shards' objects in order of their names, as far as the pages tell. */
export function mergeShards(pages: readonly ListingPage[], limit: number): ListingPage {
  // Behind the last name of an unfinished page there may be others, so what other pages have there must wait.
  let horizon: string | null = null;
  for (const { objects, more } of pages) {
    const last = objects.at(-1)?.name;
    if (more && last !== undefined && (horizon === null || last < horizon)) horizon = last;
  }
  const all = pages.flatMap(({ objects }) => objects).sort((a, b) => (a.name < b.name ? -1 : 1));
  const known = horizon === null ? all : all.filter(({ name }) => name <= horizon);
  const objects = known.slice(0, limit);
  return { objects, more: objects.length < all.length || pages.some(({ more }) => more) };
}
