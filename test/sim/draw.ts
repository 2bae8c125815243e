import type { Verdict as DiskVerdict } from "../core/node/world/disk.ts";
import { Prng } from "../core/raft/harness/prng.ts";
import type { Action, ClientAction, Fault, OpSpec, Scenario, ScenarioOptions, Target } from "./scenario.ts";
import { drawAuth } from "./workloads/auth.ts";
import { WORKLOADS } from "./workloads/index.ts";
import { drawSpace } from "./workloads/space.ts";

/** Objects of the workloads are new ones after this long, so that none grows for ever. */
const EPOCH_MS = 30_000;
/** Clocks within the bound: over an election timeout two of them drift apart by less than it. */
const TAME_RATES = [0.98, 0.99, 1, 1.01, 1.02];
const WILD_RATES = [0, 0.2, 0.5, 2, 5];

/** How much rarer faults are in calm runs; what ends them is not. */
const CALM_FACTOR = 40;
const RECOVERY: readonly Fault["do"][] = ["start", "heal"];
/** What would make more than three machines of them, or fewer. */
const MEMBERSHIP: readonly Fault["do"][] = ["addMember", "promote", "removeMember"];
/** One seed in so many is a calm one. */
const CALM_EVERY = 10;

/** How often each thing happens, as the mean time between two of them in election timeouts; 0: never. */
type Tempo = Readonly<Record<Exclude<Fault["do"], "evict">, number>>;

/**
 * A scenario from a seed. Swarm testing (Groce et al., ISSTA 2012): the seed draws the probabilities too, and
 * leaves whole kinds of faults out, because a run without some of them reaches what a run with all never does.
 */
export function drawScenario(seed: number, overrides: Partial<ScenarioOptions> = {}): Scenario {
  const random = new Prng(seed ^ 0x5eed);
  const options = { ...drawOptions(random.fork()), ...overrides };
  const faults = drawFaults(random.fork(), options);
  const requests = drawRequests(random.fork(), options);
  const actions = [...faults, ...requests].sort((a, b) => a.at - b.at);
  return withSomeUsers(withQuota({ seed, options, actions }));
}

/**
 * One run in six has a small quota, and clients who fill the store and make room again. Drawn apart, so that the other
 * runs are what they were before there were quotas.
 */
function withQuota(scenario: Scenario): Scenario {
  const { seed, options, actions } = scenario;
  const random = new Prng(seed ^ 0x5bace);
  if (!random.chance(1 / 6)) return scenario;
  const meanMs = random.pick([50, 200]);
  const all = [...actions, ...drawMore(random, scenario, "space", meanMs, drawSpace)];
  all.sort((a, b) => a.at - b.at);
  return { seed, options: { ...options, quotaBytes: random.pick([20_000, 60_000]) }, actions: all };
}

/** One run in eight has users, drawn apart for the same reason. */
function withSomeUsers(scenario: Scenario): Scenario {
  const random = new Prng(scenario.seed ^ 0xa0711);
  return random.chance(1 / 8) ? withUsers(scenario, random) : scenario;
}

/** As every other short and hard run, but that there are users for certain. */
export function usersScenario(seed: number): Scenario {
  const scenario = drawScenario(seed);
  return scenario.options.users === true ? scenario : withUsers(scenario, new Prng(seed ^ 0xa0712));
}

function withUsers(scenario: Scenario, random: Prng): Scenario {
  const { seed, options, actions } = scenario;
  const meanMs = random.pick([50, 100]);
  const all = [...actions, ...drawMore(random, scenario, "auth", meanMs, drawAuth)];
  return { seed, options: { ...options, users: true }, actions: all.sort((a, b) => a.at - b.at) };
}

function drawMore(
  random: Prng,
  { options, actions }: Scenario,
  work: string,
  meanMs: number,
  draw: (random: Prng) => OpSpec,
): Action[] {
  let id = actions.reduce((last, action) => (action.do === "op" ? Math.max(last, action.id) : last), 0);
  const more: Action[] = [];
  for (let at = between(random, meanMs); at < options.durationMs; at += between(random, meanMs)) {
    const node: Target = random.chance(0.5) ? "leader" : 1 + random.int(options.founders);
    more.push({ at: Math.floor(at), do: "op", work, id: ++id, node, op: draw(random) });
  }
  return more;
}

/** Most seeds are short and hard, and one in ten is long and calm: what takes long to build up shows only there. */
export function scenarioOf(seed: number): Scenario {
  return seed % CALM_EVERY === CALM_EVERY - 1 ? calmScenario(seed) : drawScenario(seed);
}

/** Three machines that are Durable Objects, which have time to sleep, and to lose their memory in it or out of it. */
export function objectsScenario(seed: number): Scenario {
  const random = new Prng(seed ^ 0x0b7ec7);
  const options = {
    ...drawOptions(random.fork()),
    founders: 3,
    quiesceAfterMs: random.pick([200, 500, 1500]),
    // Drawn apart, so that the rest of each run is what it was before.
    commitNewsDelayMs: new Prng(seed ^ 0x2e35).pick([0, 10, 40, 90]),
    objects: true,
    sharedSnapshots: false,
    wildClocks: false,
  };
  const faults = drawFaults(random.fork(), options);
  const requests = withPauses(drawRequests(random.fork(), options), random.fork(), options);
  const evictions = drawEvictions(random.fork(), options);
  const asked = mostlyRead(requests, random.pick([0, 0.8, 0.95]), random.fork());
  return { seed, options, actions: [...faults, ...evictions, ...asked].sort((a, b) => a.at - b.at) };
}

function withPauses(actions: readonly Action[], random: Prng, options: ScenarioOptions): Action[] {
  const left: Action[] = [];
  for (let fromMs = 0; fromMs < options.durationMs;) {
    const untilMs = fromMs + between(random, 1500);
    left.push(...actions.filter(({ at }) => at >= fromMs && at < untilMs));
    fromMs = untilMs + options.quiesceAfterMs + between(random, 1000);
  }
  return left;
}

/** What wakes a group and adds nothing to its logs: then what was said before it woke fits still. */
function mostlyRead(actions: readonly Action[], rate: number, random: Prng): Action[] {
  return actions.map((action) => {
    if (action.do !== "op" || !random.chance(rate)) return action;
    const policy = random.pick(["linearizable", "lease"]);
    return { ...action, work: "register", op: { type: "get", key: "read", policy } };
  });
}

function drawEvictions(random: Prng, options: ScenarioOptions): Action[] {
  const meanMs = random.pick([300, 1000, 3000]);
  const anyTimeRate = random.pick([0, 0.2, 0.7]);
  const actions: Action[] = [];
  // Good nights that come late, or again.
  const maxDelayMs = random.pick([0, 60, 300]);
  for (let at = 0; at < options.durationMs && maxDelayMs > 0; at += 5000) {
    const conditions = { minDelayMs: 1, maxDelayMs, dropRate: 0, duplicateRate: 0.3, unreachableRate: 0 };
    actions.push({ at, do: "weather", ...conditions });
  }
  for (let at = between(random, meanMs); at < options.durationMs; at += between(random, meanMs)) {
    const node: Target = random.chance(0.3) ? "leader" : 1 + random.int(options.founders);
    actions.push({ at: Math.floor(at), do: "evict", node, anyTime: random.chance(anyTimeRate) });
  }
  return actions;
}

/** Half an hour of three machines with a request a second and few faults: for long times rather than hard ones. */
export function calmScenario(seed: number): Scenario {
  const random = new Prng(seed ^ 0xca1);
  const options: ScenarioOptions = {
    ...drawOptions(random.fork()),
    founders: 3,
    durationMs: 1_800_000,
    wildClocks: false,
    // The state grows to tens of thousands of bytes: sent in crumbs, it would not arrive within the bounds.
    snapshotChunkBytes: 10_000,
  };
  const faults = drawFaults(random.fork(), options, CALM_FACTOR).filter((action) => !isMembership(action));
  const requests = drawRequests(random.fork(), options, 1000);
  return { seed, options, actions: [...faults, ...requests].sort((a, b) => a.at - b.at) };
}

function isMembership({ do: name }: Action): boolean {
  return name !== "op" && MEMBERSHIP.includes(name);
}

function drawOptions(random: Prng): ScenarioOptions {
  return {
    founders: random.pick([1, 3, 3, 3, 3, 5]),
    hasCommit: random.chance(0.5),
    electionTimeoutMs: 1000,
    heartbeatIntervalMs: 100,
    clockDriftBoundMs: 100,
    tailBytes: random.pick([200, 2000, 1 << 20]),
    maxAppendBytes: random.pick([100, 1000, 1 << 20]),
    maxInflightMessages: random.pick([1, 4, 64]),
    maxUncommittedBytes: random.pick([3000, 64 << 20]),
    quiesceAfterMs: random.pick([0, 0, 0, 1500]),
    requestTimeoutMs: random.pick([2000, 5000]),
    snapshotEntries: random.pick([10, 50, 200, 100_000]),
    trailingEntries: random.pick([0, 5, 50]),
    snapshotChunkBytes: random.pick([200, 1000, 10_000]),
    maxInflightReadys: random.pick([1, 4]),
    durationMs: 40_000,
    wildClocks: random.chance(0.1),
    sharedSnapshots: random.chance(0.5),
  };
}

// Faults

function drawFaults(random: Prng, options: ScenarioOptions, factor = 1): Action[] {
  const tempo = drawTempo(random);
  const actions: Action[] = [];
  for (const [name, mean] of Object.entries(tempo) as [keyof Tempo, number][]) {
    if (mean === 0) continue;
    const meanMs = mean * options.electionTimeoutMs * (RECOVERY.includes(name) ? 1 : factor);
    for (let at = between(random, meanMs); at < options.durationMs; at += between(random, meanMs)) {
      actions.push({ at: Math.floor(at), ...drawFault(name, random, options) });
    }
  }
  return actions;
}

function between(random: Prng, meanMs: number): number {
  return -Math.log(1 - random.next()) * meanMs;
}

/** Things that are dangerous together: a run may have much of one of these. */
const FOCUSES: readonly (readonly (keyof Tempo)[])[] = [
  [],
  ["clog", "partition", "heal"],
  ["addMember", "promote", "removeMember", "slowDisk", "weather"],
  ["partition", "heal", "cut", "weather"],
  ["crash", "start", "crashAt", "powerLoss"],
  ["slowDisk", "failDisk", "partition", "transfer"],
  ["snapshot", "partition", "crash", "start"],
  ["transfer", "clog", "pause", "clockRate"],
  ["transfer", "weather"],
  ["weather", "partition", "heal"],
];

function drawTempo(random: Prng): Tempo {
  const focus = random.pick(FOCUSES);
  const tempo = drawUnfocused(random);
  const focused = focus.map((name) => [name, (tempo[name] === 0 ? 4 : tempo[name]) / 3] as const);
  return { ...tempo, ...Object.fromEntries(focused) };
}

function drawUnfocused(random: Prng): Tempo {
  const draw = (often: number): number => random.pick([0, often * 4, often]);
  return {
    crash: draw(5),
    powerLoss: draw(20),
    start: random.pick([1, 3]),
    stop: draw(15),
    partition: draw(5),
    cut: draw(5),
    heal: random.pick([2, 5]),
    weather: draw(6),
    clog: draw(6),
    slowDisk: draw(6),
    failDisk: draw(6),
    corruptDisk: draw(20),
    crashAt: draw(4),
    pause: draw(8),
    clockRate: draw(10),
    clockJump: draw(20),
    wallJump: draw(20),
    loseReplies: draw(10),
    snapshot: draw(8),
    transfer: draw(6),
    addMember: draw(10),
    promote: random.pick([2, 6]),
    removeMember: draw(15),
  };
}

function drawFault(name: keyof Tempo, random: Prng, options: ScenarioOptions): Fault {
  const { founders, electionTimeoutMs } = options;
  const machine = (): number => 1 + random.int(founders + 2);
  const someone = (): Target => (random.chance(0.4) ? "leader" : machine());
  const aWhile = (timeouts: number): number => 1 + random.int(timeouts * electionTimeoutMs);
  switch (name) {
    case "crash":
    case "stop":
    case "snapshot":
      return { do: name, node: someone() };
    case "removeMember":
      return { do: name, node: random.chance(0.3) ? "learner" : someone() };
    case "powerLoss":
    case "heal":
      return { do: name };
    case "promote":
      return { do: name, asks: random.chance(0.5) ? "leader" : machine() };
    case "start":
      return { do: name, node: random.chance(0.5) ? "all" : machine() };
    case "partition":
      return { do: name, side: random.chance(0.5) ? ["leader"] : [machine(), machine()] };
    case "cut":
      return { do: name, from: someone(), to: someone(), both: random.chance(0.5) };
    case "weather":
      return {
        do: name,
        minDelayMs: 1,
        maxDelayMs: random.pick([2, 10, 60, 300, 800, 1500]),
        dropRate: random.pick([0, 0, 0.05, 0.3]),
        duplicateRate: random.pick([0, 0.05, 0.3]),
        unreachableRate: random.pick([0, 0.5]),
      };
    case "clog":
      return { do: name, from: random.chance(0.4) ? "all" : someone(), to: someone(), ms: aWhile(3) };
    case "slowDisk":
      return { do: name, node: someone(), ms: random.pick([0, 5, 50, 200, 1000, 4000]) };
    case "failDisk": {
      const how = random.pick<DiskVerdict>([
        "fail",
        "fail",
        "hang",
        "crashBefore",
        "crashTorn",
        "crashAfter",
      ]);
      return { do: name, node: someone(), write: 1 + random.int(10), how };
    }
    case "corruptDisk":
      return { do: name, node: machine(), ms: aWhile(3) };
    case "crashAt":
      return {
        do: name,
        node: someone(),
        effect: 1 + random.int(random.pick([5, 30])),
        side: random.pick(["before", "after"]),
      };
    case "pause":
      return { do: name, node: someone(), ms: aWhile(4) };
    case "loseReplies":
      return { do: name, ms: aWhile(2) };
    case "clockRate":
      return { do: name, node: someone(), rate: random.pick(options.wildClocks ? WILD_RATES : TAME_RATES) };
    case "clockJump":
      // Within the bound together with what the rates do.
      return { do: name, node: someone(), ms: options.wildClocks ? aWhile(4) : 1 + random.int(40) };
    case "wallJump":
      return { do: name, node: someone(), ms: random.int(7_200_000) - 3_600_000 };
    case "transfer":
      return { do: name, to: machine(), unheard: random.chance(0.1) };
    case "addMember":
      return { do: name, learner: random.chance(0.8) };
  }
}

// Requests

function drawRequests(random: Prng, options: ScenarioOptions, mean?: number): Action[] {
  const names = Object.keys(WORKLOADS);
  const chosen = names.filter(() => random.chance(0.6));
  const works = chosen.length > 0 ? chosen : names;
  const meanMs = mean ?? random.pick([25, 50, 150, 500]);
  const stickiness = random.pick([0.3, 0.9]);
  const actions: (ClientAction & { at: number })[] = [];
  let id = 0;
  for (let at = between(random, meanMs); at < options.durationMs; at += between(random, meanMs)) {
    // Now and then many at once.
    const count = random.chance(0.02) ? 20 : 1;
    for (let i = 0; i < count; i++) {
      const work = random.pick(works);
      const node: Target = random.chance(stickiness) ? "leader" : 1 + random.int(options.founders + 2);
      const op = WORKLOADS[work]!.draw(random, Math.floor(at / EPOCH_MS));
      actions.push({ at: Math.floor(at), do: "op", work, id: ++id, node, op });
    }
  }
  return actions;
}
