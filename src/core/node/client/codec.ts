import { EngineError } from "../../errors/index.ts";
import type { KeyValue } from "../../kv/index.ts";
import { type Bytes, toBytes, toText } from "./bytes.ts";

/** How values of a type are written and read. */
export interface Codec<T> {
  /** Equal values must be written equally where they are to be compared (`compareAndSwap`). */
  encode(value: T): Bytes;
  /** Whatever it throws becomes an EngineError `malformed`. */
  decode(bytes: Uint8Array): T;
}

/** JSON. What is read is taken for a `T` unseen: a codec of one's own can check it. */
export function jsonCodec<T = unknown>(): Codec<T> {
  return {
    encode: (value) => JSON.stringify(value),
    decode: (bytes) => JSON.parse(toText(bytes)) as T,
  };
}

/** Reads a value, or says which one cannot be read. */
export function decodeValue<T>(codec: Codec<T>, { key, value }: Pick<KeyValue, "key" | "value">): T {
  try {
    return codec.decode(value);
  } catch (cause) {
    const name = new TextDecoder().decode(key.subarray(0, 200));
    throw new EngineError("malformed", { detail: `the value of ${JSON.stringify(name)}`, cause });
  }
}

/** Writes a value. @throws EngineError `invalidArgument` for one that the codec does not take. */
export function encodeValue<T>(codec: Codec<T>, value: T): Uint8Array {
  try {
    const bytes: unknown = codec.encode(value);
    if (typeof bytes !== "string" && !(bytes instanceof Uint8Array)) {
      throw new TypeError("the codec gave neither text nor bytes");
    }
    return toBytes(bytes);
  } catch (cause) {
    throw new EngineError("invalidArgument", { detail: "the codec does not take this value", cause });
  }
}
