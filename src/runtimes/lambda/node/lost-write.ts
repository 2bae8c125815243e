import type { EngineError } from "../../../core/errors/index.ts";
import type { KvResult } from "../../../core/kv/index.ts";
import type { NodeOptions } from "../../../core/node/index.ts";

type AppliedObserver = NonNullable<NodeOptions["applied"]>;
type ProposalId = NonNullable<EngineError["proposal"]>;

/** What became of a write whose node was fenced, once a later node has read the whole log. */
export type Fate =
  | { readonly type: "applied"; readonly result: KvResult }
  /** It is not in the log, and no slot of its owner's counts any more. */
  | { readonly type: "never" }
  /** A snapshot was taken past it: what that contains, nobody can tell. */
  | { readonly type: "unknown" };

/** A write that was sent to the log by a node that stopped before it was answered. */
export interface LostWrite {
  readonly id: ProposalId;
  /** The node had applied everything up to here, and the write was not among it. */
  readonly after: number;
}

/** Writes that this process wants to find again, and what the log says of them when it is read anew. */
export class LostWrites {
  /** By name; null until it is found. As many as there are requests under way. */
  readonly #wanted: Map<string, KvResult | null> = new Map();

  /** To be called in the turn in which the node stopped: before another can have begun to read. */
  expect({ id }: LostWrite): void {
    this.#wanted.set(nameOf(id), null);
  }

  forget({ id }: LostWrite): void {
    this.#wanted.delete(nameOf(id));
  }

  /** Once a node that has `read` leads, and has applied what earlier ones wrote. */
  fateOf({ id, after }: LostWrite, read: LogReading): Fate {
    const result = this.#wanted.get(nameOf(id));
    if (result !== null && result !== undefined) return { type: "applied", result };
    return read.from <= after ? { type: "never" } : { type: "unknown" };
  }

  found(id: ProposalId, result: KvResult): void {
    const name = nameOf(id);
    if (this.#wanted.has(name)) this.#wanted.set(name, result);
  }
}

/** One node's reading of the log. */
export class LogReading implements AppliedObserver {
  readonly #lost: LostWrites;
  /** The index of the snapshot that it began with. */
  from: number = Number.POSITIVE_INFINITY;

  constructor(lost: LostWrites) {
    this.#lost = lost;
  }

  onSnapshot(index: number): void {
    this.from = index;
  }

  onResult(id: ProposalId, result: unknown): void {
    this.#lost.found(id, result as KvResult);
  }
}

function nameOf({ proposer, sequence }: ProposalId): string {
  return `${proposer}/${sequence}`;
}
