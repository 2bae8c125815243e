import { expect } from "vitest";
import { MemoryStorage } from "../../../../src/adapters/memory/index.ts";
import { ERRORS, type ErrorCode } from "../../../../src/core/errors/index.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "../../../../src/runtimes/node/index.ts";
import { freePorts } from "../free-ports.ts";
import { sameOverGrpc } from "../grpc/same-over-grpc.ts";

/** A request that is refused. */
export interface Refusal {
  readonly name: string;
  readonly path: string;
  readonly body: object | string;
  readonly code: ErrorCode;
  /** What is sent before, and must succeed. */
  readonly before?: readonly (readonly [path: string, body: object])[];
  readonly headers?: Readonly<Record<string, string>>;
  /** It is found where it is applied: the log has an entry more, the state is the same. */
  readonly applied?: true;
}

export const b = (text: string): string => Buffer.from(text).toString("base64");
export const key: string = b("a");
export const put: object = { requestPut: { key } };

const HTTP_STATUS: Readonly<Record<number, number>> = {
  2: 500,
  3: 400,
  5: 404,
  7: 403,
  8: 429,
  9: 400,
  11: 400,
  12: 501,
  14: 503,
  15: 500,
  16: 401,
};

/** A member that serves clients. */
export interface Served {
  readonly engine: EmbeddedEngine;
  readonly url: string;
}

export interface Answer {
  readonly status: number;
  readonly json: { readonly error?: string; readonly message?: string; readonly code?: number };
}

export async function post(
  { url }: Served,
  path: string,
  body: object | string,
  headers: object = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { ...headers },
  });
  return { status: response.status, json: (await response.json()) as Answer["json"] };
}

/** Posts what must succeed. */
export async function send(
  member: Served,
  path: string,
  body: object,
  headers?: object,
): Promise<Answer["json"]> {
  const { status, json } = await post(member, path, body, headers);
  expect([path, status, json.message]).toEqual([path, 200, undefined]);
  return json;
}

export async function serve(options: EmbeddedOptions = {}): Promise<Served> {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const engine = await EmbeddedEngine.start("./unused", {
    storage: new MemoryStorage(),
    listenClientUrls: url,
    logLevel: "error",
    ...options,
  });
  return { engine, url };
}

export function expectRefusal({ status, json }: Answer, code: ErrorCode): void {
  const [grpcCode, message] = ERRORS[code];
  expect(json).toMatchObject({
    code: grpcCode,
    message: expect.stringContaining(message),
    error: json.message,
  });
  // etcd's words are compared whole; ours may say more.
  expect(message.startsWith("d-engine:") ? message : json.message).toBe(message);
  expect(status).toBe(HTTP_STATUS[grpcCode]);
}

/** Whether it was asked over gRPC too, which cannot say all that JSON can. */
export type Framings = "both" | "json";

/** Holds a request to its refusal, as JSON and over gRPC: its code, its words, the HTTP status. */
export async function expectRefused(
  member: Served,
  { path, body, headers, code }: Refusal,
): Promise<Framings> {
  expectRefusal(await post(member, path, body, headers), code);
  const overGrpc = await sameOverGrpc(new URL(member.url).host, path, body, headers);
  if (overGrpc === null) return "json";
  const [grpcCode, message] = ERRORS[code];
  expect(overGrpc).toEqual({ code: grpcCode, message: expect.stringContaining(message) });
  return "both";
}

/** As {@link expectRefused}; and nothing has changed, the state's hash and the log's end included. */
export async function expectRefusedInVain(member: Served, refusal: Refusal): Promise<Framings> {
  const before = stateOf(member);
  const framings = await expectRefused(member, refusal);
  const after = stateOf(member);
  // Where it need not be applied to be known, nothing was proposed.
  if (refusal.applied !== true) expect(after.lastIndex).toBe(before.lastIndex);
  expect({ ...after, lastIndex: 0 }).toEqual({ ...before, lastIndex: 0 });
  return framings;
}

function stateOf({ engine }: Served): Readonly<Record<string, unknown>> {
  const { revision, compactRevision, leases, dbSize, authRevision, lastIndex, stateHash } =
    engine.engine.status();
  return { revision, compactRevision, leases, dbSize, authRevision, lastIndex, hash: stateHash() };
}
