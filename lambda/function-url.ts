// A function URL on this machine: requests become events of payload format 2.0, and what the function returns becomes
// the response, as in "Invoking Lambda function URLs" of AWS's documentation.

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

/** What is invoked; rejects when it fails, which clients see as 502. */
export type Invoke = (event: object) => Promise<unknown>;

/** What a function returns for a request. */
interface Result {
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

const TEXT = /^(?:text\/|application\/(?:json|xml|javascript))/;

/** Serves until it is closed. Not listening yet. */
export function functionUrl(invoke: Invoke): Server {
  return createServer((request, response) => {
    answer(invoke, request, response).catch((error: unknown) => {
      response.writeHead(502, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ Message: "Internal Server Error", cause: String(error) }));
    });
  });
}

async function answer(invoke: Invoke, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const result = (await invoke(await eventOf(request))) as Result | null;
  // Without a status the platform takes whatever it is for the body.
  if (typeof result?.statusCode !== "number") {
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(result));
    return;
  }
  const { statusCode, headers = {}, cookies = [], body = "", isBase64Encoded = false } = result;
  if (cookies.length > 0) response.setHeader("Set-Cookie", cookies);
  response.writeHead(statusCode, headers);
  response.end(isBase64Encoded ? Buffer.from(body, "base64") : body);
}

async function eventOf(request: IncomingMessage): Promise<object> {
  const { method = "GET", url = "/" } = request;
  const query = url.indexOf("?");
  const rawPath = query === -1 ? url : url.slice(0, query);
  const rawQueryString = query === -1 ? "" : url.slice(query + 1);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  const isText = TEXT.test(headers["content-type"] ?? "application/json");
  const body = isText ? await text(request) : Buffer.concat(await request.toArray()).toString("base64");
  const domainName = headers["host"] ?? "localhost";
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    headers,
    queryStringParameters: Object.fromEntries(new URLSearchParams(rawQueryString)),
    requestContext: {
      accountId: "anonymous",
      apiId: "local",
      domainName,
      domainPrefix: "local",
      http: {
        method,
        path: rawPath,
        protocol: "HTTP/1.1",
        sourceIp: request.socket.remoteAddress ?? "127.0.0.1",
        userAgent: headers["user-agent"] ?? "",
      },
      requestId: randomUUID(),
      routeKey: "$default",
      stage: "$default",
      time: new Date().toUTCString(),
      timeEpoch: Date.now(),
    },
    ...(body === "" ? {} : { body }),
    isBase64Encoded: !isText && body !== "",
  };
}
