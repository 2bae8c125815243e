import { ByteWriter, equalBytes } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { encodeSnapshotMeta } from "../../core/node/codec/index.ts";
import type { SnapshotInfo } from "../../core/node/index.ts";
import type { Patience } from "./journal/patience.ts";
import type { ObjectStore } from "./object-store.ts";
import {
  decodeDescription,
  encodeDescription,
  hashOf,
  hex,
  MAX_CHUNK_BYTES,
  type SnapshotDescription,
} from "./snapshot-object.ts";
import { readChunks } from "./snapshot-reader.ts";

/*
 * A snapshot's name for others: `<location of the store>snapshots/<index>-<term>-<count>#<half a SHA-256>`. The hash is
 * the description's, which has its chunks' hashes: so whoever was given the name gets the very bytes that the one who
 * gave it has, or none.
 */
const NAME = /^(.+\/)(snapshots\/\d{20}-\d{20}-\d{20})#([0-9a-f]{32})$/;

/** See `SnapshotStore.nameOf`. */
export async function sharedName(
  store: ObjectStore,
  name: string,
  description: SnapshotDescription,
): Promise<string> {
  return `${store.location}${name}#${hex(await hashOf(encodeDescription(description)))}`;
}

export interface SharedSnapshotOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
}

/**
 * See `SnapshotStore.readShared`. Only in a neighbour's store is anything read at all.
 *
 * @throws EngineError `invalidArgument` for what is no name, `storageForeign` for names of other places and for another
 * snapshot than the one that was named, `storageFailed` (gone, no permission), `storageUnavailable`, `storageCorrupt`.
 */
export async function* readShared(
  { store, patience }: SharedSnapshotOptions,
  name: string,
  info: SnapshotInfo,
  offset: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const [, location = "", object = "", hash = ""] = NAME.exec(name) ?? [];
  if (location === "") throw refusal("invalidArgument", `${JSON.stringify(name)} is no snapshot's name`);
  const neighbour = store.beside?.(location) ?? null;
  if (neighbour === null) {
    throw refusal("storageForeign", `${location} is not beside ${store.location}`);
  }
  const place = `${location}${object}`;
  const found = await patience.ask(() => neighbour.get(object));
  if (found === null) throw refusal("storageFailed", `${place} is not there`);
  if (hex(await hashOf(found.body)) !== hash)
    throw refusal("storageForeign", `${place} is another one by now`);
  const description = decodeDescription(found.body, place);
  if (description.chunkBytes > MAX_CHUNK_BYTES || !isSame(description.info, info)) {
    throw refusal("storageForeign", `${place} is another snapshot`);
  }
  yield* readChunks(neighbour, patience, description, offset);
}

function isSame(a: SnapshotInfo, b: SnapshotInfo): boolean {
  return (
    a.size === b.size &&
    a.checksum === b.checksum &&
    equalBytes(a.context, b.context) &&
    equalBytes(metaBytes(a), metaBytes(b))
  );
}

function metaBytes({ meta }: SnapshotInfo): Uint8Array {
  const writer = new ByteWriter(256);
  encodeSnapshotMeta(writer, meta);
  return writer.finish();
}

function refusal(code: "invalidArgument" | "storageForeign" | "storageFailed", detail: string): EngineError {
  return new EngineError(code, { detail });
}
