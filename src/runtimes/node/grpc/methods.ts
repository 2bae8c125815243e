import { type Method, METHODS } from "../../http/etcd/methods.ts";
import { STREAM_METHODS, type StreamMethod } from "../../http/etcd/stream-methods.ts";
import {
  type ProtobufDecoder,
  ProtobufDecoders,
  type ProtobufEncoder,
  ProtobufEncoders,
} from "../../http/codec/index.ts";
import { RANGE_STREAM } from "./range-stream.ts";
import { HEALTH_METHODS, HEALTH_STREAMS } from "./health.ts";

interface Codec {
  readonly decode: ProtobufDecoder<unknown>;
  readonly encode: ProtobufEncoder<unknown>;
}

/** A method as a call meets it. */
export type Endpoint = UnaryEndpoint | StreamEndpoint;
export type UnaryEndpoint = Codec & { readonly type: "unary"; readonly method: UnaryMethod };
export type StreamEndpoint = Codec & { readonly type: "stream"; readonly method: StreamMethodOf };

/** What a unary call needs of a method. */
export type UnaryMethod = Pick<
  Method,
  "rpc" | "root" | "request" | "response" | "call" | "waits" | "nameable"
>;
export type StreamMethodOf = Pick<StreamMethod, "rpc" | "root" | "request" | "response" | "open">;

/** Every method by its path: those that JSON has, and those that are gRPC's alone. */
export function endpoints(): ReadonlyMap<string, Endpoint> {
  const decoders = new ProtobufDecoders();
  const encoders = new ProtobufEncoders();
  const codec = ({ request, response, root }: Pick<UnaryMethod, "request" | "response" | "root">): Codec => ({
    decode: decoders.of<unknown>(request, root),
    encode: encoders.of<unknown>(response),
  });
  const table = new Map<string, Endpoint>();
  for (const method of [...METHODS, ...HEALTH_METHODS]) {
    table.set(pathOf(method), { type: "unary", method, ...codec(method) });
  }
  for (const method of [...STREAM_METHODS, RANGE_STREAM, ...HEALTH_STREAMS]) {
    table.set(pathOf(method), { type: "stream", method, ...codec(method) });
  }
  return table;
}

function pathOf({ service, rpc }: { readonly service: string; readonly rpc: string }): string {
  return `/${service}/${rpc}`;
}
