import { EngineError } from "../../../src/core/errors/index.ts";
import type { KvEngine, ReadOptions, WriteOptions } from "../../../src/core/node/index.ts";
import { decodeFrame } from "../../../src/core/node/codec/index.ts";
import type { FrameBody } from "../../../src/core/node/frames.ts";
import type { Cluster } from "./world/cluster.ts";
import type { Travelling } from "./world/network.ts";

/** Times short enough to write tests in: an election takes a few tenths of a virtual second. */
export const FAST = { electionTimeoutMs: 150, heartbeatIntervalMs: 30, clockDriftBoundMs: 30 } as const;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** Begins to put; gives the revision. */
export async function put(
  engine: KvEngine,
  key: string,
  value: string,
  options?: WriteOptions,
): Promise<number> {
  const { header } = await engine.put({ key: bytes(key), value: bytes(value) }, options);
  return header.revision;
}

export interface Found {
  readonly value: string;
  readonly version: number;
}

/** Begins to read; null for no such key. */
export async function get(engine: KvEngine, key: string, options?: ReadOptions): Promise<Found | null> {
  const { kvs } = await engine.range({ key: bytes(key) }, options);
  const kv = kvs[0];
  return kv === undefined ? null : { value: DECODER.decode(kv.value), version: kv.version };
}

/** Runs the world until the put is acknowledged. */
export async function putNow(
  cluster: Cluster,
  engine: KvEngine,
  key: string,
  value: string,
): Promise<number> {
  return await cluster.world.complete(`put ${key}`, put(engine, key, value));
}

/** Runs the world until the read is answered. */
export async function getNow(
  cluster: Cluster,
  engine: KvEngine,
  key: string,
  options?: ReadOptions,
): Promise<Found | null> {
  return await cluster.world.complete(`get ${key}`, get(engine, key, options));
}

/** Runs the world until the call has failed, and gives its error, which must be one of the engine's. */
export async function errorOf(cluster: Cluster, call: Promise<unknown>): Promise<EngineError> {
  const error = await cluster.world.failure("the call", call);
  if (!(error instanceof EngineError)) throw error;
  return error;
}

/** For a call whose end is looked at later: until then its failure is nobody's business. */
export function later<T>(call: Promise<T>): Promise<T> {
  call.catch(() => {});
  return call;
}

export function bodyOf({ frame }: Travelling): FrameBody {
  return decodeFrame(frame).body;
}

/** "AppendEntries" and its like for Raft's messages, else what the driver's frame is. */
export function kindOf(travelling: Travelling): string {
  const body = bodyOf(travelling);
  return body.type === "raft" ? body.message.type : body.type;
}
