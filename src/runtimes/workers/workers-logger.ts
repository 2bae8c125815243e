import type { Logger, LogLevel } from "../../core/node/index.ts";

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** One JSON object for each event on the console, which is where Workers Logs takes them from. */
export function workersLogger(level: LogLevel, context: Readonly<Record<string, unknown>>): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  return {
    log(lineLevel, message, fields = {}) {
      if (LOG_LEVELS.indexOf(lineLevel) < threshold) return;
      // oxlint-disable-next-line eslint/no-restricted-globals -- where the platform collects logs
      console[lineLevel](JSON.stringify({ level: lineLevel, message, ...context, ...fields }, plain));
    },
  };
}

/** JSON has no word for these. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString(16);
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
  return value;
}
