import type { ObjectStore } from "../../src/adapters/object-store/index.ts";

/** Requests and bytes, as stores bill them. */
export interface Counts {
  readonly puts: number;
  readonly gets: number;
  readonly lists: number;
  /** Objects deleted; S3, GCS and R2 do it for nothing. */
  readonly deletes: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
  /** DynamoDB's units of what was written and deleted: each item rounded up to 1 KB. */
  readonly writeUnits: number;
  /** Of strongly consistent reads: 4 KB. */
  readonly readUnits: number;
}

type Tally = { -readonly [count in keyof Counts]: number };

const NOTHING: Counts = {
  puts: 0,
  gets: 0,
  lists: 0,
  deletes: 0,
  bytesWritten: 0,
  bytesRead: 0,
  writeUnits: 0,
  readUnits: 0,
};
/** Names and numbers of an item besides its body. */
const ITEM_OVERHEAD_BYTES = 150;

/** A store that counts what is asked of it, not what its SDK repeats. */
export class CountingStore implements ObjectStore {
  readonly maxObjectBytes: number;
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #sizes: Map<string, number> = new Map();
  #tally: Tally = { ...NOTHING };

  constructor(store: ObjectStore) {
    this.#store = store;
    this.maxObjectBytes = store.maxObjectBytes;
    this.location = store.location;
  }

  /** What was counted since it was last asked. */
  take(): Counts {
    const counts = this.#tally;
    this.#tally = { ...NOTHING };
    return counts;
  }

  async get(...[name, options]: Parameters<ObjectStore["get"]>): ReturnType<ObjectStore["get"]> {
    const found = await this.#store.get(name, options);
    const bytes = found?.body.length ?? 0;
    this.#tally.gets++;
    this.#tally.bytesRead += bytes;
    this.#tally.readUnits += Math.ceil((bytes + ITEM_OVERHEAD_BYTES) / 4096);
    return found;
  }

  putIfAbsent(
    ...[name, body, options]: Parameters<ObjectStore["putIfAbsent"]>
  ): ReturnType<ObjectStore["putIfAbsent"]> {
    this.#countPut(name, body);
    return this.#store.putIfAbsent(name, body, options);
  }

  putIfMatch(
    ...[name, body, version, options]: Parameters<ObjectStore["putIfMatch"]>
  ): ReturnType<ObjectStore["putIfMatch"]> {
    this.#countPut(name, body);
    return this.#store.putIfMatch(name, body, version, options);
  }

  list(...args: Parameters<ObjectStore["list"]>): ReturnType<ObjectStore["list"]> {
    this.#tally.lists++;
    this.#tally.readUnits++;
    return this.#store.list(...args);
  }

  delete(...[names, options]: Parameters<ObjectStore["delete"]>): Promise<void> {
    for (const name of names) {
      this.#tally.deletes++;
      this.#tally.writeUnits += unitsOf(this.#sizes.get(name) ?? 0);
      this.#sizes.delete(name);
    }
    return this.#store.delete(names, options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #countPut(name: string, body: Uint8Array): void {
    this.#tally.puts++;
    this.#tally.bytesWritten += body.length;
    this.#tally.writeUnits += unitsOf(body.length);
    this.#sizes.set(name, body.length);
  }
}

function unitsOf(bytes: number): number {
  return Math.ceil((bytes + ITEM_OVERHEAD_BYTES) / 1024);
}
