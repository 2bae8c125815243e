import { equalBytes } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { Clock, Random, SnapshotInfo } from "../../core/node/index.ts";
import { Patience } from "./journal/patience.ts";
import type { ObjectReader } from "./object-store.ts";
import { corrupt } from "./sealed.ts";
import {
  chunkName,
  decodeDescription,
  hashOf,
  parseDescriptionName,
  type SnapshotDescription,
} from "./snapshot-object.ts";

/** The content from byte `offset`, chunk by chunk; the next is on its way while one is being used. */
export async function* readChunks(
  store: ObjectReader,
  patience: Patience,
  { info, chunkBytes, hashes }: SnapshotDescription,
  offset: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const fetch = async (number: number): Promise<Uint8Array> => {
    const name = chunkName(info.meta, number, hashes[number]!);
    const place = `${store.location}: ${name}`;
    const found = await patience.ask(() => store.get(name));
    if (found === null) throw corrupt(place, "is missing");
    const expected = Math.min(chunkBytes, info.size - number * chunkBytes);
    if (found.body.length !== expected || !equalBytes(await hashOf(found.body), hashes[number]!)) {
      throw corrupt(place, "does not match its hash");
    }
    return found.body;
  };
  const begin = (number: number): Promise<Uint8Array> | null => {
    if (number >= hashes.length) return null;
    const chunk = fetch(number);
    // It is looked at when its turn comes, or never.
    chunk.catch(() => {});
    return chunk;
  };
  let number = Math.floor(offset / chunkBytes);
  let skip = offset % chunkBytes;
  let next = begin(number);
  while (next !== null) {
    const chunk = await next;
    next = begin(++number);
    if (skip < chunk.length) yield chunk.subarray(skip);
    skip = 0;
  }
}

/** A snapshot in a store that this process can read, whoever writes there. */
export interface SharedSnapshot {
  readonly info: SnapshotInfo;
  read(offset?: number): AsyncIterable<Uint8Array>;
}

/**
 * Opens a snapshot by its description's name within the store. Null: it has been dropped.
 *
 * @throws EngineError `invalidArgument` for other names, `storageCorrupt`.
 */
export async function openSharedSnapshot(
  store: ObjectReader,
  name: string,
  clock: Clock,
  random: Random,
): Promise<SharedSnapshot | null> {
  if (parseDescriptionName(name) === null) {
    throw new EngineError("invalidArgument", { detail: `${JSON.stringify(name)} is no snapshot's name` });
  }
  const patience = new Patience(clock, random);
  const found = await patience.ask(() => store.get(name));
  if (found === null) return null;
  const description = decodeDescription(found.body, `${store.location}: ${name}`);
  return {
    info: description.info,
    read: (offset = 0) => readChunks(store, patience, description, offset),
  };
}
