import { messageOf, type RequestFailure } from "../object-store/index.ts";

/** Too many requests, or too many writes of one key; a body that did not arrive whole or as it was. */
const BUSY: ReadonlySet<number> = new Set([10013, 10037, 10058]);

const UNCLEAR: ReadonlySet<number> = new Set([10001, 10043, 10054]);

const FIXES: ReadonlyMap<number, string> = new Map([
  [10002, "access is denied: bind the bucket to this Worker again"],
  [10003, "access is denied: bind the bucket to this Worker again"],
  [10006, "there is no such bucket: create it, and bind it to this Worker"],
  [10042, "the account has no R2: subscribe to it"],
  [10069, "a lock rule of the bucket forbids it: take the rule away from this prefix"],
]);

/** The binding says so by null, not by an error. */
export class ConditionFailed extends Error {
  override readonly name = "ConditionFailed";
}

/**
 * What an error of the binding means. Its number stands at the end of the message:
 * https://developers.cloudflare.com/r2/api/error-codes/
 */
export function explainR2Error(error: unknown): RequestFailure {
  if (error instanceof ConditionFailed) return { type: "conditionFailed" };
  const message = messageOf(error);
  const number = Number(/\((\d{5,6})\)\s*$/.exec(message)?.[1] ?? 0);
  if (number === 10031) return { type: "conditionFailed" };
  if (number === 10007) return { type: "absent" };
  if (BUSY.has(number)) return { type: "busy" };
  // Without a number it is the connection to R2 that failed.
  if (number === 0 || UNCLEAR.has(number)) return { type: "unclear" };
  return { type: "rejected", detail: `${FIXES.get(number) ?? "the request was refused"} (${message})` };
}
