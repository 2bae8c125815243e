import { parseArgs } from "node:util";

/** What the runner was asked to do. */
export interface RunnerOptions {
  readonly mode: "seeds" | "minutes" | "crashPoints" | "replay";
  readonly from: number;
  /** Last seed, for `seeds`. */
  readonly to: number;
  readonly minutes: number;
  readonly workers: number;
  /** One seed in so many is run twice, and must give the same hash. */
  readonly repeatEvery: number;
  readonly shrink: boolean;
  /** Half an hour each, with few faults. */
  readonly calm: boolean;
  /** Durable Objects, which lose their memory in their sleep. */
  readonly objects: boolean;
  /** Crash points: one effect in so many. */
  readonly every: number;
  readonly replay: string;
  /** A planted bug, by its name. */
  readonly mutant: string | null;
}

export const USAGE = `npm run sim -- --seed N            one run; a failing one is shrunk with --shrink
npm run sim -- --seeds A..B        many
npm run sim -- --minutes M         fresh seeds for so long
npm run sim -- --crash-points      one scenario, a crash at every effect (--seed N for another;
                                   --every N for one effect in N)
npm run sim -- --replay FILE       a scenario from a file
  --workers N   processes (default 2)       --repeat-every N   default 10
  --mutant NAME with a planted bug  --calm         half an hour a run, few faults
  --objects     Durable Objects, which lose their memory in their sleep`;

export function parseOptions(args: readonly string[]): RunnerOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      minutes: { type: "string" },
      "crash-points": { type: "boolean", default: false },
      replay: { type: "string" },
      workers: { type: "string", default: "2" },
      "repeat-every": { type: "string", default: "10" },
      shrink: { type: "boolean", default: false },
      every: { type: "string", default: "1" },
      calm: { type: "boolean", default: false },
      objects: { type: "boolean", default: false },
      mutant: { type: "string" },
    },
  });
  const range = /^(\d+)\.\.(\d+)$/.exec(values.seeds ?? "");
  if (values.seeds !== undefined && range === null) throw new Error(`--seeds is A..B, not ${values.seeds}`);
  const number = (name: string, value: string): number => {
    const parsed = Number(value);
    if (value === "" || !(parsed >= 0)) throw new Error(`--${name} must be a number, not "${value}"`);
    return parsed;
  };
  // Fresh seeds differ from day to day; the first line says which they were.
  const seed = values.seed === undefined ? null : number("seed", values.seed);
  const fresh = Math.floor(Date.now() / 1000) * 1000;
  const from = range === null ? (seed ?? (values["crash-points"] ? 1 : fresh)) : Number(range[1]);
  return {
    mode: values["crash-points"]
      ? "crashPoints"
      : values.replay !== undefined
        ? "replay"
        : values.minutes !== undefined && range === null
          ? "minutes"
          : "seeds",
    from,
    to: range === null ? from : Number(range[2]),
    minutes: values.minutes === undefined ? 0 : number("minutes", values.minutes),
    workers: number("workers", values.workers),
    repeatEvery: Math.max(1, number("repeat-every", values["repeat-every"])),
    shrink: values.shrink,
    calm: values.calm,
    objects: values.objects,
    every: Math.max(1, number("every", values.every)),
    replay: values.replay ?? "",
    mutant: values.mutant ?? null,
  };
}
