import type { Entry, LogIndex, NodeId, Role, Term } from "../../../src/core/raft/index.ts";
import {
  type Codec,
  ELECTION_TIMEOUT_MS,
  NOW_MS,
  type Renaming,
  type Tree,
  renamed,
  setOf,
} from "./codec.ts";
import type { LocalEvent, NodeMachine } from "./node-machine.ts";
import { type NodeState, type PendingWrite, viewOf } from "./node-state.ts";

/** Numbers for trees: equal trees, equal numbers, from 0 in the order of their first sight. */
export class Interner {
  readonly #ids: Map<string, number> = new Map();
  readonly #texts: string[] = [];

  get size(): number {
    return this.#texts.length;
  }

  intern(tree: Tree): number {
    return this.internText(JSON.stringify(tree));
  }

  internText(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.#texts.length;
    this.#ids.set(text, id);
    this.#texts.push(text);
    return id;
  }

  tree(id: number): Tree {
    return JSON.parse(this.text(id)) as Tree;
  }

  text(id: number): string {
    const text = this.#texts[id];
    if (text === undefined) throw new Error(`nothing has the number ${id}`);
    return text;
  }
}

/** What the rest of the search wants to know about a node, read off once. */
export interface NodeFacts {
  readonly role: Role;
  readonly term: Term;
  readonly diskTerm: Term;
  /** Whom the disk says it voted for in `diskTerm`; 0 for nobody. */
  readonly diskVote: number;
  readonly commit: LogIndex;
  /** The terms of the log, from index 2 on: as the core sees it, and on the disk. */
  readonly view: readonly Term[];
  readonly disk: readonly Term[];
  /** The whole of the log as the core sees it: equal numbers, equal logs. */
  readonly log: number;
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly granted: ReadonlyMap<Term, number>;
  readonly writes: boolean;
  /** The oldest write has a hard state and entries, and so can be torn between them. */
  readonly tears: boolean;
  readonly applies: boolean;
  /** May become a candidate when its election deadline comes. */
  readonly mayTimeOut: boolean;
  readonly hasPeers: boolean;
}

/** What an event makes of a node. Shared by all who ask: not to be changed. */
export interface NodeStep {
  readonly next: number;
  readonly sent: readonly number[];
  readonly broken: readonly string[];
}

/** A node's form: the core, the rest, and the writes under way, each with the set of messages that wait for it. */
type StoredNode = readonly [Tree, Tree, readonly (readonly [Tree, readonly Tree[]])[]];

type RestOfNode = [
  NodeId,
  NodeState["hardState"],
  Entry[],
  NodeState["applyQueue"],
  NodeState["granted"],
  NodeState["actedOn"],
];

const MAX_EVENT_ARGUMENT = 2 ** 28;

/**
 * Every state that any one node has been seen in, by number, and what each event makes of it. A core depends on
 * nothing but itself and the event, so the real code runs only once for each of the pairs, and the search over the
 * cluster is a matter of looking up numbers.
 */
export class NodeTable {
  readonly messages: Interner = new Interner();
  readonly #codec: Codec;
  readonly #machine: NodeMachine;
  readonly #states: Interner = new Interner();
  readonly #shapes: Interner = new Interner();
  readonly #logs: Interner = new Interner();
  readonly #facts: NodeFacts[] = [];
  readonly #shapeOf: number[] = [];
  readonly #steps: Map<number, NodeStep>[] = [];
  readonly #renamings: readonly Renaming[];
  readonly #renamedStates: Int32Table[];
  readonly #renamedMessages: Int32Table[];
  /** How often the core itself was run. */
  runs = 0;

  constructor(codec: Codec, machine: NodeMachine, renamings: readonly Renaming[]) {
    this.#codec = codec;
    this.#machine = machine;
    this.#renamings = renamings;
    this.#renamedStates = renamings.map(() => new Int32Table());
    this.#renamedMessages = renamings.map(() => new Int32Table());
  }

  get size(): number {
    return this.#states.size;
  }

  found(id: NodeId): number {
    return this.#intern(this.#machine.found(id, NOW_MS));
  }

  /** @param event made only if it has not been seen before. */
  step(state: number, kind: number, argument: number, event: () => LocalEvent): NodeStep {
    if (argument >= MAX_EVENT_ARGUMENT) throw new Error("too many different messages");
    const key = kind + argument * 16;
    const steps = (this.#steps[state] ??= new Map());
    const known = steps.get(key);
    if (known !== undefined) return known;
    const node = this.load(state);
    const { sent, broken } = this.#machine.run(node, event());
    this.runs++;
    const step = {
      // A node that a failed assertion left in the middle of something is of no further interest.
      next: broken.some((what) => what.startsWith("assertion")) ? state : this.#intern(node),
      sent: [...new Set(sent.map((message) => this.messages.intern(this.#codec.encodeMessage(message))))],
      broken,
    };
    steps.set(key, step);
    return step;
  }

  message(id: number): unknown {
    return this.#codec.decodeData(this.messages.tree(id));
  }

  // Forms

  #intern(node: NodeState): number {
    const { id, hardState, entries, applyQueue, granted, actedOn } = node;
    const writing = node.pending.map((write) => write.hardState !== null || write.entries.length > 0);
    const raft = this.#codec.encodeRaft(node.raft, writing);
    const writes: (readonly [Tree, Tree[]])[] = [];
    node.pending.forEach((write, i) => {
      const held = write.held.map((message) => this.#codec.encodeData(message));
      if (writing[i]!) writes.push([this.#codec.encodeData([write.hardState, write.entries]), held]);
      // Never the first: with nothing before it, it is done already.
      else writes.at(-1)![1].push(...held);
    });
    const rest = this.#codec.encodeData([id, hardState, entries, applyQueue, granted, actedOn]);
    return this.#states.intern([raft, rest, writes.map(([what, held]) => [what, setOf(held)])]);
  }

  /** A copy of the node in that state. */
  load(state: number): NodeState {
    const tree = this.#states.tree(state) as unknown as StoredNode;
    const [raftTree, restTree, writeTrees] = tree;
    const rest = this.#codec.decodeData(restTree) as RestOfNode;
    const [id, hardState, entries, applyQueue, granted, actedOn] = rest;
    const raft = this.#machine.boot(id, { term: 0, vote: null, commit: 1 }, [], NOW_MS);
    this.#codec.decodeRaft(raftTree, raft);
    const pending = writeTrees.map(([what, heldTrees], i): PendingWrite => {
      const [written, added] = this.#codec.decodeData(what) as [PendingWrite["hardState"], Entry[]];
      const held = heldTrees.slice(1).map((tree) => this.#codec.decodeData(tree)) as PendingWrite["held"];
      return { number: i + 1, hardState: written, entries: added, held };
    });
    return { id, raft, hardState, entries, pending, applyQueue, granted, actedOn };
  }

  /** Whether the state comes back the same from its form. */
  survivesCopy(state: number): boolean {
    return this.#intern(this.load(state)) === state;
  }

  renamed(state: number, renaming: number): number {
    if (renaming === 0) return state;
    const table = this.#renamedStates[renaming]!;
    const known = table.get(state);
    if (known >= 0) return known;
    const other = this.#states.intern(renamed(this.#states.tree(state), this.#renamings[renaming]!));
    table.set(state, other);
    return other;
  }

  renamedMessage(message: number, renaming: number): number {
    if (renaming === 0) return message;
    const table = this.#renamedMessages[renaming]!;
    const known = table.get(message);
    if (known >= 0) return known;
    const other = this.messages.intern(renamed(this.messages.tree(message), this.#renamings[renaming]!));
    table.set(message, other);
    return other;
  }

  /** The same for a state under whatever name; states of different shape are never renamings of each other. */
  shape(state: number): number {
    const known = this.#shapeOf[state];
    if (known !== undefined) return known;
    const tree = this.#states.tree(state);
    const [, rest] = tree as [Tree, readonly Tree[]];
    const self = Number((rest[1] as string).slice(1));
    const blind = this.#renamings[0]!.map((id) => (id === self ? 1 : 2));
    const shape = this.#shapes.intern(renamed(tree, blind));
    this.#shapeOf[state] = shape;
    return shape;
  }

  facts(state: number): NodeFacts {
    return (this.#facts[state] ??= this.#readFacts(this.load(state)));
  }

  #readFacts(node: NodeState): NodeFacts {
    const { raft, hardState, pending, entries } = node;
    const { role, term, commitIndex, config } = raft.status();
    const view = viewOf(node);
    const write = pending[0];
    const others = [...config.voters, ...config.votersOutgoing, ...config.learners].filter(
      (id) => id !== node.id,
    );
    return {
      role,
      term,
      diskTerm: hardState.term,
      diskVote: Number(hardState.vote ?? 0),
      commit: commitIndex,
      view: view.map((entry) => entry.term),
      disk: entries.map((entry) => entry.term),
      log: this.#logs.intern(view.map((entry) => this.#codec.encodeData(entry))),
      voters: config.voters.map(Number),
      votersOutgoing: config.votersOutgoing.map(Number),
      granted: new Map([...node.granted].map(([at, candidate]) => [at, Number(candidate)])),
      writes: write !== undefined,
      tears: write !== undefined && write.hardState !== null && write.entries.length > 0,
      applies: node.applyQueue.length > 0,
      mayTimeOut: role !== "leader" && raft.nextDeadlineMs() === NOW_MS + ELECTION_TIMEOUT_MS,
      hasPeers: others.length > 0,
    };
  }

  /** A log by its number: every entry's form. */
  log(id: number): readonly string[] {
    return (this.#logs.tree(id) as readonly Tree[]).map((entry) => JSON.stringify(entry));
  }
}

/** Numbers by number, growing; -1 where nothing was set. */
class Int32Table {
  #items: Int32Array = new Int32Array(1024).fill(-1);

  get(at: number): number {
    return at < this.#items.length ? this.#items[at]! : -1;
  }

  set(at: number, value: number): void {
    if (at >= this.#items.length) {
      const larger = new Int32Array(Math.max(at + 1, this.#items.length * 2)).fill(-1);
      larger.set(this.#items);
      this.#items = larger;
    }
    this.#items[at] = value;
  }
}
