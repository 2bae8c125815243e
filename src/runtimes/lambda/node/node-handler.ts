import { EngineError } from "../../../core/errors/index.ts";
import { nodeClock } from "../../node/node-clock.ts";
import { nodeLogger } from "../../node/node-logger.ts";
import { nodeRandom } from "../../node/node-random.ts";
import { openObjectStore } from "../../node/storage/open-object-store.ts";
import { clientToken } from "../client-token.ts";
import { type Env, frontConfig } from "../front-config.ts";
import { type LambdaHandler, lambdaHandler, type Serve } from "../handler.ts";
import { LambdaNode } from "./lambda-node.ts";
import { NodeHost } from "./node-host.ts";

/**
 * The handler of a function that is the node itself, with its log in a bucket or a table and no machine beside it.
 * Environment variables as for `frontHandler`; `D_ENGINE_STORAGE` and `ETCD_NAME` are needed.
 */
export function nodeHandler(env: Env): LambdaHandler {
  const open = async (): Promise<Serve> => {
    const { store, token, maxRequestBytes, logLevel } = frontConfig(env);
    if (store === null) {
      throw new EngineError("invalidConfig", {
        detail: "D_ENGINE_STORAGE: the node needs a bucket or a table",
      });
    }
    const logger = nodeLogger({ level: logLevel, format: "json" });
    const surroundings = { clock: nodeClock, random: nodeRandom, logger };
    const node = new LambdaNode({
      ...surroundings,
      openStore: () => openObjectStore(store.location, store.prefix),
      groupId: store.groupId,
      name: store.name,
      tuning: { maxRequestBytes },
    });
    const host = new NodeHost({
      ...surroundings,
      node,
      clientToken: await clientToken(token),
      maxRequestBytes,
    });
    return (request, deadline) => host.fetch(request, deadline);
  };
  return lambdaHandler({ open, streaming: false, logger: nodeLogger({ level: "info", format: "json" }) });
}
