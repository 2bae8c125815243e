import type { Logger, LogLevel } from "../../core/node/index.ts";

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** For people, or for machines. */
export type LogFormat = "text" | "json";

/** What is written, how and where to. */
export interface NodeLoggerOptions {
  /** Lines below it are left out. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one line, with its line end. Default: standard error. */
  readonly write?: (line: string) => void;
  /** Default: the wall clock. */
  readonly now?: () => Date;
}

/** One line for each event, for people (`text`) or machines (`json`). Ids are written in hex, as etcd does. */
export function nodeLogger(options: NodeLoggerOptions): Logger {
  const threshold = LOG_LEVELS.indexOf(options.level);
  const write = options.write ?? ((line: string): void => void process.stderr.write(line));
  const now = options.now ?? ((): Date => new Date());
  const format = options.format === "json" ? jsonLine : textLine;
  return {
    log(level, message, fields = {}) {
      if (LOG_LEVELS.indexOf(level) >= threshold) write(`${format(now(), level, message, fields)}\n`);
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

function jsonLine(time: Date, level: LogLevel, message: string, fields: Fields): string {
  const line: Record<string, unknown> = { time: time.toISOString(), level, message };
  for (const [name, value] of Object.entries(fields)) line[name in line ? `${name}_` : name] = value;
  return JSON.stringify(line, plain);
}

function textLine(time: Date, level: LogLevel, message: string, fields: Fields): string {
  const facts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${textValue(value)}`);
  return `${time.toISOString()} ${level.toUpperCase().padEnd(5)} ${message}${facts.join("")}`;
}

function textValue(value: unknown): string {
  const simple = plain("", value);
  // Control characters would do things to a terminal; some of what is logged others have written.
  if (typeof simple === "string" && /^[^\s"=\p{C}]+$/u.test(simple)) return simple;
  const text = JSON.stringify(simple, plain) ?? String(simple);
  return text.replaceAll(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);
}

/** JSON has no word for these. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString(16);
  if (value instanceof Error) {
    const { name, message, stack } = value;
    const code: unknown = "code" in value ? value.code : undefined;
    return { name, message, code, stack, cause: value.cause };
  }
  return value;
}
