import { EngineError } from "../../core/errors/index.ts";
import type { Logger } from "../../core/node/index.ts";
import { readBytes } from "../http/body.ts";
import { clientGuard } from "../http/client-auth.ts";
import { withProtocolToken } from "../http/etcd/stream-socket.ts";
import { replyToError } from "../http/errors.ts";
import { rawPath } from "../http/raw-path.ts";
import { askVoters } from "./ask-voters.ts";
import { type Whereabouts } from "./nearest.ts";
import { OUTSIDE_PEER_PATH, routePeer } from "./peer-door.ts";
import type { WorkersEnv } from "./platform.ts";
import { missingSecrets, secretsOf } from "./secrets.ts";
import { mayUseGroup, type WorkersConfig, workersConfig } from "./workers-config.ts";
import { workersLogger } from "./workers-logger.ts";

/**
 * What the Worker in front does with a request: refuses those without the client token, finds the group that the path
 * names (`/g/GROUP/...`; without it the default one), and asks its voters, the one that led last first.
 *
 * @param request as the Worker was given it.
 * @param env with the binding `RAFT`, the secrets and the variables.
 */
export async function routeRequest(request: Request, env: WorkersEnv): Promise<Response> {
  let logger: Logger = workersLogger("warn", {});
  try {
    const config = workersConfig(env);
    logger = workersLogger(config.logLevel, {});
    const secrets = secretsOf(config);
    if (secrets === null) return missingSecrets(config);
    const path = rawPath(request);
    if (path === OUTSIDE_PEER_PATH && request.method === "POST") return await routePeer(request, config, env);
    // Before anything is awakened: an object that runs costs money.
    const refusal = clientGuard(
      { clientToken: secrets.clientToken, allowInsecure: false },
      undefined,
    )(withProtocolToken(request));
    if (refusal !== null) return refusal;
    const { group, url } = groupOf(config, request.url, path);
    const body = hasBody(request) ? await readBytes(request, maxBodyBytes(config)) : null;
    const from = (request as { readonly cf?: Whereabouts }).cf;
    return await askVoters({ group, url, request, body, from }, config, env);
  } catch (error) {
    return replyToError(error, logger);
  }
}

function hasBody({ method }: Request): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** Base64 makes keys and values a third larger. */
function maxBodyBytes({ maxRequestBytes }: WorkersConfig): number {
  return Math.ceil(maxRequestBytes * 1.4) + (64 << 10);
}

/** The group, and the URL without it. @throws EngineError `invalidArgument`. */
function groupOf(
  config: WorkersConfig,
  url: string,
  path: string,
): { readonly group: string; readonly url: string } {
  const named = /^\/g\/([^/]*)(\/.*)?$/.exec(path);
  if (named === null) return { group: config.defaultGroup, url };
  const [, group = "", rest = "/"] = named;
  if (!mayUseGroup(config, group)) {
    throw new EngineError("permissionDenied", {
      detail: "D_ENGINE_GROUPS does not allow a group of this name",
    });
  }
  const { origin, search } = new URL(url);
  return { group, url: `${origin}${rest}${search}` };
}
