import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { type Rewrite, rewriteSources } from "./rewrite.ts";

/** What one schedule came to. */
interface Explored {
  readonly seed: number;
  readonly story: readonly string[];
  readonly problem: string | null;
}

const OPTIONS = {
  from: { type: "string", default: "1" },
  seeds: { type: "string" },
  seconds: { type: "string", default: "600" },
  tell: { type: "string" },
  plant: { type: "string" },
} as const satisfies ParseArgsOptionsConfig;

/** The command line of every explorer: --from SEED, --seeds N, --seconds S, --tell SEED, --plant NAME of a bug. */
export class Explorer {
  readonly startedMs: number = performance.now();
  readonly #values: Readonly<Record<string, string | undefined>>;
  #unhandled: string | null = null;

  /**
   * Plants the bug that is asked for, if any: what is explored is to be loaded after this.
   *
   * @param more options of this explorer alone.
   */
  constructor(
    planted: readonly { readonly name: string; readonly rewrites: readonly Rewrite[] }[],
    seeds: number,
    more: readonly string[] = [],
  ) {
    const own = Object.fromEntries(more.map((name) => [name, { type: "string" as const }]));
    const { values } = parseArgs({ options: { ...OPTIONS, ...own } });
    this.#values = { seeds: String(seeds), ...(values as Record<string, string>) };
    const { plant } = this.#values;
    if (plant !== undefined) {
      const found = planted.find(({ name }) => name === plant);
      if (found === undefined) throw new Error(`no such planted bug: ${plant}`);
      rewriteSources(found.rewrites);
    }
    process.on("unhandledRejection", (error) => {
      this.#unhandled = `unhandled: ${JSON.stringify(error)}`;
    });
    // Stacks cost more than everything else; a schedule can be told again.
    if (this.#values["tell"] === undefined) Error.stackTraceLimit = 0;
  }

  option(name: string): string | undefined {
    return this.#values[name];
  }

  /** Tells one schedule, or plays one after the other until one breaks a rule; what it prints, and ends the process. */
  async explore<R extends Explored>(
    run: (seed: number, tell?: boolean) => Promise<R>,
    count: (result: R) => void,
    totals: () => string,
  ): Promise<never> {
    const { tell, from, seeds, seconds: limit } = this.#values;
    if (tell !== undefined) {
      const { story, problem } = await run(Number(tell), true);
      console.log(story.join("\n"));
      console.log(problem ?? "nothing found");
      process.exit(problem === null ? 0 : 1);
    }
    let done = 0;
    let problem: string | null = null;
    while (problem === null && done < Number(seeds) && this.#seconds() < Number(limit)) {
      const result = await run(Number(from) + done++);
      count(result);
      problem = result.problem ?? this.#unhandled;
      if (problem !== null) console.log(`seed ${result.seed}: ${problem}`);
    }
    const seconds = this.#seconds();
    console.log(
      `${done} schedules in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(0)}/s): ${totals()}`,
    );
    process.exit(problem === null ? 0 : 1);
  }

  #seconds(): number {
    return (performance.now() - this.startedMs) / 1000;
  }
}
