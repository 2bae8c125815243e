import type { Message, Raft } from "../../../src/core/raft/index.ts";
import type { OpenCore } from "./open-core.ts";

/*
 * The canonical form of a node: its whole private state as a tree of plain JSON, equal for two nodes exactly when
 * nothing that can happen from now on can tell them apart. The tree is made generically from the objects, field by
 * field, so a field that the core gains is in it without anybody thinking of it. Left out is only what is named
 * here, and why:
 *
 * - Time. See NOW_MS below.
 * - Heartbeat rounds. They number what reads and leader leases rest on, and the search asks for neither, so the
 *   number decides nothing (the count of heartbeats is bounded from outside).
 * - The number of the newest Ready. It names writes under way, which are renumbered from 1.
 * - What never changes: options, the source of randomness, the wiring between objects.
 */

/** JSON. Bigints are "#1", bytes "x0a"; arrays are tagged by their first element: a array, s set, m map, o object, c class. */
export type Tree = null | boolean | number | string | readonly Tree[];

/** The time at every event; what follows shows that no clock needs to say more. */
export const NOW_MS = 10_000;
export const ELECTION_TIMEOUT_MS = 1000;
export const HEARTBEAT_INTERVAL_MS = 100;

/*
 * Time is abstracted away without leaving out a behaviour, or adding one that clocks of unknown speed could not
 * bring about:
 *
 * - A follower's promise to its leader (the refusal to listen to a candidate) counts as expired. That a request to
 *   vote comes before its end is the same as that the request is lost.
 * - Election deadlines lie one timeout ahead, and may come at any moment: that is an action of its own, by which the
 *   node's clock jumps to its deadline. The order of deadlines among nodes is any.
 * - A leader's heartbeat is due a little later, and its end by CheckQuorum an election timeout later; both are
 *   actions. A heartbeat that falls due and is not sent is the same as one that is lost.
 */
const RESTORED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  Core: { nowMs: NOW_MS, lastLeaderContactMs: NOW_MS - ELECTION_TIMEOUT_MS, owesSilenceUntilMs: NOW_MS },
  Follower: { _electionDeadlineMs: NOW_MS + ELECTION_TIMEOUT_MS },
  Learner: { _electionDeadlineMs: NOW_MS + ELECTION_TIMEOUT_MS },
  Candidate: { _deadlineMs: NOW_MS + ELECTION_TIMEOUT_MS },
  Leader: { _heartbeatDueMs: NOW_MS + HEARTBEAT_INTERVAL_MS, _lastActivityMs: NOW_MS },
  Progress: { lastHeardMs: NOW_MS, ackedRound: 0 },
  Rounds: { _current: 0 },
  LeadershipTransfer: {},
};

/** Wiring, which a fresh Raft has by construction. */
const WIRED: Readonly<Record<string, readonly string[]>> = {
  Core: ["options", "random", "become"],
};

/** Mutable on every call, and new each time. */
const EMPTIED: Readonly<Record<string, readonly string[]>> = { Rounds: ["_sentAtMs"] };

type Fields = Record<string, unknown>;

interface OpenRaft {
  _core: Fields;
  _readiness: Fields;
  _role: unknown;
}

/** What to call a node under a renaming; index = the node's id. */
export type Renaming = readonly number[];

export class Codec {
  readonly #prototypes: ReadonlyMap<string, object>;
  readonly #names: Map<object, string> = new Map();

  constructor({ prototypes }: OpenCore) {
    this.#prototypes = prototypes;
    for (const [name, prototype] of prototypes) this.#names.set(prototype, name);
  }

  // Nodes

  /** @param writing of each Ready under way, whether it has anything to write. */
  encodeRaft(raft: Raft, writing: readonly boolean[]): Tree {
    const open = raft as unknown as OpenRaft;
    const seen = new Set<unknown>([open._core, open._readiness]);
    renumber(open._readiness, writing);
    return [
      "a",
      this.#fields(open._core, "Core", open, seen),
      this.#fields(open._readiness, "Readiness", open, seen),
      this.#encode(open._role, open, seen),
    ];
  }

  /** Turns a Raft just made, of the same node, into the one that was encoded. */
  decodeRaft(tree: Tree, into: Raft): void {
    const open = into as unknown as OpenRaft;
    const [, core, readiness, role] = tree as [string, Tree, Tree, Tree];
    this.#assign(open._core, core as readonly Tree[], open);
    this.#assign(open._readiness, readiness as readonly Tree[], open);
    open._role = this.#decode(role, open);
  }

  // Plain data: messages, entries, hard states

  encodeData(value: unknown): Tree {
    return this.#encode(value, null, null);
  }

  decodeData(tree: Tree): unknown {
    return this.#decode(tree, null);
  }

  /** Without the heartbeat's round, see above. */
  encodeMessage(message: Message): Tree {
    return this.encodeData("round" in message ? { ...message, round: 0 } : message);
  }

  #encode(value: unknown, raft: OpenRaft | null, seen: Set<unknown> | null): Tree {
    switch (typeof value) {
      case "boolean":
      case "number":
        return value;
      case "bigint":
        return `#${value}`;
      case "string":
        if (value.startsWith("#") || value.startsWith("x") || value.startsWith("@"))
          throw new Error(`a string that could be mistaken: ${value}`);
        return value;
      case "object":
        return value === null ? null : this.#encodeObject(value, raft, seen);
      default:
        throw new Error(`a ${typeof value} has no canonical form`);
    }
  }

  #encodeObject(value: object, raft: OpenRaft | null, seen: Set<unknown> | null): Tree {
    if (value === raft?._core) return "@core";
    if (value === raft?._readiness) return "@readiness";
    if (value instanceof Uint8Array) return `x${Buffer.from(value).toString("hex")}`;
    if (Array.isArray(value)) return ["a", ...value.map((item) => this.#encode(item, raft, seen))];
    if (value instanceof Map) {
      const pairs = [...value].map(([key, item]): [Tree, Tree] => [
        this.#encode(key, raft, seen),
        this.#encode(item, raft, seen),
      ]);
      return ["m", ...sortedPairs(pairs).flat()];
    }
    const prototype = Object.getPrototypeOf(value) as object;
    if (prototype === Object.prototype) {
      const keys = Object.keys(value).sort();
      return ["o", ...keys.flatMap((key) => [key, this.#encode((value as Fields)[key], raft, seen)])];
    }
    const name = this.#names.get(prototype);
    if (name === undefined) throw new Error(`an instance of an unknown class: ${value.constructor.name}`);
    // Copied twice it would come back as two objects.
    if (seen?.has(value) === true) throw new Error(`a ${name} is shared`);
    seen?.add(value);
    return this.#fields(value as Fields, name, raft, seen);
  }

  #fields(value: Fields, name: string, raft: OpenRaft | null, seen: Set<unknown> | null): readonly Tree[] {
    const left = [...Object.keys(RESTORED[name] ?? {}), ...(WIRED[name] ?? []), ...(EMPTIED[name] ?? [])];
    const tree: Tree[] = ["c", name];
    for (const key of Object.keys(value).sort()) {
      if (left.includes(key)) continue;
      tree.push(key, this.#encode(value[key], raft, seen));
    }
    return tree;
  }

  #decode(tree: Tree, raft: OpenRaft | null): unknown {
    if (typeof tree === "string") {
      if (tree.startsWith("#")) return BigInt(tree.slice(1));
      if (tree.startsWith("x")) return new Uint8Array(Buffer.from(tree.slice(1), "hex"));
      if (tree === "@core") return raft!._core;
      if (tree === "@readiness") return raft!._readiness;
      return tree;
    }
    if (tree === null || typeof tree !== "object") return tree;
    switch (tree[0]) {
      case "a":
        return tree.slice(1).map((item) => this.#decode(item, raft));
      case "m": {
        const map = new Map<unknown, unknown>();
        for (let i = 1; i < tree.length; i += 2)
          map.set(this.#decode(tree[i]!, raft), this.#decode(tree[i + 1]!, raft));
        return map;
      }
      case "o": {
        const object: Fields = {};
        for (let i = 1; i < tree.length; i += 2) object[tree[i] as string] = this.#decode(tree[i + 1]!, raft);
        return object;
      }
      case "c": {
        const object = Object.create(this.#prototypes.get(tree[1] as string)!) as Fields;
        this.#assign(object, tree, raft);
        return object;
      }
      default:
        throw new Error(`no canonical form: ${JSON.stringify(tree)}`);
    }
  }

  #assign(object: Fields, tree: readonly Tree[], raft: OpenRaft | null): void {
    for (let i = 2; i < tree.length; i += 2) object[tree[i] as string] = this.#decode(tree[i + 1]!, raft);
    const name = tree[1] as string;
    Object.assign(object, RESTORED[name]);
    for (const key of EMPTIED[name] ?? []) object[key] = [];
  }
}

/**
 * Writes under way are known by their place in the queue. A Ready without writes is one with the one before it: it
 * ends at the same moment, and its end changes nothing more.
 */
function renumber(readiness: Fields, writing: readonly boolean[]): void {
  const inflight = (readiness["_inflight"] as { number: number }[]).filter((_, i) => writing[i]!);
  readiness["_inflight"] = inflight.map((write, i) => ({ ...write, number: i + 1 }));
  readiness["_number"] = inflight.length;
}

/** The same state with other names for the nodes. What is ordered by name is put in order again. */
export function renamed(tree: Tree, renaming: Renaming): Tree {
  if (typeof tree === "string") return tree.startsWith("#") ? `#${renaming[Number(tree.slice(1))]!}` : tree;
  if (tree === null || typeof tree !== "object") return tree;
  const items = tree.map((item) => renamed(item, renaming));
  if (items[0] === "m") {
    const pairs: [Tree, Tree][] = [];
    for (let i = 1; i < items.length; i += 2) pairs.push([items[i]!, items[i + 1]!]);
    return ["m", ...sortedPairs(pairs).flat()];
  }
  if (items[0] === "s") return setOf(items.slice(1));
  // Lists of nodes are sets, in order of name (ClusterConfig).
  const isNodes = items[0] === "a" && items.length > 2 && items.every((item, i) => i === 0 || isName(item));
  return isNodes ? ["a", ...items.slice(1).sort(byText)] : items;
}

/** Each once, in an order that says nothing. */
export function setOf(trees: readonly Tree[]): Tree {
  return [
    "s",
    ...[...new Set(trees.map((tree) => JSON.stringify(tree)))].sort().map((text) => JSON.parse(text) as Tree),
  ];
}

function isName(tree: Tree): boolean {
  return typeof tree === "string" && tree.startsWith("#");
}

function sortedPairs(pairs: [Tree, Tree][]): [Tree, Tree][] {
  const keyed = pairs.map((pair) => ({ pair, text: JSON.stringify(pair) }));
  return keyed.sort((a, b) => (a.text < b.text ? -1 : 1)).map(({ pair }) => pair);
}

function byText(a: Tree, b: Tree): number {
  return String(a) < String(b) ? -1 : 1;
}
