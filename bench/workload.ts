// The same keys and values for everyone: 8 bytes and 256 bytes.

/** Keys that exist. */
export const KEYS = 10_000;

export const VALUE: Uint8Array = Uint8Array.from({ length: 256 }, (_, i) => i * 37);

export type Operation = "put" | "linearizable" | "lease" | "eventual";

export const OPERATIONS: readonly Operation[] = ["put", "linearizable", "lease", "eventual"];

export const CALLERS: readonly number[] = [1, 64, 256];

export function keyOf(i: number): string {
  return `k${String(i).padStart(7, "0")}`;
}

/** How long to measure. */
export interface Pace {
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly rounds: number;
}
