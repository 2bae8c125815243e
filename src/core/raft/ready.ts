import type { Message } from "./messages.ts";
import type { Entry, HardState, LogIndex, NodeId, Role, SnapshotMeta } from "./types.ts";

/** What a node believes about the group now. Not durable. */
export interface SoftState {
  readonly role: Role;
  readonly leaderId: NodeId | null;
}

/** A ReadIndex request that may be served once the state machine has applied `index`. */
export interface ReadState {
  readonly readId: bigint;
  /** Null: the request failed (leadership changed before it was confirmed); ask again with a fresh id. */
  readonly index: LogIndex | null;
}

/** Entries that `to` needs and that have left the in-memory tail: the driver reads them from the LogStore. */
export interface LogReadRequest {
  readonly to: NodeId;
  readonly from: LogIndex;
  readonly maxBytes: number;
}

/**
 * Everything to do after a batch of events. Readys are numbered from 1 and handed to the driver in order;
 * several may be in persistence at once.
 *
 * Per Ready, in this order:
 *  1. `messages` may be sent at once, before anything is durable.
 *  2. `snapshot`, then `hardState` and `entries`, are made durable; `hardState` no later than `entries`.
 *     Writes of a later Ready must not become durable before those of an earlier one.
 *  3. `persisted(number)` is reported, in order.
 *  4. `messagesAfterPersist` may be sent once this Ready *and every earlier one* is durable.
 *  5. `committed` may be applied at once: it never depends on this Ready's own persistence. Report `applied`.
 */
export interface Ready {
  readonly number: number;
  /** Present when it changed. */
  readonly softState: SoftState | null;
  /** Present when it must be written. */
  readonly hardState: HardState | null;
  /** To be written to the log; the first may overwrite a conflicting suffix. Contiguous. */
  readonly entries: readonly Entry[];
  /** A restored snapshot to be installed: it replaces log and state machine up to its index. */
  readonly snapshot: SnapshotMeta | null;
  readonly messages: readonly Message[];
  readonly messagesAfterPersist: readonly Message[];
  /** Committed entries to apply, contiguous, each exactly once in this process's life. */
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  readonly logReads: readonly LogReadRequest[];
}
