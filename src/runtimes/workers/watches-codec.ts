import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { ANONYMOUS, type Caller, readCaller, writeCaller } from "../../core/kv/index.ts";
import type { SavedWatch, SavedWatches, WatchFilter } from "../../core/node/index.ts";
import type { SavedObservation } from "../http/etcd/observe-session.ts";

/*
 * What is kept of a watcher's connection. It is read by the next life of the same object, which may be another version
 * of the program.
 */

const VERSION = 1;

/** Bits of a stream... */
const REQUIRE_LEADER = 1;
const PROGRESS_ASKED = 2;
const OF_SOMEBODY = 4;
/** ...of who observes an election... */
const NAMED = 1;
/** ...and of a watch. */
const RANGE = 1;
const PROGRESS_NOTIFY = 2;
const NO_PUT = 4;
const NO_DELETE = 8;
const PREV_KV = 16;
const FRAGMENT = 32;

/** Of a connection that has nothing else to keep. */
export function encodeCaller(caller: Caller): Uint8Array {
  const writer = new ByteWriter(64);
  if (caller.type !== "anonymous") writeCaller(writer, caller);
  return writer.finish();
}

/** @throws EngineError `malformed`. */
export function decodeCaller(saved: Uint8Array): Caller {
  if (saved.length === 0) return ANONYMOUS;
  const reader = new ByteReader(saved, "a connection's user");
  const caller = readCaller(reader);
  reader.end();
  return caller;
}

export function encodeObservation({ name, toldRevision, caller }: SavedObservation): Uint8Array {
  const writer = new ByteWriter(128).u8(VERSION);
  const isSomebody = caller.type !== "anonymous";
  writer.u8((name === null ? 0 : NAMED) | (isSomebody ? OF_SOMEBODY : 0));
  if (isSomebody) writeCaller(writer, caller);
  if (name !== null) writer.bytes(name);
  return writer.uint(toldRevision).finish();
}

/** @throws EngineError `malformed`. */
export function decodeObservation(saved: Uint8Array): SavedObservation {
  const reader = new ByteReader(saved, "an observer's connection");
  if (reader.u8() !== VERSION) reader.fail("its version is not known");
  const bits = reader.u8();
  const caller = (bits & OF_SOMEBODY) === 0 ? ANONYMOUS : readCaller(reader);
  const name = (bits & NAMED) === 0 ? null : reader.bytes().slice();
  const toldRevision = reader.uint();
  reader.end();
  return { name, toldRevision, caller };
}

export function encodeWatches(saved: SavedWatches): Uint8Array {
  const { requireLeader, progressAsked, nextId, watches, caller = ANONYMOUS } = saved;
  const writer = new ByteWriter(1024).u8(VERSION);
  const isSomebody = caller.type !== "anonymous";
  writer.u8(
    (requireLeader ? REQUIRE_LEADER : 0) |
      (progressAsked ? PROGRESS_ASKED : 0) |
      (isSomebody ? OF_SOMEBODY : 0),
  );
  if (isSomebody) writeCaller(writer, caller);
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
  const caller = (bits & OF_SOMEBODY) === 0 ? {} : { caller: readCaller(reader) };
  const nextId = reader.i64();
  const watches: SavedWatch[] = [];
  for (let left = reader.count(11); left > 0; left--) watches.push(readWatch(reader));
  reader.end();
  return {
    requireLeader: (bits & REQUIRE_LEADER) !== 0,
    progressAsked: (bits & PROGRESS_ASKED) !== 0,
    nextId,
    watches,
    ...caller,
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
