import { Hono } from "hono";
import { cors } from "hono/cors";
import { GrpcCode } from "../../core/errors/index.ts";
import { Accounts } from "./auth/accounts.ts";
import { portableBase64 } from "./base64.ts";
import { readBytes } from "./body.ts";
import { clientGuard } from "./client-auth.ts";
import { errorReply, replyToError } from "./errors.ts";
import { gatewayMiss, mountGateway } from "./etcd/gateway.ts";
import { type SocketServer, streamSockets } from "./etcd/stream-socket.ts";
import { mountHealth } from "./health-routes.ts";
import { REPLAYED_FIELD } from "./idempotency.ts";
import { APP_LIMITS, type AppOptions } from "./options.ts";
import type { PeerHandler } from "./peer/index.ts";
import { rawPath } from "./raw-path.ts";
import { mountSugar } from "./sugar/routes.ts";

/** The etcd release whose API this is; clients switch features on by it. */
export const ETCD_VERSION = "3.5.21";
const ETCD_CLUSTER_VERSION = "3.5.0";

/**
 * The one HTTP app of every runtime: etcd's JSON gateway, the `/kv` sugar, health, version, metrics, and the route
 * by which members talk. Web standards only.
 *
 * @throws EngineError `invalidConfig` for options that cannot work.
 */
export function createApp(options: AppOptions): Hono {
  const { engine, logger } = options;
  const limits = { ...APP_LIMITS, ...options.limits };
  const guard = clientGuard(options.auth, options.cors);
  const app = new Hono({ getPath: rawPath });

  app.onError((error) => replyToError(error, logger));
  app.notFound(({ req: { raw } }) => guard(raw) ?? missing(rawPath(raw), raw.method));
  if (options.cors !== undefined) {
    app.use(cors({ origin: [...options.cors.origins], exposeHeaders: EXPOSED_HEADERS, maxAge: 600 }));
  }

  const base64 = options.base64 ?? portableBase64;
  const { maxRequestBytes } = limits;
  const accounts = accountsOf(options);
  const context = { etcdVersion: ETCD_VERSION, accounts };
  mountGateway(app, { base64, maxRequestBytes, guard, context, logger });
  mountHealth(app, { engine, timeoutMs: limits.healthTimeoutMs });
  mountSugar(app, { accounts, base64, maxRequestBytes, guard });
  if (options.peer !== undefined) mountPeer(app, options.peer, limits.maxPeerBytes);

  app.get("/version", ({ req: { raw } }) => {
    const version = {
      etcdserver: ETCD_VERSION,
      etcdcluster: ETCD_CLUSTER_VERSION,
      "d-engine": options.version,
    };
    return (
      guard(raw) ?? new Response(JSON.stringify(version), { headers: { "Content-Type": "application/json" } })
    );
  });
  const { metrics } = options;
  if (metrics !== undefined) {
    app.get("/metrics", async ({ req: { raw } }) => {
      const refusal = guard(raw);
      if (refusal !== null) return refusal;
      const { body, contentType } = await metrics();
      return new Response(body, { headers: { "Content-Type": contentType } });
    });
  }
  return app;
}

/**
 * What the app does with requests to open a WebSocket, on runtimes where those do not come as ordinary requests: gives
 * who is to talk on it, or the reply that refuses it.
 */
export function createSockets(options: AppOptions): (request: Request) => SocketServer | Response {
  const { logger, base64 = portableBase64 } = options;
  return streamSockets({
    accounts: accountsOf(options),
    base64,
    guard: clientGuard(options.auth, options.cors),
    logger,
  });
}

function accountsOf({ engine, auth: { clientToken }, certifiedUser }: AppOptions): Accounts {
  return new Accounts({ engine, clientToken, ...(certifiedUser === undefined ? {} : { certifiedUser }) });
}

const EXPOSED_HEADERS = [
  "ETag",
  REPLAYED_FIELD,
  "Retry-After",
  "X-D-Engine-Checked-Ms-Ago",
  "X-D-Engine-Leader",
  "X-D-Engine-Leader-Urls",
  "X-D-Engine-Revision",
  "X-D-Engine-Written-At",
];

/**
 * Hands raw bodies to whoever authenticates and unpacks them. Members prove who they are there, not by a token. The
 * envelope names the group; in the path it is for balancers that route by it.
 */
function mountPeer(app: Hono, receive: PeerHandler, maxBytes: number): void {
  app.post("/raft/:group?", async ({ req: { raw } }) => {
    const { status, body } = await receive(await readBytes(raw, maxBytes));
    // Peers' bytes are never shared memory, which is all that the types are afraid of.
    return new Response(body as Uint8Array<ArrayBuffer> | null, { status });
  });
}

function missing(path: string, method: string): Response {
  return (
    gatewayMiss(path, method) ??
    errorReply({
      message: `d-engine: there is no ${method} ${path}`,
      code: GrpcCode.notFound,
      reason: "notFound",
    })
  );
}
