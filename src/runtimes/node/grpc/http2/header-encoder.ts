import { encodeMessage, type GrpcStatus } from "../status.ts";
import type { Metadata } from "../exchange.ts";

/** `:status: 200` by its index in the static table, and the content type by its name's. */
const HEAD = Buffer.concat([
  Buffer.from([0x88, 0x0f, 31 - 15, 16]),
  Buffer.from("application/grpc", "latin1"),
]);

/** Nobody reads more of a message, and headers must fit into one frame: a character takes nine bytes at the most. */
const MAX_MESSAGE_LENGTH = 1500;

/** The head of an answer. */
export function answerHead(metadata: Metadata | undefined): Uint8Array {
  return metadata === undefined ? HEAD : Buffer.concat([HEAD, ...fields(metadata)]);
}

const SUCCESS = literal("grpc-status", "0");

/** What follows an answer. */
export function answerTrailers({ code, message }: GrpcStatus): Uint8Array {
  if (code === 0) return SUCCESS;
  const shown = message.slice(0, MAX_MESSAGE_LENGTH);
  return Buffer.concat(fields({ "grpc-status": String(code), "grpc-message": encodeMessage(shown) }));
}

/** An answer that is no more than its status. */
export function answerAlone(status: GrpcStatus, metadata: Metadata | undefined): Uint8Array {
  return Buffer.concat([answerHead(metadata), answerTrailers(status)]);
}

/** An answer of HTTP, to what is no call. */
export function httpStatus(status: number): Uint8Array {
  return literal(":status", String(status));
}

function fields(metadata: Metadata): Uint8Array[] {
  return Object.entries(metadata).map(([name, value]) => literal(name, value));
}

/** A field in plain letters that neither side keeps in a table. */
function literal(name: string, value: string): Uint8Array {
  return Buffer.concat([Buffer.from([0]), string(name), string(value)]);
}

function string(text: string): Uint8Array {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([length(bytes.length), bytes]);
}

/** With a prefix of seven bits. */
function length(value: number): Uint8Array {
  if (value < 0x7f) return Uint8Array.of(value);
  const bytes = [0x7f];
  let rest = value - 0x7f;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
