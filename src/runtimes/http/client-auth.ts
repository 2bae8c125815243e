import { EngineError, GrpcCode } from "../../core/errors/index.ts";
import { errorReply } from "./errors.ts";
import type { ClientAuth, CorsOptions } from "./options.ts";

/** Lets a request pass (null), or gives the reply that refuses it. */
export type Guard = (request: Request) => Response | null;

/**
 * Decides who may call the client routes.
 *
 * With a token, whoever presents it: as `Authorization: Bearer <token>`, or as etcd's clients do, bare in
 * `Authorization` or `Token`. Without one and `allowInsecure`, everyone but browsers: any web page can send a
 * request to a port on its reader's own machine, and the `Origin` header gives it away.
 *
 * @throws EngineError `invalidConfig` for a token that no client could send.
 */
export function clientGuard(auth: ClientAuth, cors: CorsOptions | undefined): Guard {
  const { clientToken, allowInsecure } = auth;
  if (clientToken !== undefined) {
    if (!/^[\x21-\x7e]+$/.test(clientToken)) {
      throw new EngineError("invalidConfig", {
        detail: "the client token must be of visible ASCII characters, without spaces, and not empty",
      });
    }
    return (request) => (presents(request.headers, clientToken) ? null : wrongToken());
  }
  if (!allowInsecure) return () => noTokenConfigured(auth);
  const origins = new Set(cors?.origins);
  return ({ headers }) => {
    const origin = headers.get("Origin");
    return origin === null || origins.has(origin) || origins.has("*") ? null : foreignOrigin();
  };
}

function presents(headers: Headers, token: string): boolean {
  const authorization = headers.get("Authorization");
  const presented = authorization === null ? headers.get("Token") : authorization.replace(/^Bearer +/i, "");
  return presented !== null && sameSecret(presented, token);
}

/** Takes a time that depends on the length of what was presented alone. */
function sameSecret(presented: string, secret: string): boolean {
  let difference = presented.length ^ secret.length;
  for (let i = 0; i < presented.length; i++) {
    difference |= presented.charCodeAt(i) ^ secret.charCodeAt(i % secret.length);
  }
  return difference === 0;
}

function wrongToken(): Response {
  return errorReply({
    message: "etcdserver: invalid auth token",
    code: GrpcCode.unauthenticated,
    reason: "unauthenticated",
    detail: "send the client token as: Authorization: Bearer <token>",
    headers: { "WWW-Authenticate": "Bearer" },
  });
}

function noTokenConfigured({ howToSetToken }: ClientAuth): Response {
  return errorReply({
    message: `d-engine: no client token is configured, so every request is refused: ${howToSetToken ?? "configure a client token, or allow insecure access in so many words"}`,
    code: GrpcCode.unauthenticated,
    reason: "unauthenticated",
  });
}

function foreignOrigin(): Response {
  return errorReply({
    message: "d-engine: without a client token, web pages of other origins are refused",
    code: GrpcCode.permissionDenied,
    reason: "permissionDenied",
  });
}
