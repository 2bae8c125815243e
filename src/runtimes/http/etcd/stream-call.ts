import { EngineError } from "../../../core/errors/index.ts";
import type { Engine } from "../../../core/node/index.ts";
import type { StreamMethod } from "./stream-methods.ts";

/** Where the gateway answers; `/v3beta` is what it was called up to etcd 3.3. */
export const PREFIXES = ["/v3", "/v3beta"] as const;

export function streamPaths({ path }: StreamMethod): string[] {
  return PREFIXES.map((prefix) => prefix + path);
}

/** etcd's metadata; its gateway passes headers with this prefix on. */
export function requiresLeader(headers: Headers): boolean {
  return (headers.get("Grpc-Metadata-Hasleader") ?? headers.get("Hasleader")) === "true";
}

/**
 * Whoever asks a member for something only if it has a leader is refused at once, and does not wait for the next.
 *
 * @throws EngineError `noLeader`.
 */
export function refuseWithoutLeader(engine: Engine): void {
  if (engine.status().leaderId === null) throw new EngineError("noLeader");
}
