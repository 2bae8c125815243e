import type { Verdict as DiskVerdict } from "../core/node/world/disk.ts";

/** A machine by its number (founders first, then those that joined, in order), or whoever leads at that moment. */
export type Target = number | "leader";

/** What every node of a run is started with, and how long faults last. Durations in ms, sizes in bytes. */
export interface ScenarioOptions {
  readonly founders: number;
  /** The stores have one commit for hard state and entries. */
  readonly hasCommit: boolean;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly clockDriftBoundMs: number;
  readonly tailBytes: number;
  readonly maxAppendBytes: number;
  readonly maxInflightMessages: number;
  readonly maxUncommittedBytes: number;
  readonly quiesceAfterMs: number;
  readonly requestTimeoutMs: number;
  readonly snapshotEntries: number;
  readonly trailingEntries: number;
  readonly snapshotChunkBytes: number;
  readonly maxInflightReadys: number;
  readonly durationMs: number;
  /** Clocks may leave the drift bound: then lease reads promise nothing, and are not checked. */
  readonly wildClocks: boolean;
  /** Snapshots are in one place, where members can read those of others. */
  readonly sharedSnapshots?: boolean;
  /** Of the store, which is then filled on purpose. Absent: that of every day, which no run comes near. */
  readonly quotaBytes?: number;
  /** Authentication is switched on and off: users work under it, and everybody else is trusted. */
  readonly users?: boolean;
  /** How long followers may have to wait for news of a commit. Absent: not at all. */
  readonly commitNewsDelayMs?: number;
  /** The machines are Durable Objects, which lose their memory in their sleep. */
  readonly objects?: boolean;
}

export interface Weather {
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  readonly dropRate: number;
  readonly duplicateRate: number;
  readonly unreachableRate: number;
}

/** Something that goes wrong, or that an operator does. */
export type Fault =
  | { readonly do: "crash"; readonly node: Target }
  | { readonly do: "powerLoss" }
  /** An object loses its memory, in its sleep or at any time, until somebody needs it. */
  | { readonly do: "evict"; readonly node: Target; readonly anyTime: boolean }
  /** Machines that are down, or stopped by themselves, are started. */
  | { readonly do: "start"; readonly node: Target | "all" }
  /** As an operator would, handing leadership over. */
  | { readonly do: "stop"; readonly node: Target }
  /** Nothing passes between these and the rest. */
  | { readonly do: "partition"; readonly side: readonly Target[] }
  /** One direction of one link, or both: whom everybody else still reaches. */
  | { readonly do: "cut"; readonly from: Target; readonly to: Target; readonly both: boolean }
  | { readonly do: "heal" }
  | ({ readonly do: "weather" } & Weather)
  /** What one sends another is held back, and then arrives all at once. */
  | { readonly do: "clog"; readonly from: Target | "all"; readonly to: Target; readonly ms: number }
  | { readonly do: "slowDisk"; readonly node: Target; readonly ms: number }
  /** Of the writes to come the one with this number, from 1, goes wrong. */
  | { readonly do: "failDisk"; readonly node: Target; readonly write: number; readonly how: DiskVerdict }
  /** What is stored cannot be read for a while: the checksums do not hold. */
  | { readonly do: "corruptDisk"; readonly node: Target; readonly ms: number }
  /** Goes down at one of its next effects: a frame sent, a write begun, a chunk applied. */
  | { readonly do: "crashAt"; readonly node: Target; readonly effect: number; readonly side: Side }
  | { readonly do: "pause"; readonly node: Target; readonly ms: number }
  /** How fast the node's clock runs from now on; 0: it stands still. */
  | { readonly do: "clockRate"; readonly node: Target; readonly rate: number }
  | { readonly do: "clockJump"; readonly node: Target; readonly ms: number }
  | { readonly do: "wallJump"; readonly node: Target; readonly ms: number }
  /** For a while no client hears of what was done for it, though it is done. */
  | { readonly do: "loseReplies"; readonly ms: number }
  | { readonly do: "snapshot"; readonly node: Target }
  /** `unheard`: the leader does not hear any more from whom it hands over to. */
  | { readonly do: "transfer"; readonly to: Target; readonly unheard?: boolean }
  | { readonly do: "addMember"; readonly learner: boolean }
  /** `asks`: which machine the operator turns to, by default whoever leads. */
  | { readonly do: "promote"; readonly asks?: Target }
  | { readonly do: "removeMember"; readonly node: Target | "learner" };

export type Side = "before" | "after";

/** A client's request. Its id names the values it writes. */
export interface ClientAction {
  readonly do: "op";
  readonly work: string;
  readonly id: number;
  readonly node: Target;
  readonly op: OpSpec;
}

/** The parts of a request, as plain data; each workload knows its own. */
export type OpSpec = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export type Action = { readonly at: number } & (Fault | ClientAction);

/** A whole run: with the same code, the same scenario gives the same run to the last byte. */
export interface Scenario {
  readonly seed: number;
  readonly options: ScenarioOptions;
  readonly actions: readonly Action[];
}

/** One action a line, so that a scenario can be read and edited. */
export function scenarioText(scenario: Scenario, about: string): string {
  const actions = scenario.actions.map((action) => `    ${JSON.stringify(action)}`).join(",\n");
  const options = JSON.stringify(scenario.options, null, 2).replaceAll("\n", "\n  ");
  return `{\n  "about": ${JSON.stringify(about)},\n  "seed": ${scenario.seed},\n  "options": ${options},\n  "actions": [\n${actions}\n  ]\n}\n`;
}

export function parseScenario(text: string): Scenario {
  const { seed, options, actions } = JSON.parse(text) as Scenario;
  if (typeof seed !== "number" || typeof options !== "object" || !Array.isArray(actions))
    throw new Error("not a scenario");
  return { seed, options, actions };
}
