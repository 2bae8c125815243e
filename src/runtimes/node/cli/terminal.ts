import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { buffer } from "node:stream/consumers";

/** What a command sees of the world; tests give it another one. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  out(text: string | Uint8Array): void;
  error(text: string): void;
  /** What goes to `error` is seen by a person as it comes. */
  readonly isWatched: boolean;
  readInput(): Promise<Uint8Array>;
  /** The same, line by line as it is typed. */
  inputLines(): AsyncIterable<string>;
  /** Whether what is asked for is typed by a person. */
  readonly asksPeople: boolean;
  /** A line that is not shown while it is typed; where nobody types, the first line of the input. */
  readSecret(prompt: string): Promise<string>;
  /** Aborts when the user, or whoever supervises this process, wants it to end: it is to do so by itself then. */
  interrupted(): AbortSignal;
}

export const processTerminal: Terminal = {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  isWatched: process.stderr.isTTY === true,
  readInput: () => buffer(process.stdin),
  inputLines: () => createInterface({ input: process.stdin, crlfDelay: Infinity }),
  asksPeople: process.stdin.isTTY === true,
  readSecret,
  interrupted: () => {
    const interruption = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interruption.abort());
    return interruption.signal;
  },
};

async function readSecret(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  if (stdin.isTTY === true) stderr.write(prompt);
  // It writes what is typed to where nothing shows it.
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silence, terminal: stdin.isTTY === true });
  try {
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    if (stdin.isTTY === true) stderr.write("\n");
  }
}

/** Rows with their columns aligned under the headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return `${[headings, ...rows].map(line).join("\n")}\n`;
}
