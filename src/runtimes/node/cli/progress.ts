import type { Terminal } from "./terminal.ts";

const REDRAW_MS = 100;
const BAR_LENGTH = 30;
/** Back to the beginning of the line, and clear it. */
const ANEW = "\r\u001b[K";

/** A bar on a person's terminal while something takes its time, gone when it is done; nothing anywhere else. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #what: string;
  readonly #total: number;
  #done = 0;
  #drawnMs: number = -Infinity;
  #isDrawn = false;

  /** @param total in bytes. */
  constructor(terminal: Terminal, what: string, total: number) {
    this.#terminal = terminal;
    this.#what = what;
    this.#total = Math.max(1, total);
  }

  advance(bytes: number): void {
    this.#done += bytes;
    const nowMs = performance.now();
    if (!this.#terminal.isWatched || nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    this.#isDrawn = true;
    const share = Math.min(1, this.#done / this.#total);
    const bar = "#".repeat(Math.round(share * BAR_LENGTH)).padEnd(BAR_LENGTH, ".");
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    this.#terminal.error(`${ANEW}${this.#what} [${bar}] ${percent} of ${megabytes(this.#total)}`);
  }

  end(): void {
    if (this.#isDrawn) this.#terminal.error(ANEW);
  }
}

export function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
