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

/** What to measure, and how long. */
export interface Pace {
  readonly selects: (row: RowName) => boolean;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly rounds: number;
}

export interface RowName {
  readonly operation: Operation;
  readonly callers: number;
  readonly target: string;
}

/** Selects the rows that every one of these words names something of: "put 64 leader", say. */
export function selector(words: string): Pace["selects"] {
  const wanted = words.split(" ").filter((word) => word !== "");
  return ({ operation, callers, target }) =>
    wanted.every(
      (word) => word === operation || word === String(callers) || target.split(" ").includes(word),
    );
}
