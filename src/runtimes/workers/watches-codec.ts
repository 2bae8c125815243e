import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import type { SavedWatch, SavedWatches, WatchFilter } from "../../core/node/index.ts";

/*
 * What is kept of a watcher's connection. It is read by the next life of the same object, which may be another version
 * of the program.
 */

const VERSION = 1;

/** Bits of a stream... */
const REQUIRE_LEADER = 1;
const PROGRESS_ASKED = 2;
/** ...and of a watch. */
const RANGE = 1;
const PROGRESS_NOTIFY = 2;
const NO_PUT = 4;
const NO_DELETE = 8;
const PREV_KV = 16;
const FRAGMENT = 32;

export function encodeWatches({ requireLeader, progressAsked, nextId, watches }: SavedWatches): Uint8Array {
  const writer = new ByteWriter(1024).u8(VERSION);
  writer.u8((requireLeader ? REQUIRE_LEADER : 0) | (progressAsked ? PROGRESS_ASKED : 0));
  writer.u64(nextId).uint(watches.length);
  for (const { watchId, request, nextRevision } of watches) {
    const { key, rangeEnd, progressNotify, filters, prevKv, fragment } = request;
    const hasRange = rangeEnd !== undefined && rangeEnd.length > 0;
    const bits =
      (hasRange ? RANGE : 0) |
      (progressNotify === true ? PROGRESS_NOTIFY : 0) |
      (filters?.includes("noPut") === true ? NO_PUT : 0) |
      (filters?.includes("noDelete") === true ? NO_DELETE : 0) |
      (prevKv === true ? PREV_KV : 0) |
      (fragment === true ? FRAGMENT : 0);
    // Revisions are counted from 1.
    writer
      .u64(watchId)
      .u8(bits)
      .uint(nextRevision ?? 0)
      .bytes(key);
    if (hasRange) writer.bytes(rangeEnd);
  }
  return writer.finish();
}

/** @throws CodecError for what this version cannot have written. */
export function decodeWatches(saved: Uint8Array): SavedWatches {
  const reader = new ByteReader(saved, "a watcher's connection");
  if (reader.u8() !== VERSION) reader.fail("its version is not known");
  const bits = reader.u8();
  const nextId = reader.i64();
  const watches: SavedWatch[] = [];
  for (let left = reader.count(11); left > 0; left--) watches.push(readWatch(reader));
  reader.end();
  return {
    requireLeader: (bits & REQUIRE_LEADER) !== 0,
    progressAsked: (bits & PROGRESS_ASKED) !== 0,
    nextId,
    watches,
  };
}

function readWatch(reader: ByteReader): SavedWatch {
  const watchId = reader.i64();
  const bits = reader.u8();
  const revision = reader.uint();
  const key = reader.bytes().slice();
  const filters: WatchFilter[] = [];
  if ((bits & NO_PUT) !== 0) filters.push("noPut");
  if ((bits & NO_DELETE) !== 0) filters.push("noDelete");
  const request = {
    key,
    ...((bits & RANGE) === 0 ? {} : { rangeEnd: reader.bytes().slice() }),
    filters,
    progressNotify: (bits & PROGRESS_NOTIFY) !== 0,
    prevKv: (bits & PREV_KV) !== 0,
    fragment: (bits & FRAGMENT) !== 0,
  };
  return { watchId, request, nextRevision: revision === 0 ? null : revision };
}
