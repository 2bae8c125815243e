/** What platforms say when no connection came about, so that nothing can have been sent. */
const NOT_CONNECTED: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
  // Bun's
  "ConnectionRefused",
]);

const MAX_DEPTH = 5;

/**
 * Whether a failure of `fetch` certainly means that the request was not sent. Browsers never tell, for good reasons;
 * Node does, in the error's causes.
 */
export function wasNotSent(error: unknown, depth: number = 0): boolean {
  if (typeof error !== "object" || error === null || depth > MAX_DEPTH) return false;
  const { code, syscall, errors, cause } = error as Readonly<Record<string, unknown>>;
  if (NOT_CONNECTED.has(code) || syscall === "connect") return true;
  // Several addresses were tried: none may have been reached.
  if (Array.isArray(errors) && errors.length > 0) return errors.every((each) => wasNotSent(each, depth + 1));
  return wasNotSent(cause, depth + 1);
}
