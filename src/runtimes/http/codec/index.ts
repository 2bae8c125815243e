export { JsonSplitter } from "./json-splitter.ts";
export { JsonDecoders, type JsonDecoder } from "./json-decode.ts";
export { JsonEncoders, type JsonEncoder } from "./json-encode.ts";
export { decodeJsonBody } from "./json-body.ts";
export type { Message, MessageInfo } from "./schema.ts";
export { ProtobufDecoders, type ProtobufDecoder } from "./protobuf-decode.ts";
export { ProtobufEncoders, type ProtobufEncoder } from "./protobuf-encode.ts";
