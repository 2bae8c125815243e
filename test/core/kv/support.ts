import { EngineError } from "../../../src/core/errors/index.ts";
import { KvStore, encodeCommand } from "../../../src/core/kv/index.ts";
import type {
  DeleteRangeRequest,
  KeyValue,
  KvCommand,
  KvResult,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from "../../../src/core/kv/index.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export function text(content: Uint8Array): string {
  return decoder.decode(content);
}

/** Everything from the given key on. */
export const OPEN_END: Uint8Array = Uint8Array.of(0);

export function apply(store: KvStore, command: KvCommand, term = 1): KvResult {
  return store.applyChunk([{ command: encodeCommand(command), term }])[0]!;
}

type Fields<Request> = Omit<Request, "key" | "value">;

export function putRequest(key: string, value = "", more: Fields<PutRequest> = {}): PutRequest {
  return { key: bytes(key), value: bytes(value), ...more };
}

export function put(store: KvStore, key: string, value = "", more: Fields<PutRequest> = {}): KvResult {
  return apply(store, { type: "put", request: putRequest(key, value, more) });
}

export function del(
  store: KvStore,
  key: string,
  rangeEnd = "",
  more: Fields<DeleteRangeRequest> = {},
): KvResult {
  return apply(store, {
    type: "deleteRange",
    request: { key: bytes(key), rangeEnd: bytes(rangeEnd), ...more },
  });
}

export function txn(store: KvStore, request: Partial<TxnRequest>): KvResult {
  return apply(store, { type: "txn", request: { compare: [], success: [], failure: [], ...request } });
}

export function compact(store: KvStore, revision: number): KvResult {
  return apply(store, { type: "compact", request: { revision } });
}

export function rangeRequest(key: string, rangeEnd = "", more: Fields<RangeRequest> = {}): RangeRequest {
  return { key: bytes(key), rangeEnd: bytes(rangeEnd), ...more };
}

/** "key=value" of each key found. */
export function read(store: KvStore, key: string, rangeEnd = "", more: Fields<RangeRequest> = {}): string[] {
  return store.range(rangeRequest(key, rangeEnd, more)).kvs.map((kv) => `${text(kv.key)}=${text(kv.value)}`);
}

/** A key's counters as "create/mod/version", or "none". */
export function counters(store: KvStore, key: string, revision = 0): string {
  const kv = store.range(rangeRequest(key, "", { revision })).kvs[0];
  return kv === undefined ? "none" : `${kv.createRevision}/${kv.modRevision}/${kv.version}`;
}

export function plain(kv: KeyValue): object {
  return { ...kv, key: text(kv.key), value: text(kv.value), lease: Number(kv.lease) };
}

/** The code of the EngineError that `run` throws; "no error" if it does not. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  return "no error";
}

export function snapshotOf(store: KvStore): Uint8Array[] {
  const snapshot = store.snapshot();
  const chunks = [...snapshot.chunks()];
  snapshot.release();
  return chunks;
}

export function restored(chunks: Iterable<Uint8Array>): KvStore {
  const store = new KvStore();
  const restorer = store.restorer();
  for (const chunk of chunks) restorer.push(chunk);
  restorer.finish();
  return store;
}
