/** What is kept for the answer to leave in. */
const MARGIN_MS = 250;
/** Without a context, as in a test. */
const NO_CONTEXT_MS = 30_000;

/** Of the context that Lambda gives with each event. */
export interface InvocationContext {
  getRemainingTimeInMillis?(): number;
}

/** How long an invocation may still take: what is past it is cut off, and the client is told nothing at all. */
export interface Deadline {
  /** What is left for work, in milliseconds; never less than 0. */
  leftMs(): number;
}

export function invocationDeadline(context: InvocationContext | undefined): Deadline {
  const endMs = Date.now() + NO_CONTEXT_MS;
  const remainingMs = (): number => context?.getRemainingTimeInMillis?.() ?? endMs - Date.now();
  return { leftMs: () => Math.max(0, remainingMs() - MARGIN_MS) };
}

/** Over when half of what is left now is over. */
export function halfOf(deadline: Deadline): Deadline {
  const endMs = performance.now() + deadline.leftMs() / 2;
  return { leftMs: () => Math.max(0, Math.min(deadline.leftMs(), endMs - performance.now())) };
}
