import { EngineError, GrpcCode } from "../../core/errors/index.ts";
import { sameSecret } from "./auth/same-bytes.ts";
import { type ErrorReply, errorReply } from "./errors.ts";
import type { ClientAuth, CorsOptions } from "./options.ts";

/** Lets a request pass (null), or gives the reply that refuses it. */
export type Guard = (request: Request) => Response | null;

/** What a request says beside its body: `Headers`, or gRPC's metadata. */
export interface RequestHeaders {
  /** The value under a name, whatever its case; null when there is none. */
  get(name: string): string | null;
}

/** {@link clientCheck} for requests over HTTP. */
export function clientGuard(auth: ClientAuth, cors: CorsOptions | undefined): Guard {
  const check = clientCheck(auth, cors);
  return ({ headers }) => {
    const refusal = check(headers);
    return refusal === null ? null : errorReply(refusal);
  };
}

/**
 * Decides who may call the client routes.
 *
 * With a token, whoever presents it: as `Authorization: Bearer <token>`, or as etcd's clients do, bare in
 * `Authorization` or `Token`. Without one and `allowInsecure`, everyone but web pages: any of them can send a
 * request to a port on its reader's own machine. The `Origin` header gives it away, or, where it has made its own
 * name point there (DNS rebinding), the `Host` header.
 *
 * @throws EngineError `invalidConfig` for a token that no client could send.
 */
export function clientCheck(
  auth: ClientAuth,
  cors: CorsOptions | undefined,
): (headers: RequestHeaders) => ErrorReply | null {
  const { clientToken, allowInsecure } = auth;
  if (clientToken !== undefined) {
    if (!/^[\x21-\x7e]+$/.test(clientToken)) {
      throw new EngineError("invalidConfig", {
        detail: "the client token must be of visible ASCII characters, without spaces, and not empty",
      });
    }
    return (headers) => (presents(headers, clientToken) ? null : wrongToken());
  }
  if (!allowInsecure) return () => noTokenConfigured(auth);
  const origins = new Set(cors?.origins);
  const hosts = auth.hosts === undefined ? null : new Set(auth.hosts.map((host) => host.toLowerCase()));
  return (headers) => {
    const origin = headers.get("Origin");
    if (origin !== null && !origins.has(origin) && !origins.has("*")) return foreignOrigin();
    const host = headers.get("Host");
    return host === null || hosts === null || isOwnHost(host, hosts) ? null : foreignHost();
  };
}

/** An address cannot be made to point elsewhere. */
const ADDRESS = /^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-f:.]+\])$/;

function isOwnHost(host: string, names: ReadonlySet<string>): boolean {
  const name = host.replace(/:[0-9]*$/, "").toLowerCase();
  return name === "localhost" || names.has(name) || ADDRESS.test(name);
}

function presents(headers: RequestHeaders, token: string): boolean {
  const authorization = headers.get("Authorization");
  const presented = authorization === null ? headers.get("Token") : authorization.replace(/^Bearer +/i, "");
  return presented !== null && sameSecret(presented, token);
}

function wrongToken(): ErrorReply {
  return {
    message: "etcdserver: invalid auth token",
    code: GrpcCode.unauthenticated,
    reason: "unauthenticated",
    detail: "send the client token as: Authorization: Bearer <token>",
    headers: { "WWW-Authenticate": "Bearer" },
  };
}

function noTokenConfigured({ howToSetToken }: ClientAuth): ErrorReply {
  return {
    message: `d-engine: no client token is configured, so every request is refused: ${howToSetToken ?? "configure a client token, or allow insecure access in so many words"}`,
    code: GrpcCode.unauthenticated,
    reason: "unauthenticated",
  };
}

function foreignHost(): ErrorReply {
  return {
    message: "d-engine: without a client token, requests under unknown host names are refused",
    code: GrpcCode.permissionDenied,
    reason: "permissionDenied",
  };
}

function foreignOrigin(): ErrorReply {
  return {
    message: "d-engine: without a client token, web pages of other origins are refused",
    code: GrpcCode.permissionDenied,
    reason: "permissionDenied",
  };
}
