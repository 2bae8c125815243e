const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** What a timer can wait. Nobody waits longer than these 24 days for an answer. */
const MAX_MS = 2 ** 31 - 1;

/** `grpc-timeout` in milliseconds, rounded up; null for what is none. */
export function parseTimeoutMs(value: string): number | null {
  const [, digits, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(value) ?? [];
  if (digits === undefined || unit === undefined) return null;
  return Math.min(MAX_MS, Math.ceil(Number(digits) * UNIT_MS[unit]!));
}
