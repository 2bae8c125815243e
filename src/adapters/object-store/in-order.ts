/** Requests under way at the same time, and bytes that they may bring together. */
const MAX_PARALLEL = 64;
const MAX_BYTES = 32 << 20;

/** How many objects may be fetched at the same time when the largest has so many bytes. */
export function parallelFetches(largestBytes: number): number {
  return Math.max(1, Math.min(MAX_PARALLEL, Math.floor(MAX_BYTES / Math.max(1, largestBytes))));
}

/**
 * Fetches with up to `parallel` requests under way, and hands over the results in the order of the items. The first
 * failure ends it; what is under way then is let go of.
 */
export async function inOrder<T, R>(
  items: readonly T[],
  parallel: number,
  fetch: (item: T) => Promise<R>,
  take: (result: R, item: T) => void,
): Promise<void> {
  const underWay: Promise<R>[] = [];
  let begun = 0;
  for (const item of items) {
    while (begun < items.length && underWay.length < parallel) {
      const request = fetch(items[begun++]!);
      // A failure is met when its turn comes, or not at all when an earlier one has ended everything.
      request.catch(() => {});
      underWay.push(request);
    }
    take(await underWay.shift()!, item);
  }
}
