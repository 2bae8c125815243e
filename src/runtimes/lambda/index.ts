import { nodeLogger } from "../node/node-logger.ts";
import { clientToken } from "./client-token.ts";
import { LambdaFront } from "./front.ts";
import { type Env, frontConfig, isStreaming } from "./front-config.ts";
import { type LambdaHandler, lambdaHandler } from "./handler.ts";

export type { LambdaHandler } from "./handler.ts";
export { nodeHandler } from "./node/node-handler.ts";

/**
 * The handler of a function that stands in front of nodes, for events of its URL. Environment variables tell it what
 * to do: see the README's chapter on AWS Lambda.
 *
 * @throws EngineError `invalidConfig` for what must be known when the module is loaded.
 */
export function frontHandler(env: Env): LambdaHandler {
  const streaming = isStreaming(env);
  const logger = nodeLogger({ level: "info", format: "json" });
  const open = async (): Promise<LambdaFront["fetch"]> => {
    const config = frontConfig(env);
    const token = await clientToken(config.token);
    const front = new LambdaFront(config, token, nodeLogger({ level: config.logLevel, format: "json" }));
    return (request, deadline) => front.fetch(request, deadline);
  };
  return lambdaHandler({ open, streaming, logger });
}
