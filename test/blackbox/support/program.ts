import { parseArgs } from "node:util";

/** What a black-box program reports with, and what it must undo. */
export interface Run {
  readonly seed: number;
  /** What follows `--name=` on the command line. */
  option(name: string): string | undefined;
  /** A fact that was seen. */
  observe(text: string): void;
  /** A fact that must hold; the program fails with the first that does not. */
  require(holds: boolean, text: string): void;
  /** Done when the program ends, however it ends; last registered, first done. */
  cleanUp(action: () => unknown): void;
}

/**
 * Runs one black-box program: prints its seed, ends it after `seconds` at the latest, and tells by the exit status
 * whether everything it required held. `--seed=N` repeats a run's choices.
 */
export async function program(
  name: string,
  seconds: number,
  body: (run: Run) => Promise<void>,
): Promise<void> {
  const { values } = parseArgs({ options: { seed: { type: "string" } }, strict: false });
  const seed = typeof values.seed === "string" ? Number(values.seed) : Math.floor(Math.random() * 2 ** 31);
  const undo: (() => unknown)[] = [];
  const run: Run = {
    seed,
    option: (option) => {
      const value = values[option];
      return typeof value === "string" ? value : undefined;
    },
    observe: (text) => console.log(`  ${text}`),
    require: (holds, text) => {
      if (!holds) throw new Error(`not so: ${text}`);
      console.log(`  ✓ ${text}`);
    },
    cleanUp: (action) => void undo.push(action),
  };
  const end = async (exitCode: number): Promise<never> => {
    for (const action of undo.reverse()) await action();
    process.exit(exitCode);
  };
  const fail = (error: unknown): Promise<never> => {
    console.error(`${name} failed (repeat its choices with --seed=${seed})`);
    console.error(error);
    return end(1);
  };
  setTimeout(() => void fail(new Error(`not done after ${seconds} s`)), seconds * 1000).unref();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void end(1));
  console.log(`${name} --seed=${seed}`);
  try {
    await body(run);
  } catch (error) {
    await fail(error);
  }
  await end(0);
}
