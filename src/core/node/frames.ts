import type { ConfChange, Message, NodeId, SnapshotMeta, Term } from "../raft/index.ts";

/**
 * The name of one attempt to have a proposal taken, by which whoever made it recognises it when it is applied.
 * Unique for ever: one that was refused is offered again under another name.
 */
export interface ProposalId {
  /** Random, drawn at every start of a node. */
  readonly proposer: bigint;
  /** Counts up from 1 within one start. */
  readonly sequence: number;
}

/** News about a member that changes nobody's vote: its name and addresses. */
export interface MemberUpdate {
  readonly id: NodeId;
  /** Absent: unchanged. */
  readonly name?: string;
  readonly peerUrls?: readonly string[];
  readonly clientUrls?: readonly string[];
}

/** What a log entry of kind `command` carries. */
export interface Proposal {
  readonly id: ProposalId;
  /** The leader's wall clock when it took the proposal. */
  readonly timeMs: number;
  readonly body:
    | { readonly type: "command"; readonly command: Uint8Array }
    | { readonly type: "member"; readonly update: MemberUpdate };
}

/** What a ConfChange's `context` carries: who asked, and the names and addresses of the members it adds. */
export interface ConfChangeContext {
  readonly id: ProposalId;
  readonly members: readonly MemberUpdate[];
}

/** Where a frame belongs; checked before anything else is believed. */
export interface FrameHeader {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly from: NodeId;
  readonly to: NodeId;
}

/** What each frame that brings a snapshot says of it. */
export interface SnapshotHeading {
  /** Of the leader that sends it. */
  readonly term: Term;
  readonly transferId: bigint;
  readonly meta: SnapshotMeta;
  readonly context: Uint8Array;
  readonly size: number;
  readonly checksum: number;
}

/** What members say to each other. */
export type FrameBody =
  | { readonly type: "raft"; readonly message: Message }
  /**
   * A follower hands a proposal to the leader. Taken at most once: the leader must still be in `term`, and
   * remembers the highest sequence it took from each proposer in that term.
   */
  | {
      readonly type: "forward";
      readonly term: Term;
      readonly id: ProposalId;
      readonly payload: Proposal["body"] | { readonly type: "confChange"; readonly change: ConfChange };
    }
  /** The proposal was definitely not taken. (When it was, its appearance in the log is the answer.) */
  | {
      readonly type: "forwardRejected";
      readonly id: ProposalId;
      /** An `ErrorCode` of the engine's table. */
      readonly code: string;
      readonly detail: string;
      /** 0 = no advice. */
      readonly retryAfterMs: number;
    }
  /**
   * A piece of a snapshot. One with no data asks how far the receiver already is, so that a transfer that broke
   * off goes on where it stopped.
   */
  | ({ readonly type: "snapshotChunk"; readonly offset: number; readonly data: Uint8Array } & SnapshotHeading)
  /**
   * By what name the receiver's own store may find the snapshot. Asked again and again while it copies; a build that
   * does not know this type says nothing, and is sent the bytes.
   */
  | ({ readonly type: "snapshotName"; readonly name: string } & SnapshotHeading)
  /**
   * `nextOffset` bytes have arrived in order. `more`: send those that follow. `copying`: they are being read by their
   * name. `done`: all are here, verified. `refused`: stop.
   */
  | {
      readonly type: "snapshotChunkResult";
      readonly transferId: bigint;
      readonly status: "more" | "done" | "refused" | "copying";
      readonly nextOffset: number;
    }
  /** Asks the leader for what it alone knows. It may be lost, and is then asked again. */
  | { readonly type: "query"; readonly id: bigint; readonly question: Uint8Array }
  /** Null: the one that was asked does not lead, or cannot tell now. */
  | { readonly type: "queryResult"; readonly id: bigint; readonly answer: Uint8Array | null };

/** A decoded frame. */
export interface Frame {
  readonly header: FrameHeader;
  readonly body: FrameBody;
}
