import type { Hono } from "hono";
import type { Engine, LogLevel } from "../../../src/core/node/index.ts";
import { type AppOptions, createApp } from "../../../src/runtimes/http/index.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
}

/** What `Headers` can be made of. */
export type RequestHeaders = NonNullable<RequestInit["headers"]>;

/** An app that lets everyone in, over an engine. */
export function testApp(
  engine: Engine,
  options: Partial<AppOptions> = {},
): { readonly app: Hono; readonly log: readonly LogLine[] } {
  const log: LogLine[] = [];
  const app = createApp({
    engine,
    auth: { allowInsecure: true },
    version: "0.1.0",
    logger: { log: (level, message) => log.push({ level, message }) },
    ...options,
  });
  return { app, log };
}

export async function post(
  app: Hono,
  path: string,
  body: string,
  headers: RequestHeaders = {},
): Promise<Response> {
  return app.request(path, { method: "POST", body, headers });
}
