/** Go's notation of durations, as far as it makes sense here (`1h30m`, `500ms`); null for anything else. */
export function durationMs(text: string): number | null {
  const [, hours, minutes, seconds, milliseconds] =
    /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?$/.exec(text) ?? [];
  const parts = [hours, minutes, seconds, milliseconds];
  if (parts.every((part) => part === undefined)) return null;
  const [h, m, s, ms] = parts.map((part) => Number(part ?? 0));
  return ((h! * 60 + m!) * 60 + s!) * 1000 + ms!;
}
