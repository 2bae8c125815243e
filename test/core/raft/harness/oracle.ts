import { entryBytes } from "../../../../src/core/raft/index.ts";
import type {
  ClusterConfig,
  Entry,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
} from "../../../../src/core/raft/index.ts";
import { entryText } from "./state-machine.ts";

/** What has ever been true of the group, over every crash: each is written once and compared ever after. */
export class Oracle {
  /** Who led in a term. */
  readonly leaders: Map<Term, NodeId> = new Map();
  /** The term of every entry that a leader has known to be committed. */
  readonly committed: Map<LogIndex, Term> = new Map([[1, 1]]);
  /** The term of the leader that committed it: every leader of a *later* term must have it. */
  readonly committedIn: Map<LogIndex, Term> = new Map([[1, 1]]);
  committedIndex: LogIndex = 1;
  /** The highest term that each node ever had on its disk. */
  readonly durableTerms: Map<NodeId, Term> = new Map();
  /** Reads that have begun, and what was committed by then. */
  readonly reads: Map<bigint, { readonly floor: LogIndex; readonly lease: boolean }> = new Map();
  largestEntryBytes = 0;
  readonly #entries: Map<string, { readonly text: string; readonly previous: Term }> = new Map();
  readonly #applied: Map<LogIndex, { readonly text: string; readonly term: Term }> = new Map();
  readonly #configs: Map<LogIndex, string> = new Map();
  readonly #votes: Map<string, NodeId> = new Map();
  readonly #grants: Map<string, Set<NodeId>> = new Map();

  /** The vote that a node ever made durable in a term. */
  vote(node: NodeId, term: Term): NodeId | undefined {
    return this.#votes.get(`${node}@${term}`);
  }

  recordVote(node: NodeId, term: Term, vote: NodeId): void {
    this.#votes.set(`${node}@${term}`, vote);
  }

  /** A vote that was sent. */
  recordGrant(term: Term, candidate: NodeId, voter: NodeId): void {
    const key = `${candidate}@${term}`;
    const grants = this.#grants.get(key) ?? new Set();
    grants.add(voter);
    this.#grants.set(key, grants);
  }

  grants(term: Term, candidate: NodeId): Set<NodeId> {
    return new Set(this.#grants.get(`${candidate}@${term}`));
  }

  /**
   * By induction along the log, one content and one predecessor for each (index, term) is log matching. Null, or
   * what contradicts what was seen before.
   */
  recordEntry(entry: Entry, previous: Term): string | null {
    const key = `${entry.index}/${entry.term}`;
    const text = entryText(entry);
    const known = this.#entries.get(key);
    this.largestEntryBytes = Math.max(this.largestEntryBytes, entryBytes(entry));
    if (known === undefined) {
      this.#entries.set(key, { text, previous });
      return null;
    }
    if (known.text !== text) return `${key} is ${text} here and ${known.text} elsewhere`;
    if (known.previous !== previous)
      return `${key} follows term ${previous} here and ${known.previous} elsewhere`;
    return null;
  }

  recordApplied(entry: Entry, config: ClusterConfig | undefined): string | null {
    const text = entryText(entry);
    const known = this.#applied.get(entry.index);
    if (known === undefined) this.#applied.set(entry.index, { text, term: entry.term });
    else if (known.text !== text || known.term !== entry.term) {
      return `${entry.index}/${entry.term} ${text} applied, elsewhere ${known.term} ${known.text}`;
    }
    return config === undefined ? null : this.#recordConfig(entry.index, config);
  }

  #recordConfig(index: LogIndex, config: ClusterConfig): string | null {
    const text = configText(config);
    const known = this.#configs.get(index);
    this.#configs.set(index, known ?? text);
    return known === undefined || known === text
      ? null
      : `configuration at ${index}: ${text}, elsewhere ${known}`;
  }

  checkSnapshot({ index, term, config }: SnapshotMeta): string | null {
    const known = this.#applied.get(index);
    if (known !== undefined && known.term !== term)
      return `a snapshot at ${index}/${term}, applied ${known.term}`;
    const change = [...this.#configs].filter(([at]) => at <= index).toSorted(([a], [b]) => b - a)[0];
    if (change === undefined || change[1] === configText(config)) return null;
    return `a snapshot at ${index} with ${configText(config)}, applied ${change[1]}`;
  }
}

function configText(config: ClusterConfig): string {
  return JSON.stringify(config, (_key, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value,
  );
}
