import type { LambdaHandler } from "../../../src/runtimes/lambda/index.ts";

export const TOKEN = "a-token-for-tests";

export interface Invocation {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How long the platform lets it run. */
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** The event that a function's URL makes of a request (payload format 2.0). */
export function urlEvent(target: string, { method = "GET", headers = {}, body }: Invocation): object {
  const [rawPath = "/", rawQueryString = ""] = target.split("?");
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    headers: { host: "id.lambda-url.eu-central-1.on.aws", ...headers },
    requestContext: {
      accountId: "anonymous",
      apiId: "id",
      domainName: "id.lambda-url.eu-central-1.on.aws",
      http: { method, path: rawPath, protocol: "HTTP/1.1", sourceIp: "127.0.0.1", userAgent: "test" },
      requestId: "00000000-0000-0000-0000-000000000000",
      stage: "$default",
      time: "01/Jan/2026:00:00:00 +0000",
      timeEpoch: 1_767_225_600_000,
    },
    ...(body === undefined ? {} : { body: Buffer.from(body).toString("base64") }),
    isBase64Encoded: body !== undefined,
  };
}

/** The context, of which only the remaining time is used. */
export function contextOf({ timeoutMs = 10_000 }: Invocation): object {
  const endMs = performance.now() + timeoutMs;
  return { getRemainingTimeInMillis: () => endMs - performance.now() };
}

/** Calls a handler as the platform does; the token is sent unless headers are given. */
export async function invoke(
  handler: LambdaHandler,
  target: string,
  invocation: Invocation = {},
): Promise<Answer> {
  const given = { headers: { authorization: `Bearer ${TOKEN}` }, ...invocation };
  const call = handler as (event: object, context: object) => Promise<unknown>;
  return answerOf(await call(urlEvent(target, given), contextOf(given)));
}

/** Of what a handler returns that answers in one piece. */
export function answerOf(result: unknown): Answer {
  const { statusCode, headers, body, isBase64Encoded } = result as BufferedResult;
  return {
    status: statusCode,
    headers: headers ?? {},
    text: isBase64Encoded ? Buffer.from(body, "base64").toString() : body,
  };
}

interface BufferedResult {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

export function post(request: object, more: Invocation = {}): Invocation {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(request), ...more };
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
