import { isDeepStrictEqual } from "node:util";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { portableBase64 } from "../../../../src/runtimes/http/index.ts";
import {
  JsonDecoders,
  type MessageInfo,
  ProtobufDecoders,
  ProtobufEncoders,
} from "../../../../src/runtimes/http/codec/index.ts";
import { METHODS } from "../../../../src/runtimes/http/etcd/methods.ts";

const json = new JsonDecoders(portableBase64);
const encoders = new ProtobufEncoders();
const decoders = new ProtobufDecoders();

/**
 * Sends the request of a gateway's route over gRPC instead. Null where gRPC cannot say the same: a text that is not
 * JSON, a value that means nothing, a field of ours.
 */
export async function sameOverGrpc(
  address: string,
  path: string,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly message: string } | null> {
  const method = METHODS.find((each) => `/v3${each.path}` === path);
  const message = method === undefined ? null : binary(method.request, body);
  if (method === undefined || message === null) return null;
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name.toLowerCase(), value);
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const rpc = `/${method.service}/${method.rpc}`;
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(rpc, same, same, message, metadata, (error) =>
        resolve(error === null ? { code: 0, message: "" } : { code: error.code, message: error.details }),
      );
    });
  } finally {
    client.close();
  }
}

function binary(description: MessageInfo, body: object | string): Buffer | null {
  try {
    const request = json.of<object>(description)(typeof body === "string" ? JSON.parse(body) : body);
    const bytes = encoders.of<object>(description)(request, 0);
    return isDeepStrictEqual(decoders.of<object>(description, "request")(bytes), request)
      ? Buffer.from(bytes)
      : null;
  } catch {
    return null;
  }
}
