/** Prints what was observed, in colour when it is a terminal that reads it. */

const colours = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const paint = (code: number, text: string): string => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);

export function chapter(title: string): void {
  console.log(`\n${paint(1, title)}`);
}

export function observe(text: string): void {
  console.log(`  ${paint(32, "✓")} ${text}`);
}

export function note(text: string): void {
  console.log(`  ${paint(2, text)}`);
}

/** An observation that contradicts what the engine promises: the demo fails. */
export function require(holds: boolean, text: string): void {
  if (!holds) throw new Error(`not so: ${text}`);
  observe(text);
}

/** "0.42 ms (median), 1.30 ms (99 %)" */
export function latencies(samplesMs: readonly number[]): string {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  const at = (share: number): string => `${sorted[Math.floor((sorted.length - 1) * share)]!.toFixed(2)} ms`;
  return `${at(0.5)} (median), ${at(0.99)} (99 %)`;
}
