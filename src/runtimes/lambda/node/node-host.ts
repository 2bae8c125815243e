import type { Clock, Logger, Random } from "../../../core/node/index.ts";
import { clientGuard, type Guard } from "../../http/client-auth.ts";
import { replyToError } from "../../http/errors.ts";
import { type AppOptions, createApp } from "../../http/index.ts";
import { nodeBase64 } from "../../node/node-base64.ts";
import { VERSION } from "../../node/version.ts";
import type { Deadline } from "../deadline.ts";
import { LambdaEngine } from "./lambda-engine.ts";
import type { LambdaNode } from "./lambda-node.ts";

export interface NodeHostOptions {
  readonly node: LambdaNode;
  readonly clientToken: string;
  readonly maxRequestBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What is kept of an invocation's time for a snapshot to be broken off in, on top of what its answer needs. */
const REST_MARGIN_MS = 250;

/** Serves the HTTP API from a node that lives in a function. One app for each invocation, so that none sees another's. */
export class NodeHost {
  readonly #options: NodeHostOptions;
  readonly #auth: AppOptions["auth"];
  readonly #guard: Guard;

  constructor(options: NodeHostOptions) {
    this.#options = options;
    this.#auth = { clientToken: options.clientToken, allowInsecure: false };
    this.#guard = clientGuard(this.#auth, undefined);
  }

  /** Answers a request; whatever goes wrong is an answer too. */
  async fetch(request: Request, deadline: Deadline): Promise<Response> {
    const { node, clock, random, logger, maxRequestBytes } = this.#options;
    const deadlineMs = clock.nowMs() + deadline.leftMs();
    try {
      const engine = new LambdaEngine(node, random, deadlineMs);
      // Some routes ask what the engine is like without waiting for anything; strangers are turned away before.
      if (node.engine === null && this.#guard(request) === null) await engine.open();
      const app = createApp({
        engine,
        auth: this.#auth,
        version: VERSION,
        limits: { maxRequestBytes: Math.ceil(maxRequestBytes * 1.4) + (64 << 10) },
        base64: nodeBase64,
        logger,
      });
      const response = await app.fetch(request);
      await node.rest(deadlineMs - REST_MARGIN_MS);
      return response;
    } catch (error) {
      return replyToError(error, logger);
    }
  }
}
