import type { Compare, KeyValue, RequestOp } from "../../../src/core/kv/index.ts";
import type { SeenValue } from "../checkers/kv-model.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export function textOf(bytes: Uint8Array): string {
  return DECODER.decode(bytes);
}

export function seen(kv: KeyValue | undefined): SeenValue | null {
  if (kv === undefined) return null;
  return { value: textOf(kv.value), modRevision: kv.modRevision, version: kv.version };
}

export function getOp(key: string): RequestOp {
  return { type: "range", request: { key: bytesOf(key) } };
}

export function putOp(key: string, value: string): RequestOp {
  return { type: "put", request: { key: bytesOf(key), value: bytesOf(value) } };
}

/** 0 for a key that does not exist. */
export function unchanged(key: string, modRevision: number): Compare {
  return { key: bytesOf(key), result: "equal", target: "mod", modRevision };
}

/** Everything that begins with the prefix, which ends in a byte that can be counted up. */
export function prefix(text: string): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const rangeEnd = bytesOf(text);
  rangeEnd[rangeEnd.length - 1]! += 1;
  return { key: bytesOf(text), rangeEnd };
}
