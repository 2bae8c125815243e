import { BOOTSTRAP, type Term } from "../../../src/core/raft/index.ts";
import type { History } from "./history.ts";
import { FIRST_INDEX } from "./node-state.ts";
import type { NodeFacts, NodeTable } from "./node-table.ts";

/** What a step of one node adds to the history, and what it breaks. */
export interface Verdict {
  readonly history: History;
  readonly broken: readonly string[];
}

/**
 * The invariants that take more than one node to see, or what was before: S1 one leader a term, S3 log matching,
 * S4 leader completeness, S5 and S6 what anybody holds committed (and so applies) is what was committed, S9 what is
 * committed is durable on a quorum when it is and never lost from a disk after that, S11 only a quorum of votes
 * that were really given makes a leader.
 */
export class ClusterInvariants {
  readonly #table: NodeTable;
  /** Pairs of logs that have been compared. */
  readonly #matching: Map<number, string | null> = new Map();

  constructor(table: NodeTable) {
    this.#table = table;
  }

  /** Judges the step that took node `who` (from 0) from `before` to the state now among `nodes`. */
  judge(history: History, who: number, before: NodeFacts, nodes: readonly NodeFacts[]): Verdict {
    const node = nodes[who]!;
    const broken: string[] = [];
    const check = (holds: boolean, invariant: string, detail: () => string): void => {
      if (!holds) broken.push(`${invariant}: node ${who + 1} ${detail()}`);
    };
    let next = history;
    if (node.role === "leader" && (before.role !== "leader" || before.term !== node.term)) {
      next = this.#elected(next, who, nodes, check);
    }
    if (node.role === "leader" && node.commit - BOOTSTRAP.index > next.committed.length) {
      next = committing(next, node, before, nodes, check);
    }
    checkCommitted(next, node, before, check);
    if (node.log !== before.log) this.#checkMatching(who, nodes, check);
    return { history: next, broken };
  }

  #elected(history: History, who: number, nodes: readonly NodeFacts[], check: Check): History {
    const { term, view, voters, votersOutgoing } = nodes[who]!;
    const id = who + 1;
    const before = history.leaders[term] ?? 0;
    check(before === 0, "S1 one leader", () => `leads in term ${term}, as node ${before} did`);
    const voted = (voter: number): boolean => {
      const facts = nodes[voter - 1]!;
      return (
        facts.granted.get(term) === id || (voter === id && facts.diskTerm === term && facts.diskVote === id)
      );
    };
    check(
      isQuorum(voters, votersOutgoing, voted),
      "S11 quorum",
      () => `leads in ${term} with the votes of ${voters.filter(voted).join()}`,
    );
    history.committed.forEach((entry, i) => {
      check(
        entry.by >= term || view[i] === entry.term,
        "S4 leader completeness",
        () => `leads in ${term} without ${i + FIRST_INDEX}/${entry.term}, committed in ${entry.by}`,
      );
    });
    const leaders = [...history.leaders];
    leaders[term] = id;
    return { ...history, leaders };
  }

  #checkMatching(who: number, nodes: readonly NodeFacts[], check: Check): void {
    nodes.forEach((other, i) => {
      if (i === who) return;
      const conflict = this.#conflict(nodes[who]!.log, other.log);
      check(conflict === null, "S3 log matching", () => `and node ${i + 1}: ${conflict}`);
    });
  }

  /** Same index and term: same entry, and the same all before it (paper §5.3). */
  #conflict(a: number, b: number): string | null {
    if (a === b) return null;
    const key = Math.min(a, b) * 2 ** 26 + Math.max(a, b);
    const known = this.#matching.get(key);
    if (known !== undefined) return known;
    const [one, other] = [this.#table.log(a), this.#table.log(b)];
    const agree = one.findLastIndex((entry, i) => termOf(entry) === termOf(other[i]));
    const differ = one.findIndex((entry, i) => i <= agree && entry !== other[i]);
    const conflict = differ < 0 ? null : `${one[differ]} here, ${other[differ]} there`;
    this.#matching.set(key, conflict);
    return conflict;
  }
}

type Check = (holds: boolean, invariant: string, detail: () => string) => void;

function committing(
  history: History,
  node: NodeFacts,
  before: NodeFacts,
  nodes: readonly NodeFacts[],
  check: Check,
): History {
  const { view, commit, term, voters, votersOutgoing } = node;
  const committed = [...history.committed];
  for (let i = committed.length; i < commit - BOOTSTRAP.index; i++) {
    const holds = (id: number): boolean => nodes[id - 1]!.disk[i] === view[i];
    check(
      isQuorum(voters, votersOutgoing, holds),
      "S9 durable on a quorum",
      () =>
        `commits ${i + FIRST_INDEX}/${view[i]}, which only ${[1, 2, 3].filter(holds).join() || "nobody"} has on disk`,
    );
    committed.push({ term: view[i]!, by: term });
  }
  const newest = view[commit - FIRST_INDEX];
  check(
    newest === term || before.role !== "leader",
    "S9 old term",
    () => `commits ${commit}/${newest} by counting, in term ${term}`,
  );
  return { ...history, committed };
}

function checkCommitted(history: History, node: NodeFacts, before: NodeFacts, check: Check): void {
  const { committed } = history;
  const known = node.commit - BOOTSTRAP.index;
  check(
    known <= committed.length,
    "S5 committed",
    () => `holds ${node.commit} committed, which no leader has committed`,
  );
  for (let i = 0; i < Math.min(known, committed.length); i++) {
    check(
      node.view[i] === committed[i]!.term,
      "S5 committed",
      () => `holds ${i + FIRST_INDEX}/${node.view[i]} committed; committed was ${committed[i]!.term}`,
    );
  }
  if (node.disk === before.disk) return;
  committed.forEach(({ term }, i) => {
    check(
      before.disk[i] !== term || node.disk[i] === term,
      "S9 durable",
      () => `has lost the committed ${i + FIRST_INDEX}/${term} from its disk`,
    );
  });
}

/** Written anew, so as not to trust the code under test. */
function isQuorum(
  voters: readonly number[],
  votersOutgoing: readonly number[],
  holds: (id: number) => boolean,
): boolean {
  const majority = (half: readonly number[]): boolean => half.filter(holds).length * 2 > half.length;
  return majority(voters) && (votersOutgoing.length === 0 || majority(votersOutgoing));
}

function termOf(entry: string | undefined): Term | undefined {
  return entry === undefined ? undefined : Number(/"term",(\d+)/.exec(entry)![1]);
}
