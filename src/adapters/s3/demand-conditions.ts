import { EngineError } from "../../core/errors/index.ts";
import type { ObjectCallOptions, ObjectStore, PutOutcome } from "../object-store/index.ts";

/** No object written here has this ETag, which is no MD5 of anything known. */
const NO_ETAG = '"00000000000000000000000000000000"';

/**
 * The same store, which before its first put finds out whether the server heeds the conditions of puts: there are
 * servers that take the headers and overwrite all the same, and then two owners would acknowledge at once. Puts are
 * refused then (`storageFailed`).
 */
export function demandConditions(store: ObjectStore): ObjectStore {
  let finding: Promise<PutOutcome | null> | null = null;
  const afterwards = async (
    options: ObjectCallOptions | undefined,
    put: () => Promise<PutOutcome>,
  ): Promise<PutOutcome> => {
    // Given up with the put that asked first.
    finding ??= probe(store, options);
    // What was no answer, and what failed, is tried again by the next put; nothing was sent for this one.
    const inconclusive = await finding.catch((error: unknown) => {
      finding = null;
      throw error;
    });
    if (inconclusive === null) return await put();
    finding = null;
    return inconclusive;
  };
  return {
    maxObjectBytes: store.maxObjectBytes,
    location: store.location,
    get: (...args) => store.get(...args),
    beside: (location) => store.beside?.(location) ?? null,
    list: (...args) => store.list(...args),
    delete: (...args) => store.delete(...args),
    close: () => store.close(),
    putIfAbsent: (name, body, options) => afterwards(options, () => store.putIfAbsent(name, body, options)),
    putIfMatch: (name, body, version, options) =>
      afterwards(options, () => store.putIfMatch(name, body, version, options)),
  };
}

/** Null when the conditions hold; else how the put ended that was to show it. */
async function probe(store: ObjectStore, options: ObjectCallOptions = {}): Promise<PutOutcome | null> {
  const name = `conditions/${crypto.randomUUID()}`;
  const body = new TextEncoder().encode("Does this server heed If-None-Match and If-Match?\n");
  const created = await store.putIfAbsent(name, body, options);
  if (created.type !== "written") return created;
  const again = await store.putIfAbsent(name, body, options);
  const replaced = await store.putIfMatch(name, body, NO_ETAG, options);
  await store.delete([name], options);
  if (again.type === "written") throw ignores(store, "If-None-Match");
  if (replaced.type === "written") throw ignores(store, "If-Match");
  return [again, replaced].find(({ type }) => type === "unknown") ?? null;
}

function ignores({ location }: ObjectStore, header: string): EngineError {
  return new EngineError("storageFailed", {
    detail: `${location}: the server ignores ${header}, and could not keep two owners apart: use one with conditional writes`,
  });
}
