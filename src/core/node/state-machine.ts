import type { LogIndex, Term } from "../raft/index.ts";

/** A committed command, on its way into the state machine. */
export interface AppliedCommand {
  readonly index: LogIndex;
  readonly term: Term;
  /** The leader's wall clock when it took the proposal: the only time a state machine may look at. */
  readonly timeMs: number;
  readonly command: Uint8Array;
}

/** The state at one moment, readable while later commands are applied. */
export interface StateSnapshot {
  /** The content in bounded chunks. The state it shows does not change while it is read. */
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Lets go of what is kept for it. Called once, read to the end or not. */
  release(): void;
}

/**
 * The replicated state machine: the same commands in the same order give the same state and results on every
 * replica. No clock, no randomness, nothing local may enter. The built-in one is `KvStore`.
 *
 * @typeParam Result what applying one command gives to whoever proposed it on this node.
 */
export interface StateMachine<Result = unknown> {
  /**
   * Applies commands in order and returns one result for each. A command that makes no sense is answered with a
   * result that says so; throwing means that this replica can no longer be trusted, and stops the node.
   */
  applyChunk(commands: readonly AppliedCommand[]): readonly Result[] | Promise<readonly Result[]>;
  /** Captures the present state at once; its bytes are read later. */
  snapshot(): StateSnapshot;
  /** Replaces the state by a snapshot's content. On failure the node stops. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
}
