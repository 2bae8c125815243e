/**
 * What a client did and what it knows about it. Times are any numbers that grow along the run (virtual
 * milliseconds, or better a step counter): one operation precedes another when it returned strictly before the
 * other was called. Equal times count as concurrent, so coarse clocks make the checks weaker, never wrong.
 */
export interface Call {
  readonly client: string | number;
  readonly callAt: number;
}

/**
 * How a call ended.
 *
 * - `ok`: it took effect, once, between call and return.
 * - `failed`: it had no effect and never will.
 * - `unknown`: it may take effect once at any time after the call, or never. A time-out is one, whenever it was
 *   reported, and so is an operation still open at the end.
 */
export type Outcome<Output> =
  | { readonly status: "ok"; readonly returnAt: number; readonly output: Output }
  | { readonly status: "failed" }
  | { readonly status: "unknown" };

export type Operation<Input, Output> = Call & Outcome<Output> & { readonly input: Input };

/** An operation that took effect. */
export type CompletedOperation<Input, Output> = Extract<Operation<Input, Output>, { status: "ok" }>;

/** `unknown` means that the checker gave up or had nothing to go by. It is never a pass. */
export type Verdict = "ok" | "violation" | "unknown";

/** The history cannot be what a run recorded: the recorder is broken, and no verdict would mean anything. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
}

/** Throws a HistoryError for times that no run can have recorded. */
export function assertTimes(call: Call & ({ status: "ok"; returnAt: number } | { status: string })): void {
  if (!Number.isFinite(call.callAt)) {
    throw new HistoryError(`client ${call.client}: call time ${call.callAt} is not a number`);
  }
  if (!("returnAt" in call) || call.status !== "ok") return;
  if (!Number.isFinite(call.returnAt) || call.returnAt < call.callAt) {
    throw new HistoryError(
      `client ${call.client}: called at ${call.callAt} and returned before, at ${call.returnAt}`,
    );
  }
}
