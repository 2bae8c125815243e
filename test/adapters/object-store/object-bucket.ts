import type { ObjectStore, PutOutcome, StoredObject } from "../../../src/adapters/object-store/index.ts";

interface Content {
  readonly body: Uint8Array;
  readonly version: string;
}

/** Named objects in memory, with the rules of the port: what stays when every process that uses it is gone. */
export class ObjectBucket {
  readonly #objects: Map<string, Content> = new Map();
  /** The names, in order. */
  #names: string[] = [];
  #versions = 0;

  /** Names in order. */
  names(prefix = ""): string[] {
    return this.#names.filter((name) => name.startsWith(prefix));
  }

  get(name: string): StoredObject | null {
    const found = this.#objects.get(name);
    return found === undefined ? null : { body: found.body.slice(), version: found.version };
  }

  putIfAbsent(name: string, body: Uint8Array): PutOutcome {
    return this.#objects.has(name) ? { type: "refused" } : this.put(name, body);
  }

  putIfMatch(name: string, body: Uint8Array, version: string): PutOutcome {
    return this.#objects.get(name)?.version === version ? this.put(name, body) : { type: "refused" };
  }

  list(prefix: string, startAfter: string, limit: number): Awaited<ReturnType<ObjectStore["list"]>> {
    const objects: { name: string; size: number }[] = [];
    for (let at = this.#after(startAfter > prefix ? startAfter : prefix); at < this.#names.length; at++) {
      const name = this.#names[at]!;
      if (name <= startAfter || !name.startsWith(prefix)) break;
      if (objects.length === limit) return { objects, more: true };
      objects.push({ name, size: this.#objects.get(name)!.body.length });
    }
    return { objects, more: false };
  }

  delete(names: readonly string[]): void {
    for (const name of names) {
      if (this.#objects.delete(name)) this.#names.splice(this.#after(name) - 1, 1);
    }
  }

  /** Whatever is there: what no process of ours does, but a person may. */
  put(name: string, body: Uint8Array): PutOutcome {
    const version = `v${++this.#versions}`;
    if (!this.#objects.has(name)) this.#names.splice(this.#after(name), 0, name);
    this.#objects.set(name, { body: body.slice(), version });
    return { type: "written", version };
  }

  /** Where the names after this one begin. */
  #after(name: string): number {
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#names[middle]! <= name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export interface MemoryObjectStoreOptions {
  readonly maxObjectBytes?: number;
  /** Objects on one page of a listing. */
  readonly pageSize?: number;
}

/** One process's view of a bucket; no faults. */
export function memoryObjectStore(
  bucket: ObjectBucket,
  { maxObjectBytes = 5 << 20, pageSize = 1000 }: MemoryObjectStoreOptions = {},
): ObjectStore {
  const fitting = (body: Uint8Array): Uint8Array => {
    if (body.length > maxObjectBytes) throw new Error(`an object of ${body.length} bytes`);
    return body;
  };
  return {
    maxObjectBytes,
    location: "memory://bucket",
    get: async (name) => bucket.get(name),
    putIfAbsent: async (name, body) => bucket.putIfAbsent(name, fitting(body)),
    putIfMatch: async (name, body, version) => bucket.putIfMatch(name, fitting(body), version),
    list: async (prefix, options = {}) =>
      bucket.list(prefix, options.startAfter ?? "", Math.min(options.limit ?? pageSize, pageSize)),
    delete: async (names) => bucket.delete(names),
    close: async () => {},
  };
}
