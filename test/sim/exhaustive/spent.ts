import type { Bounds } from "./bounds.ts";

/** What can be used up: each has four bits of one number. */
const BUDGETS = ["proposals", "changes", "crashes", "stepDowns", "transfers", "timeouts"] as const;

export type Budget = (typeof BUDGETS)[number];

const MAX_BUDGET = 15;

export function assertCountable(bounds: Bounds): void {
  for (const budget of BUDGETS) {
    const limit = bounds[budget];
    if (!Number.isInteger(limit) || limit < 0 || limit > MAX_BUDGET)
      throw new RangeError(`${budget} must be between 0 and ${MAX_BUDGET}`);
  }
}

export function spentOf(spent: number, budget: Budget): number {
  return (spent >> (BUDGETS.indexOf(budget) * 4)) & MAX_BUDGET;
}

export function spending(spent: number, budget: Budget): number {
  return spent + (1 << (BUDGETS.indexOf(budget) * 4));
}

/** Whether no more is spent of anything. */
export function isWithin(spent: number, limit: number): boolean {
  for (let shift = 0; shift < BUDGETS.length * 4; shift += 4) {
    if (((spent >> shift) & MAX_BUDGET) > ((limit >> shift) & MAX_BUDGET)) return false;
  }
  return true;
}

export function isAllSpent(spent: number, bounds: Bounds): boolean {
  return BUDGETS.every((budget) => spentOf(spent, budget) === bounds[budget]);
}
