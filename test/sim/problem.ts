/**
 * - `crash`: the simulator itself, or code that it ran, threw what nobody expected.
 * - `safety`: an invariant was broken, or a node stopped without a disk to blame.
 * - `checker`: what clients saw is impossible, or a checker could not tell.
 * - `liveness`: after the faults ended something did not happen in time.
 * - `nondeterminism`: the same seed gave two different runs.
 */
export type ProblemKind = "crash" | "safety" | "checker" | "liveness" | "nondeterminism";

export interface Problem {
  readonly kind: ProblemKind;
  /** Which rule, in few words that do not change with the run: `S1 one leader`. */
  readonly rule: string;
  readonly detail: string;
}

/** Exit codes of the runner; 1 and 2 are Node's own and those of wrong usage. */
export const EXIT_CODES: Readonly<Record<ProblemKind, number>> = {
  crash: 10,
  safety: 11,
  checker: 12,
  liveness: 13,
  nondeterminism: 14,
};

/** The gravest first: what a run is called by when several things went wrong. */
export const GRAVITY: readonly ProblemKind[] = ["nondeterminism", "crash", "safety", "checker", "liveness"];

export function gravest(problems: readonly Problem[]): Problem | null {
  for (const kind of GRAVITY) {
    const found = problems.find((problem) => problem.kind === kind);
    if (found !== undefined) return found;
  }
  return null;
}
