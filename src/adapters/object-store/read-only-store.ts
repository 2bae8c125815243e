import { AssertionError } from "../../core/errors/index.ts";
import type { ListingPage, ListOptions, ObjectStore, PutOutcome, StoredObject } from "./object-store.ts";

/** A store as somebody sees it who only looks: what would change it is a broken invariant. */
export class ReadOnlyStore implements ObjectStore {
  readonly #store: ObjectStore;
  /** Gives up what is asked from now on when it aborts. */
  signal: AbortSignal | undefined;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  get maxObjectBytes(): number {
    return this.#store.maxObjectBytes;
  }

  get location(): string {
    return this.#store.location;
  }

  get(name: string): Promise<StoredObject | null> {
    return this.#store.get(name, this.#options());
  }

  list(prefix: string, options: ListOptions = {}): Promise<ListingPage> {
    return this.#store.list(prefix, { ...options, ...this.#options() });
  }

  putIfAbsent(name: string): Promise<PutOutcome> {
    return refuse(name);
  }

  putIfMatch(name: string): Promise<PutOutcome> {
    return refuse(name);
  }

  delete(names: readonly string[]): Promise<void> {
    return refuse(names.join());
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #options(): { readonly signal?: AbortSignal } {
    return this.signal === undefined ? {} : { signal: this.signal };
  }
}

function refuse(name: string): Promise<never> {
  return Promise.reject(new AssertionError(`a reader does not change ${name}`));
}
