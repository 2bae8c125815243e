import type { Entry, HardState, LogIndex, Term } from "../raft/index.ts";
import type { SnapshotInfo, StoreIdentity } from "./ports.ts";

/** Where a log stands. */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/** What one durable write of the owner did, in this order. Each part is optional; together they are one step. */
export interface StoredStep {
  /** The log began anew behind this. */
  readonly reset: LogPosition | null;
  readonly hardState: HardState | null;
  /** The log from `first` on became these entries, up to `last`; 0 when there were none. */
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** Those of them that were asked for. */
  readonly entries: readonly Entry[];
}

/** What a store held when it was first looked at. */
export interface StoredBeginning {
  readonly identity: StoreIdentity;
  readonly hardState: HardState | null;
  /** The position just before the log's first entry: not after the snapshot's. */
  readonly compacted: LogPosition;
  readonly snapshot: { readonly info: SnapshotInfo; read(): AsyncIterable<Uint8Array> };
}

export interface StoredSteps {
  readonly steps: readonly StoredStep[];
  /** Nothing followed them at some moment during the call. */
  readonly atEnd: boolean;
}

/**
 * The stores of a node as somebody reads them who does not own them: nothing is written, and the owner does not notice.
 * Steps are told once, in the order in which every owner of the log reads them.
 *
 * Rejects with `canceled` by the signal, and with the `storage…` errors of the store. Each call may then be repeated.
 */
export interface StoredLog {
  /** For messages; no credentials. */
  readonly location: string;
  /** The newest snapshot and what is needed to go on behind it; begins anew. Null: no node was ever set up here. */
  begin(signal?: AbortSignal): Promise<StoredBeginning | null>;
  /** What was written since, in portions of about `maxBytes`. "gone": it was compacted meanwhile, so begin anew. */
  readOn(request: {
    /** Entries up to here are not wanted. */
    readonly after: LogIndex;
    readonly maxBytes: number;
    readonly signal?: AbortSignal;
  }): Promise<StoredSteps | "gone">;
  close(): Promise<void>;
}
