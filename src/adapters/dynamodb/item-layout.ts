import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { EngineError } from "../../core/errors/index.ts";
import { keyOf, type ObjectListing, type StoredObject } from "../object-store/index.ts";

/*
 * One object is one item:
 *
 *   pk  S  prefix#shard     sk  S  name     b  B  the content     n  N  its length     v  S  its version
 *
 * where the prefix is empty or ends in a slash.
 *
 * The shard follows from the name, so that the segments of one log, whose names count up, go to all partition keys in
 * turn: DynamoDB takes 1,000 write units (of 1 KB) a second for one. How many there are is written down under the
 * prefix itself when it is first used.
 */

export type Item = Record<string, AttributeValue>;

/** An item may have 400 KB with its attributes' names and values; the rest is for the keys. */
export const MAX_BODY_BYTES: number = 396 * 1024;

const FORMAT = 1;

export function objectKey(prefix: string, shards: number, name: string): Item {
  return { pk: { S: shardKey(prefix, shardOf(name, shards)) }, sk: { S: keyOf("", name) } };
}

export function shardKey(prefix: string, shard: number): string {
  return `${prefix}#${shard}`;
}

/** FNV-1a; over a power of two of shards, names that differ in the last digit go to different ones. */
export function shardOf(name: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % shards;
}

export function objectItem(key: Item, body: Uint8Array, version: string): Item {
  return { ...key, b: { B: body }, n: { N: String(body.length) }, v: { S: version } };
}

/** @throws EngineError `storageCorrupt`. */
export function storedObject(item: Item): StoredObject {
  const { b, n, v } = item;
  if (b?.B === undefined || v?.S === undefined || n?.N !== String(b.B.length)) throw foreignItem(item);
  return { body: b.B, version: v.S };
}

/** With its content if that was asked for. @throws EngineError `storageCorrupt`. */
export function listing(item: Item): ObjectListing {
  const [name, size] = [item["sk"]?.S, Number(item["n"]?.N)];
  if (name === undefined || !Number.isSafeInteger(size) || size < 0) throw foreignItem(item);
  return item["b"] === undefined ? { name, size } : { name, size, stored: storedObject(item) };
}

export function shapeKey(prefix: string): Item {
  return { pk: { S: `${prefix}#` }, sk: { S: "shape" } };
}

export function shapeItem(prefix: string, shards: number): Item {
  return { ...shapeKey(prefix), format: { N: String(FORMAT) }, shards: { N: String(shards) } };
}

/** How many shards the prefix has. @throws EngineError `storageForeign`, `storageCorrupt`. */
export function shardsOf(item: Item, maxShards: number): number {
  const [format, shards] = [Number(item["format"]?.N), Number(item["shards"]?.N)];
  if (Number.isSafeInteger(format) && format > FORMAT) {
    throw new EngineError("storageForeign", { detail: `${place(item)}: written by a newer version` });
  }
  if (format !== FORMAT || !Number.isInteger(shards) || shards < 1 || shards > maxShards) {
    throw foreignItem(item);
  }
  return shards;
}

function foreignItem(item: Item): EngineError {
  return new EngineError("storageCorrupt", { detail: `${place(item)} was not written by d-engine` });
}

function place(item: Item): string {
  return `item (${item["pk"]?.S ?? "?"}, ${item["sk"]?.S ?? "?"})`;
}
