import type { ClusterConfig, Entry, LogIndex, SnapshotMeta, Term } from "../../../../src/core/raft/index.ts";

/** One entry as it was applied. */
export interface AppliedEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly text: string;
}

/** A state machine that only remembers, in order, what was applied, and what the configuration was. */
export class StateMachine {
  #from: SnapshotMeta;
  #entries: AppliedEntry[];
  #configs: { index: LogIndex; config: ClusterConfig }[];

  constructor(from: SnapshotMeta) {
    this.#from = from;
    this.#entries = [];
    this.#configs = [{ index: from.index, config: from.config }];
  }

  get appliedIndex(): LogIndex {
    return this.#entries.at(-1)?.index ?? this.#from.index;
  }

  get appliedTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.#from.term;
  }

  get config(): ClusterConfig {
    return this.#configs.at(-1)!.config;
  }

  get entries(): readonly AppliedEntry[] {
    return this.#entries;
  }

  /** The commands' texts, in order. */
  get commands(): readonly string[] {
    return this.#entries.filter(({ text }) => text.startsWith('"')).map(({ text }) => text.slice(1, -1));
  }

  apply(entry: Entry, config?: ClusterConfig): void {
    if (entry.index !== this.appliedIndex + 1) {
      throw new Error(`entry ${entry.index} was applied after ${this.appliedIndex}`);
    }
    this.#entries.push({ index: entry.index, term: entry.term, text: entryText(entry) });
    if (config !== undefined) this.#configs.push({ index: entry.index, config });
  }

  /** What stands for everything applied up to `index`. */
  metaAt(index: LogIndex): SnapshotMeta {
    const term = index === this.#from.index ? this.#from.term : this.#at(index)?.term;
    const at = this.#configs.findLast((change) => change.index <= index);
    if (term === undefined || at === undefined) throw new Error(`no state at ${index}`);
    return { index, term, config: at.config };
  }

  /** A copy as it was at `index`. */
  copyAt(index: LogIndex): StateMachine {
    const copy = new StateMachine(this.#from);
    copy.#entries = this.#entries.filter((entry) => entry.index <= index);
    copy.#configs = this.#configs.filter((change) => change.index <= index);
    return copy;
  }

  #at(index: LogIndex): AppliedEntry | undefined {
    return this.#entries[index - this.#from.index - 1];
  }
}

/** What an entry says, in a word. */
export function entryText(entry: Entry): string {
  if (entry.kind === "noop") return "noop";
  if (entry.kind === "command") return JSON.stringify(new TextDecoder().decode(entry.data));
  const steps = entry.change.steps.map(({ type, node }) => `${STEP_NAMES[type]}${node}`);
  const { transition } = entry.change;
  return steps.length === 0
    ? "leave-joint"
    : `conf(${steps.join(" ")}${transition === "auto" ? "" : ` ${transition}`})`;
}

const STEP_NAMES = { addVoter: "voter+", addLearner: "learner+", remove: "-" } as const;
