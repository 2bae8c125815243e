import { EngineError } from "../../core/errors/index.ts";
import type { Logger, SnapshotInfo, SnapshotStore, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import { createObject } from "./journal/create-object.ts";
import type { Patience } from "./journal/patience.ts";
import type { ObjectStore } from "./object-store.ts";
import {
  CHUNKS,
  chunkName,
  decodeDescription,
  descriptionName,
  DESCRIPTIONS,
  encodeDescription,
  MAX_CHUNK_BYTES,
  parseDescriptionName,
  positionName,
  type SnapshotDescription,
} from "./snapshot-object.ts";
import { readChunks } from "./snapshot-reader.ts";
import { readShared, sharedName } from "./shared-snapshot.ts";
import { ObjectSnapshotWriter } from "./snapshot-writer.ts";

/** How often the snapshots are listed because one of them has gone meanwhile. */
const MAX_ATTEMPTS = 8;

export interface ObjectSnapshotOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
  readonly logger: Logger;
  /** Rejects when another process has taken over the node's log: asked before snapshots become visible or are dropped. */
  readonly confirm: () => Promise<void>;
}

interface Stored {
  readonly name: string;
  readonly description: SnapshotDescription;
}

/**
 * Snapshots as objects. They need no fence of their own, since a snapshot of a position is the same whoever took it;
 * what a replaced owner should still not do is in the way of its successor, and `confirm` sees to that.
 */
export class ObjectSnapshotStore implements SnapshotStore {
  readonly #options: ObjectSnapshotOptions;
  /** Descriptions never change. */
  #known: ReadonlyMap<string, SnapshotDescription> = new Map();
  readonly #writers: Map<ObjectSnapshotWriter, string> = new Map();
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: ObjectSnapshotOptions) {
    this.#options = options;
  }

  async list(): Promise<SnapshotInfo[]> {
    return (await this.#stored()).map(({ description }) => description.info);
  }

  async create(meta: SnapshotMeta, context: Uint8Array): Promise<SnapshotWriter> {
    this.#refuseIfClosed();
    const { store, patience, confirm } = this.#options;
    const position = positionName(meta);
    const present = new Set(await this.#names(`${CHUNKS}${position}/`));
    const writer: ObjectSnapshotWriter = new ObjectSnapshotWriter({
      store,
      patience,
      meta,
      context: context.slice(),
      chunkBytes: Math.min(MAX_CHUNK_BYTES, store.maxObjectBytes),
      present,
      confirm,
      publish: (description) => this.#publish(description),
      onFinish: () => this.#writers.delete(writer),
    });
    this.#writers.set(writer, position);
    return writer;
  }

  async *read(info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array, void, undefined> {
    const { description } = await this.#find(info);
    yield* readChunks(this.#options.store, this.#options.patience, description, offset);
  }

  async drop(info: SnapshotInfo): Promise<void> {
    const stored = (await this.#stored()).find(({ description }) => isSame(description.info, info));
    if (stored === undefined) return;
    await this.#options.confirm();
    const { store, patience } = this.#options;
    // The description first: what has one is whole.
    await patience.ask(() => store.delete([stored.name]));
    const { meta } = info;
    if (!(await this.#useless())(positionName(meta))) return;
    const names = stored.description.hashes.map((hash, number) => chunkName(meta, number, hash));
    await patience.ask(() => store.delete(names));
  }

  async nameOf(info: SnapshotInfo): Promise<string> {
    const { name, description } = await this.#find(info);
    return await sharedName(this.#options.store, name, description);
  }

  readShared(name: string, info: SnapshotInfo, offset: number): AsyncIterable<Uint8Array> {
    return readShared(this.#options, name, info, offset);
  }

  /** Abandons unfinished writes. */
  async close(): Promise<void> {
    this.#closed = true;
    const writers = [...this.#writers.keys()];
    for (const writer of writers) writer.abandon();
    await Promise.all(writers.map((writer) => writer.settled()));
    await this.#sweeping;
  }

  async #find(info: SnapshotInfo): Promise<Stored> {
    const found = (await this.#stored()).find(({ description }) => isSame(description.info, info));
    if (found !== undefined) return found;
    const detail = `${this.#options.store.location}: there is no snapshot at ${info.meta.index}, or another by now`;
    throw new EngineError("storageFailed", { detail });
  }

  /** Newest first; of several at one position the last. */
  async #stored(): Promise<Stored[]> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#readListed();
      if (stored !== null) return stored;
      if (attempt === MAX_ATTEMPTS) {
        const detail = `${this.#options.store.location}: its snapshots change each time they are listed`;
        throw new EngineError("storageUnavailable", { detail });
      }
    }
  }

  /** Null: one of them has gone since it was listed, and another may have come in its place. */
  async #readListed(): Promise<Stored[] | null> {
    this.#refuseIfClosed();
    const { store, patience } = this.#options;
    const last = new Map<string, string>();
    // In the order of their names, hence of their counts.
    for (const name of await this.#names(DESCRIPTIONS)) {
      const parsed = parseDescriptionName(name);
      if (parsed !== null) last.set(parsed.position, name);
    }
    const stored: Stored[] = [];
    for (const name of [...last.values()].reverse()) {
      const known = this.#known.get(name);
      if (known !== undefined) {
        stored.push({ name, description: known });
        continue;
      }
      const found = await patience.ask(() => store.get(name));
      if (found === null) return null;
      stored.push({ name, description: decodeDescription(found.body, `${store.location}: ${name}`) });
    }
    this.#known = new Map(stored.map(({ name, description }) => [name, description]));
    return stored;
  }

  async #names(prefix: string): Promise<string[]> {
    const { store, patience } = this.#options;
    const names: string[] = [];
    for (;;) {
      const last = names.at(-1);
      const startAfter = last === undefined ? {} : { startAfter: last };
      const page = await patience.ask(() => store.list(prefix, startAfter));
      for (const { name } of page.objects) names.push(name);
      if (!page.more || page.objects.length === 0) return names;
    }
  }

  async #publish(description: SnapshotDescription): Promise<void> {
    const { store, patience, confirm } = this.#options;
    await confirm();
    this.#refuseIfClosed();
    const { meta } = description.info;
    const body = encodeDescription(description);
    if (body.length > store.maxObjectBytes) {
      throw new EngineError("storageFailed", {
        detail: `${store.location}: a snapshot of ${description.info.size} bytes has too many chunks for this store`,
      });
    }
    const older = await this.#names(`${DESCRIPTIONS}${positionName(meta)}-`);
    let count = 1 + (parseDescriptionName(older.at(-1) ?? "")?.count ?? 0);
    for (;;) {
      const occupant = await createObject(store, patience, descriptionName(meta, count), body);
      if (occupant.type === "mine") break;
      count++;
    }
    if (older.length > 0) await patience.ask(() => store.delete(older));
    this.#sweeping = this.#sweeping
      .then(() => this.#sweep())
      .catch((error: unknown) => {
        this.#options.logger.log(
          "warn",
          "remains of snapshots were not deleted; the next snapshot tries again",
          {
            location: store.location,
            error: String(error),
          },
        );
      });
  }

  /** Deletes chunks that belong to no snapshot: of uploads that broke off. */
  async #sweep(): Promise<void> {
    const useless = await this.#useless();
    if (this.#closed) return;
    const remains = (await this.#names(CHUNKS)).filter((name) =>
      useless(name.slice(CHUNKS.length, name.indexOf("/", CHUNKS.length))),
    );
    if (remains.length > 0) await this.#options.store.delete(remains);
  }

  /**
   * At which positions chunks may be deleted: before the newest snapshot's, where there is none. Not behind it: there
   * this process's successor may be uploading the very same, and count on what it finds; or this one may itself, before
   * a deletion comes that was long under way. Before it nobody begins an upload any more.
   */
  async #useless(): Promise<(position: string) => boolean> {
    const described = (await this.#names(DESCRIPTIONS)).flatMap((name) => parseDescriptionName(name) ?? []);
    const newest = described.at(-1)?.position ?? "";
    const kept = new Set([...described.map(({ position }) => position), ...this.#writers.values()]);
    return (position) => position < newest && !kept.has(position);
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return;
    throw new EngineError("storageFailed", { detail: `${this.#options.store.location} has been closed` });
  }
}

function isSame(a: SnapshotInfo, b: SnapshotInfo): boolean {
  return (
    a.meta.index === b.meta.index &&
    a.meta.term === b.meta.term &&
    a.size === b.size &&
    a.checksum === b.checksum
  );
}
