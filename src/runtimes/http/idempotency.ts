import { EngineError } from "../../core/errors/index.ts";
import type { WriteOptions } from "../../core/node/index.ts";
import type { RequestHeaders } from "./client-auth.ts";

/*
 * The header field of draft-ietf-httpapi-idempotency-key-header: a quoted string; the quotes may be left out, as many
 * clients do. The draft has no field for the reply; this one is in use elsewhere.
 */

const FIELD = "Idempotency-Key";
export const REPLAYED_FIELD = "Idempotent-Replayed";

const NONE: WriteOptions = {};

/** What the header says. The engine refuses a key that is none. @throws EngineError `invalidArgument`. */
export function writeOptions(headers: RequestHeaders): WriteOptions {
  const value = headers.get(FIELD);
  if (value === null) return NONE;
  const [, quoted] = /^"(.*)"$/.exec(value) ?? [];
  return { idempotencyKey: quoted ?? value };
}

/** Whether the sender has named the request. */
export function hasIdempotencyKey(headers: Headers): boolean {
  return headers.has(FIELD);
}

/** For what takes no key: whoever gives one would rely on it. @throws EngineError `invalidArgument`. */
export function refuseKey(headers: RequestHeaders): void {
  if (headers.get(FIELD) === null) return;
  throw new EngineError("invalidArgument", {
    detail: `${FIELD}: only put, deleterange, a txn that writes, and PUT and DELETE of a key take one`,
  });
}

export function replayHeaders(replayed: boolean | undefined): Record<string, string> {
  return replayed === true ? { [REPLAYED_FIELD]: "true" } : {};
}
