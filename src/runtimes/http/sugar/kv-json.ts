import type { KeyValue } from "../../../core/kv/index.ts";
import type { Base64 } from "../base64.ts";
import { utf8 } from "./key-text.ts";

/** A key as people read it: names as in etcd's JSON, but keys and values that are UTF-8 as strings. */
export function kvJson(kv: KeyValue, keysOnly: boolean, base64: Base64): object {
  return {
    ...bytesJson("key", kv.key, base64),
    ...(keysOnly ? {} : bytesJson("value", kv.value, base64)),
    create_revision: kv.createRevision,
    mod_revision: kv.modRevision,
    version: kv.version,
    ...(kv.lease === 0n ? {} : { lease: kv.lease.toString() }),
  };
}

/** Bytes under `name` if they are UTF-8, and else in base64 under `name_base64`. */
export function bytesJson(name: string, bytes: Uint8Array, base64: Base64): object {
  const text = utf8(bytes);
  return text === null ? { [`${name}_base64`]: base64.encode(bytes) } : { [name]: text };
}
