import type { Logger, LogLevel } from "../../../core/node/index.ts";

/** Distinct subjects remembered; past that they share a line. */
const MAX_SUBJECTS = 256;

/** A log that says the same thing at most once per interval, and then how often it was left out. */
export class LimitedLog {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #intervalMs: number;
  readonly #subjects = new Map<string, { saidAtMs: number; leftOut: number }>();

  constructor(logger: Logger, nowMs: () => number, intervalMs = 10_000) {
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#intervalMs = intervalMs;
  }

  /** @param subject lines of the same subject are held back together. */
  log(
    level: LogLevel,
    subject: string,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    const key = this.#subjects.has(subject) || this.#subjects.size < MAX_SUBJECTS ? subject : "other";
    const now = this.#nowMs();
    const state = this.#subjects.get(key);
    if (state !== undefined && now - state.saidAtMs < this.#intervalMs) {
      state.leftOut++;
      return;
    }
    this.#subjects.set(key, { saidAtMs: now, leftOut: 0 });
    const leftOut = state?.leftOut ?? 0;
    this.#logger.log(level, message, leftOut === 0 ? fields : { ...fields, leftOut });
  }
}
