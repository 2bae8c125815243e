export { ByteReader } from "./byte-reader.ts";
export { ByteWriter } from "./byte-writer.ts";
export { compareBytes, equalBytes } from "./compare.ts";
export { crc32 } from "./crc32.ts";
