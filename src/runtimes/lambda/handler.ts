import { Hono } from "hono";
import { handle, streamHandle } from "hono/aws-lambda";
import { EngineError } from "../../core/errors/index.ts";
import type { Logger } from "../../core/node/index.ts";
import { replyToError } from "../http/errors.ts";
import { rawPath } from "../http/raw-path.ts";
import { type Deadline, type InvocationContext, invocationDeadline } from "./deadline.ts";

/** Answers requests as long as the process lives, several at a time. */
export type Serve = (request: Request, deadline: Deadline) => Promise<Response>;

/** What Lambda calls. */
export type LambdaHandler = (...given: never[]) => unknown;

export interface HandlerOptions {
  /** Makes ready, at the first request; tried again at the next one when it fails. */
  readonly open: () => Promise<Serve>;
  readonly streaming: boolean;
  readonly logger: Logger;
}

/** Of the platform, for an answer in one piece: 6 MB of JSON, in which bytes take a third more. */
const MAX_BUFFERED_BYTES = 4 << 20;

/** Turns events of a function URL into requests, and answers back. */
export function lambdaHandler({ open, streaming, logger }: HandlerOptions): LambdaHandler {
  let opened: Promise<Serve> | null = null;
  const app = new Hono({ getPath: rawPath });
  app.all("*", async ({ req: { raw }, env }) => {
    const { lambdaContext, context } = env as {
      readonly lambdaContext?: InvocationContext;
      readonly context?: InvocationContext;
    };
    const deadline = invocationDeadline(lambdaContext ?? context);
    try {
      opened ??= open();
      const serve = await opened;
      const response = await serve(raw, deadline);
      return streaming ? response : await inOnePiece(response);
    } catch (error) {
      // What stands in the way may be gone by the next request.
      opened = null;
      return replyToError(error, logger);
    }
  });
  return (streaming ? streamHandle(app) : handle(app)) as LambdaHandler;
}

/** An answer that is too large would be the platform's error, which says nothing. */
async function inOnePiece(response: Response): Promise<Response> {
  if (response.body === null) return response;
  const body = await response.arrayBuffer();
  if (body.byteLength <= MAX_BUFFERED_BYTES) return new Response(body, response);
  const detail = `${body.byteLength} bytes do not fit into one answer of Lambda: read with a limit, or stream`;
  throw new EngineError("replyTooLarge", { detail });
}
