import { GrpcCode } from "../../core/errors/index.ts";
import { errorReply } from "../http/errors.ts";
import type { WorkersConfig } from "./workers-config.ts";

/** What members and clients prove themselves with. */
export interface Secrets {
  readonly peerSecret: Uint8Array;
  readonly clientToken: string;
}

/** Null unless both are set. */
export function secretsOf({ peerSecret, clientToken }: WorkersConfig): Secrets | null {
  return peerSecret === null || clientToken === null ? null : { peerSecret, clientToken };
}

/** Refuses a request to a Worker that has not been given its secrets yet, and says how to give them. */
export function missingSecrets({ peerSecret, clientToken }: WorkersConfig): Response {
  const missing = [
    ...(peerSecret === null ? ["D_ENGINE_PEER_SECRET"] : []),
    ...(clientToken === null ? ["D_ENGINE_CLIENT_TOKEN"] : []),
  ];
  const commands = missing.map((name) => `\`npx wrangler secret put ${name}\``).join(" and ");
  return errorReply({
    message: `d-engine: not every secret is set, so every request is refused: run ${commands}`,
    code: GrpcCode.unauthenticated,
    reason: "unauthenticated",
    headers: { "WWW-Authenticate": "Bearer" },
  });
}
