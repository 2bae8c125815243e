/*
 * node test/sim/exhaustive/main.ts [--profile NAME] [--depth N] [--max-states N] [--mutant NAME] [bounds]
 *
 * Ends with 0 if nothing was found, 10 if an invariant was broken, 11 if a planted bug was not found, 2 if it was
 * not understood, 1 if it broke down itself.
 */
import { parseArgs } from "node:util";
import { type Bounds, PROFILES, QUIET_BOUNDS } from "./bounds.ts";
import { MUTANTS, type Mutant } from "./mutants.ts";
import { loadOpenCore } from "./open-core.ts";
import { Search, type SearchReport } from "./search.ts";

const EXIT = { clean: 0, usage: 2, violation: 10, mutantSurvived: 11 } as const;

const USAGE = `Options:
  --profile NAME     a space by name (default: all); "all" for one after the other
  --depth N          no deeper than this
  --max-states N     no more than these (default 1000000)
  --mutant NAME      with this bug planted, in the space that shows it unless --profile names one;
                     "all", or several names with commas between them, for a table
  --ignore PREFIX    an invariant not to count, e.g. S8; may be repeated
  --quiet            no line for every depth
Bounds, instead of those of the space: --terms N --timeouts N --proposals N --changes N
  --change remove|demote|joint --crashes N --step-downs N --transfers N --heartbeats on|off
  --single-entries on|off --elected on|off
Spaces: ${Object.keys(PROFILES).join(", ")}
Mutants: ${MUTANTS.map(({ name }) => name).join(", ")}`;

type Options = ReturnType<typeof options>;

function options() {
  const string = { type: "string" } as const;
  return parseArgs({
    options: {
      profile: string,
      depth: string,
      "max-states": string,
      mutant: string,
      ignore: { type: "string", multiple: true },
      quiet: { type: "boolean" },
      terms: string,
      timeouts: string,
      proposals: string,
      changes: string,
      change: string,
      crashes: string,
      "step-downs": string,
      transfers: string,
      heartbeats: string,
      "single-entries": string,
      elected: string,
    },
  }).values;
}

class UsageError extends Error {}

function count(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`not a number: ${text}`);
  return Number(text);
}

function chosen<T extends string>(text: string | undefined, choice: readonly T[], otherwise: T): T {
  const found = choice.find((name) => name === (text ?? otherwise));
  if (found === undefined) throw new UsageError(`${text} is none of ${choice.join(", ")}`);
  return found;
}

function isOn(text: string | undefined, otherwise: boolean): boolean {
  return chosen(text, ["on", "off"], otherwise ? "on" : "off") === "on";
}

function boundsFrom(given: Options, base: Bounds): Bounds {
  return {
    maxTerm: count(given.terms, base.maxTerm),
    timeouts: count(given.timeouts, base.timeouts),
    proposals: count(given.proposals, base.proposals),
    changes: count(given.changes, base.changes),
    changeKind: chosen(given.change, ["remove", "demote", "joint"], base.changeKind),
    crashes: count(given.crashes, base.crashes),
    stepDowns: count(given["step-downs"], base.stepDowns),
    transfers: count(given.transfers, base.transfers),
    heartbeats: isOn(given.heartbeats, base.heartbeats),
    singleEntries: isOn(given["single-entries"], base.singleEntries),
    elected: isOn(given.elected, base.elected),
  };
}

interface Run {
  readonly report: SearchReport;
  readonly seconds: number;
}

async function search(given: Options, bounds: Bounds, mutant: Mutant | undefined): Promise<Run> {
  const core = await loadOpenCore(mutant?.patches);
  const limits = {
    maxDepth: count(given.depth, 1000),
    maxStates: count(given["max-states"], 1_000_000),
    ignore: given.ignore ?? [],
  };
  // The processor's time: what else the machine does is no business of this.
  const before = process.cpuUsage();
  const report = new Search(core, bounds, limits).run(({ depth, states, frontier }) => {
    if (given.quiet !== true) console.log(`depth ${depth}: ${states} states, ${frontier} of them new`);
  });
  const { user, system } = process.cpuUsage(before);
  return { report, seconds: (user + system) / 1e6 };
}

function summary({ report, seconds }: Run): string {
  const { ending, depth, states, covered, transitions, nodeStates, coreRuns, reached } = report;
  const how = {
    exhausted: "every state within the bounds was visited",
    depth: "cut at the depth given",
    states: "cut at the number of states given",
    violation: "an invariant was broken",
  };
  return [
    `${how[ending]}: depth ${depth}, ${states} distinct states, ${transitions} transitions, ${seconds.toFixed(1)} s of CPU`,
    `(${covered} more were covered by a visited one; ${nodeStates} states of single nodes, ${coreRuns} runs of the core)`,
    `seen on the way: ${reached.leaders} leaders in one run, ${reached.committed} entries committed, ` +
      `a configuration of ${reached.smallestConfig}${reached.joint ? " and a joint one" : ""}, ` +
      `${reached.mostMessages} messages under way, ${reached.allSpent ? "all" : "not all"} budgets spent`,
  ].join("\n");
}

async function exploreOne(given: Options, name: string, base: Bounds, mutant?: Mutant): Promise<number> {
  const bounds = boundsFrom(given, base);
  console.log(`${name}${mutant === undefined ? "" : `, with a bug: ${mutant.about}`}`);
  console.log(JSON.stringify(bounds));
  const run = await search(given, bounds, mutant);
  console.log(summary(run));
  const { violation } = run.report;
  if (violation === null) return mutant === undefined ? EXIT.clean : EXIT.mutantSurvived;
  violation.trace.forEach((line, i) => console.log(`${String(i + 1).padStart(4)}. ${line}`));
  for (const broken of violation.broken) console.log(`BROKEN ${broken}`);
  return EXIT.violation;
}

async function hunt(given: Options, mutants: readonly Mutant[]): Promise<number> {
  let exit: number = EXIT.clean;
  console.log("| bug | what it is | broken | steps | states | CPU s |\n|---|---|---|---|---|---|");
  for (const mutant of mutants) {
    const bounds = boundsFrom(given, { ...QUIET_BOUNDS, ...mutant.bounds });
    const { report, seconds } = await search({ ...given, quiet: true }, bounds, mutant);
    const broken = report.violation?.broken[0]?.split(":")[0] ?? "NOT FOUND";
    if (report.violation === null) exit = EXIT.mutantSurvived;
    console.log(
      `| ${mutant.name} | ${mutant.about} | ${broken} | ${report.depth} | ${report.states} | ${seconds.toFixed(1)} |`,
    );
  }
  return exit;
}

function mutantNamed(text: string): Mutant {
  const found = MUTANTS.find(({ name }) => name === text);
  if (found === undefined)
    throw new UsageError(`${text} is none of ${MUTANTS.map(({ name }) => name).join(", ")}`);
  return found;
}

async function main(): Promise<number> {
  const given = options();
  const names = ["all", ...Object.keys(PROFILES)];
  if (given.mutant !== undefined) {
    if (given.mutant === "all") return await hunt(given, MUTANTS);
    const mutants = given.mutant.split(",").map(mutantNamed);
    const [mutant] = mutants;
    if (mutants.length > 1 || mutant === undefined) return await hunt(given, mutants);
    const own = { ...QUIET_BOUNDS, ...mutant.bounds };
    const base = given.profile === undefined ? own : PROFILES[chosen(given.profile, names.slice(1), "")]!;
    return await exploreOne(given, mutant.name, base, mutant);
  }
  const profile = chosen(given.profile, names, "all");
  if (profile !== "all") return await exploreOne(given, profile, PROFILES[profile]!);
  for (const [name, bounds] of Object.entries(PROFILES)) {
    const exit = await exploreOne(given, name, bounds);
    if (exit !== EXIT.clean) return exit;
  }
  return EXIT.clean;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  if (isUsage !== true && !(error instanceof RangeError)) throw error;
  console.error(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = EXIT.usage;
}
