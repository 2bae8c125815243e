import { hasIdempotencyKey } from "../idempotency.ts";
import { MAX_POLL_MS } from "../sugar/watch-route.ts";
import { waitsForOthers } from "../etcd/waiting-paths.ts";

/** What a call allows a front that passes it on: how often it may be asked, and how long its answer may take. */
export interface Patience {
  /** Whether it changes nothing. */
  readonly read: boolean;
  /** Whether another voter may be asked when one broke off, which may have done it. */
  readonly repeatable: boolean;
  /** How long one voter is given, in milliseconds. */
  readonly answerMs: number;
  /**
   * The answer comes when something happens, so that silence says nothing: after so many milliseconds the voter is
   * asked whether it lives, again and again. Null: the answer comes as soon as it can.
   */
  readonly probeAfterMs: number | null;
}

/** How much longer than the node's own patience an answer may take. */
const GRACE_MS = 2000;
/** A read is asked of another voter after this long, or half of the node's own patience. */
const READ_PATIENCE_MS = 4000;
/** The longest that a lock or an election is waited for with one request. */
const MAX_WAIT_MS = 600_000;

/** @param requestTimeoutMs the node's own patience with a request. */
export function patienceWith(request: Request, url: string, requestTimeoutMs: number): Patience {
  const { pathname, searchParams } = new URL(url);
  const patientMs = requestTimeoutMs + GRACE_MS;
  const readMs = Math.min(READ_PATIENCE_MS, requestTimeoutMs / 2);
  if (request.method === "GET" || request.method === "HEAD") {
    const waitMs = pathname === "/watch" ? durationMs(searchParams.get("wait")) : 0;
    return waitMs === 0
      ? { read: true, repeatable: true, answerMs: readMs, probeAfterMs: null }
      : { read: true, repeatable: true, answerMs: waitMs + patientMs, probeAfterMs: readMs };
  }
  if (pathname === "/v3/kv/range" || pathname === "/v3/maintenance/status") {
    return { read: true, repeatable: true, answerMs: readMs, probeAfterMs: null };
  }
  if (waitsForOthers(pathname)) {
    return { read: false, repeatable: false, answerMs: MAX_WAIT_MS, probeAfterMs: readMs };
  }
  // A write with a name is done once, however often it is asked for.
  const repeatable = hasIdempotencyKey(request.headers);
  return { read: false, repeatable, answerMs: patientMs, probeAfterMs: null };
}

/** As the nodes read it; what they will refuse is not worth waiting for. */
function durationMs(text: string | null): number {
  const [, digits, unit] = /^([0-9]{1,9})(ms|s)$/.exec(text ?? "") ?? [];
  const value = Number(digits ?? 0) * (unit === "s" ? 1000 : 1);
  return value <= MAX_POLL_MS ? value : 0;
}
