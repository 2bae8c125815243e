import type { Context, Hono } from "hono";
import { GrpcCode } from "../../../core/errors/index.ts";
import type { Logger, ReadAge, WriteOptions } from "../../../core/node/index.ts";
import { ageHeaders } from "../age-headers.ts";
import type { Base64 } from "../base64.ts";
import { readText } from "../body.ts";
import type { Guard } from "../client-auth.ts";
import { decodeJsonBody, JsonDecoders, JsonEncoders } from "../codec/index.ts";
import { errorReply } from "../errors.ts";
import { refuseKey, replayHeaders, writeOptions } from "../idempotency.ts";
import { jsonMessages, jsonReplies } from "./json-stream.ts";
import { type Method, type MethodContext, METHODS } from "./methods.ts";
import { PREFIXES, refuseWithoutLeader, requiresLeader, streamPaths } from "./stream-call.ts";
import { STREAM_METHODS, type StreamMethod } from "./stream-methods.ts";

const JSON_HEADERS = { "Content-Type": "application/json" };
const JSON_REPLY: ResponseInit = { status: 200, headers: JSON_HEADERS };

const REPLAYED_REPLY: ResponseInit = {
  status: 200,
  headers: { ...JSON_HEADERS, ...replayHeaders(true) },
};
const NO_OPTIONS: WriteOptions = {};

export interface GatewayOptions {
  readonly base64: Base64;
  readonly maxRequestBytes: number;
  readonly guard: Guard;
  readonly context: MethodContext;
  readonly logger: Logger;
}

/** Mounts every method of the table as a POST route that speaks proto3 JSON. */
export function mountGateway(app: Hono, options: GatewayOptions): void {
  const decoders = new JsonDecoders(options.base64);
  const encoders = new JsonEncoders(options.base64);
  for (const method of METHODS) {
    const handler = jsonHandler(method, decoders, encoders, options);
    for (const prefix of PREFIXES) {
      for (const path of pathsOf(method)) app.post(prefix + path, handler);
    }
  }
  for (const method of STREAM_METHODS) {
    const handler = jsonStreamHandler(method, decoders, encoders, options);
    for (const path of streamPaths(method)) app.post(path, handler);
  }
}

function pathsOf({ path, oldPath }: Method): string[] {
  return oldPath === undefined ? [path] : [path, oldPath];
}

/** Straight from text to text: this is the hot path of every benchmark. */
function jsonHandler(
  method: Method,
  decoders: JsonDecoders,
  encoders: JsonEncoders,
  { maxRequestBytes, guard, context }: GatewayOptions,
): (c: Context) => Promise<Response> {
  const decode = decoders.of<unknown>(method.request);
  const encode = encoders.of<unknown>(method.response);
  return async ({ req: { raw } }) => {
    const refusal = guard(raw);
    if (refusal !== null) return refusal;
    // Asked for only where it is needed, since it makes the platform build a whole request; and before that is read.
    const signal = method.waits === true ? raw.signal : undefined;
    const { headers } = raw;
    const actor = context.accounts.engineFor(raw);
    const engine = actor instanceof Promise ? await actor : actor;
    if (requiresLeader(headers)) refuseWithoutLeader(engine);
    if (method.nameable !== true) refuseKey(headers);
    const call =
      method.nameable === true ? writeOptions(headers) : signal === undefined ? NO_OPTIONS : { signal };
    const body = await readText(raw, maxRequestBytes);
    const request = decodeJsonBody(body, decode, method.root);
    const reply = await method.call(engine, request, context, call);
    return new Response(encode(reply), replyInit(reply));
  };
}

function replyInit(reply: unknown): ResponseInit {
  const { replayed, age } = reply as { readonly replayed?: true; readonly age?: ReadAge };
  if (replayed === true) return REPLAYED_REPLY;
  return age === undefined ? JSON_REPLY : { headers: { ...JSON_HEADERS, ...ageHeaders(age) } };
}

function jsonStreamHandler(
  method: StreamMethod,
  decoders: JsonDecoders,
  encoders: JsonEncoders,
  { maxRequestBytes: maxMessageBytes, guard, context, logger }: GatewayOptions,
): (c: Context) => Promise<Response> {
  const messages = { decode: decoders.of<unknown>(method.request), root: method.root, maxMessageBytes };
  const encode = encoders.of<unknown>(method.response);
  return async ({ req: { raw } }) => {
    const refusal = guard(raw);
    if (refusal !== null) return refusal;
    const engine = await context.accounts.engineFor(raw);
    const requireLeader = requiresLeader(raw.headers);
    if (requireLeader) refuseWithoutLeader(engine);
    const over = new AbortController();
    const end = (): void => over.abort();
    // Before the first reply there is no stream yet whose end would tell that the client has gone.
    raw.signal.addEventListener("abort", end, { once: true });
    const requests = jsonMessages(raw.body, messages, over.signal);
    const call = { signal: over.signal, requireLeader };
    return await jsonReplies(method.open(engine, requests, call), encode, logger, end);
  };
}

/** The reply to a gateway path that leads nowhere, or null when the path is not one of the gateway's. */
export function gatewayMiss(path: string, httpMethod: string): Response | null {
  const prefix = PREFIXES.find((candidate) => path.startsWith(`${candidate}/`));
  if (prefix === undefined) return null;
  const exists =
    METHODS.flatMap(pathsOf).some((each) => prefix + each === path) ||
    STREAM_METHODS.flatMap(streamPaths).includes(path);
  if (!exists) {
    return errorReply({
      message: `d-engine: not implemented: ${httpMethod} ${path}`,
      code: GrpcCode.unimplemented,
      reason: "unimplemented",
    });
  }
  return errorReply({
    message: `d-engine: ${path} takes POST, not ${httpMethod}`,
    code: GrpcCode.unimplemented,
    reason: "unimplemented",
    status: 405,
    headers: { Allow: "POST" },
  });
}
