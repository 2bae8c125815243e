import type { ConfChange, NodeId } from "../../../src/core/raft/index.ts";

/** Which membership change the group may make: one voter goes or becomes a learner, or two go at once by way of joint consensus. */
export type ChangeKind = "remove" | "demote" | "joint";

/** What bounds the space. Everything within is visited; loss, reordering and repetition of messages know no bound. */
export interface Bounds {
  /**
   * The highest term for which anybody may time out. The group begins in term 1, so 3 allows two elections. (The only
   * voter campaigns at each restart besides.)
   */
  readonly maxTerm: number;
  /** Election timeouts. */
  readonly timeouts: number;
  readonly proposals: number;
  readonly changes: number;
  readonly changeKind: ChangeKind;
  /** Crashes, each followed by a restart; being down for a while is the same as messages getting lost. */
  readonly crashes: number;
  /** Leaders send heartbeats, any number of rounds; else none, and what is lost is sent again only by a new leader. */
  readonly heartbeats: boolean;
  /** Leaders that step down because they hear from nobody. */
  readonly stepDowns: number;
  /** Transfers of leadership. */
  readonly transfers: number;
  /** One entry in a message, instead of all that there are. */
  readonly singleEntries: boolean;
  /** Begin with the leader of term 2, its first entry committed and everybody up to date. */
  readonly elected: boolean;
}

/** Two elections at most, and nothing else: what the others begin from. */
export const QUIET_BOUNDS: Bounds = {
  maxTerm: 3,
  timeouts: 2,
  proposals: 0,
  changes: 0,
  changeKind: "remove",
  crashes: 0,
  heartbeats: false,
  stepDowns: 0,
  transfers: 0,
  singleEntries: false,
  elected: false,
};

/** Everything at once: far more than can be visited to the end, so the search goes as deep as it may. */
const EVERYTHING: Bounds = {
  ...QUIET_BOUNDS,
  timeouts: 3,
  proposals: 2,
  changes: 1,
  crashes: 2,
  heartbeats: true,
  stepDowns: 1,
};

/** Spaces by name; which of them were visited to the end is in the README. */
export const PROFILES: Readonly<Record<string, Bounds>> = {
  "election-crash": { ...QUIET_BOUNDS, timeouts: 1, crashes: 2 },
  elections: QUIET_BOUNDS,
  "log-repair": { ...QUIET_BOUNDS, timeouts: 1, proposals: 1, elected: true },
  heartbeats: { ...QUIET_BOUNDS, timeouts: 0, proposals: 1, heartbeats: true, elected: true },
  "two-crashes": { ...QUIET_BOUNDS, timeouts: 0, proposals: 1, crashes: 2, elected: true },
  "two-proposals": { ...QUIET_BOUNDS, timeouts: 0, proposals: 2, elected: true },
  transfer: { ...QUIET_BOUNDS, timeouts: 0, proposals: 1, transfers: 1, elected: true },
  "change-two-crashes": { ...QUIET_BOUNDS, timeouts: 0, changes: 1, crashes: 2, elected: true },
  change: { ...QUIET_BOUNDS, timeouts: 1, changes: 1, elected: true },
  demote: { ...QUIET_BOUNDS, timeouts: 1, changes: 1, changeKind: "demote", elected: true },
  joint: { ...QUIET_BOUNDS, timeouts: 0, changes: 1, changeKind: "joint", elected: true },
  "joint-crash": { ...QUIET_BOUNDS, timeouts: 0, changes: 1, crashes: 1, changeKind: "joint", elected: true },
  "elections-crash": { ...QUIET_BOUNDS, crashes: 1, heartbeats: true },
  everything: EVERYTHING,
  "everything-elected": { ...EVERYTHING, elected: true },
};

/** Who may be the target of a change; for `joint` who remains. */
export function changeOf(kind: ChangeKind, target: NodeId, voters: readonly NodeId[]): ConfChange {
  const context = new Uint8Array(0);
  switch (kind) {
    case "remove":
      return { steps: [{ type: "remove", node: target }], transition: "auto", context };
    case "demote":
      return { steps: [{ type: "addLearner", node: target }], transition: "auto", context };
    case "joint": {
      const leaving = voters.filter((node) => node !== target);
      return { steps: leaving.map((node) => ({ type: "remove", node })), transition: "implicit", context };
    }
  }
}
