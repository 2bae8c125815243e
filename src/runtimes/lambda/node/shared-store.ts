import type { ObjectStore } from "../../../adapters/object-store/index.ts";

/**
 * One connection for everybody in this process who opens the log, as often as they do: to connect costs more than to
 * ask. Those it is lent to may close it without harm to others; what they had under way then ends by itself.
 */
export class SharedStore {
  readonly #open: () => Promise<ObjectStore>;
  #store: Promise<ObjectStore> | null = null;

  constructor(open: () => Promise<ObjectStore>) {
    this.#open = open;
  }

  async lend(): Promise<ObjectStore> {
    this.#store ??= this.#open().catch((error: unknown) => {
      this.#store = null;
      throw error;
    });
    return lent(await this.#store);
  }

  async close(): Promise<void> {
    await (await this.#store)?.close();
  }
}

function lent(store: ObjectStore): ObjectStore {
  return {
    maxObjectBytes: store.maxObjectBytes,
    location: store.location,
    get: (name, options) => store.get(name, options),
    putIfAbsent: (name, body, options) => store.putIfAbsent(name, body, options),
    putIfMatch: (name, body, version, options) => store.putIfMatch(name, body, version, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (names, options) => store.delete(names, options),
    close: async () => {},
  };
}
