/** What the platform bills by the piece, counted. */
export interface Billed {
  /** From clients to the Worker. */
  readonly workerRequests: number;
  /** To objects, of the Worker and of one another; alarms are among them. */
  readonly objectRequests: number;
  /** By all objects together; to set or delete an alarm is one. */
  readonly rowsWritten: number;
  readonly objectsMade: number;
}

export const COUNTS_PATH = "/counts";

export function since(before: Billed, after: Billed): Billed {
  return {
    workerRequests: after.workerRequests - before.workerRequests,
    objectRequests: after.objectRequests - before.objectRequests,
    rowsWritten: after.rowsWritten - before.rowsWritten,
    objectsMade: after.objectsMade - before.objectsMade,
  };
}

/** US dollars, list prices of autumn 2026; what the plan includes comes off. */
const PLAN = 5;
const PER_MILLION = { workerRequests: 0.3, objectRequests: 0.15, rowsWritten: 1, gigabyteSeconds: 12.5 };
const INCLUDED = {
  workerRequests: 10e6,
  objectRequests: 1e6,
  rowsWritten: 50e6,
  gigabyteSeconds: 400e3,
};
const OBJECT_GIGABYTES = 0.128;
const SECONDS_A_MONTH = (365.25 * 24 * 3600) / 12;

/** A month's bill, in dollars. */
export interface Bill {
  readonly plan: number;
  readonly workerRequests: number;
  readonly objectRequests: number;
  readonly rowsWritten: number;
  /** The time for which objects are in memory and cannot hibernate. */
  readonly duration: number;
  readonly total: number;
}

/** A month at the pace of those seconds, without what is stored (GB), read (rows) and computed (CPU time). */
export function billOf(billed: Billed, seconds: number, objectsAwake: number): Bill {
  const dollars = (what: keyof typeof INCLUDED, perSecond: number): number =>
    (Math.max(0, perSecond * SECONDS_A_MONTH - INCLUDED[what]) / 1e6) * PER_MILLION[what];
  const parts = {
    plan: PLAN,
    workerRequests: dollars("workerRequests", billed.workerRequests / seconds),
    objectRequests: dollars("objectRequests", billed.objectRequests / seconds),
    rowsWritten: dollars("rowsWritten", billed.rowsWritten / seconds),
    duration: dollars("gigabyteSeconds", objectsAwake * OBJECT_GIGABYTES),
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
