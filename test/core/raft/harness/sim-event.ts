import type {
  ClusterConfig,
  Entry,
  LogIndex,
  Message,
  Outcome,
  RaftEvent,
  Ready,
  SnapshotMeta,
  Term,
} from "../../../../src/core/raft/index.ts";
import type { SimNode } from "./sim-node.ts";

/** Something that happened in a simulated cluster, for checkers and for telling the story. */
export type SimEvent =
  | { readonly type: "started"; readonly node: SimNode; readonly again: boolean }
  | { readonly type: "crashed"; readonly node: SimNode }
  | { readonly type: "stepped"; readonly node: SimNode; readonly event: RaftEvent; readonly outcome: Outcome }
  /** A Ready was taken; nothing of it has been carried out. */
  | { readonly type: "ready"; readonly node: SimNode; readonly ready: Ready }
  /** A message leaves its node. `promisedTerm`: of the sender's log at the index that it acknowledges. */
  | {
      readonly type: "sent";
      readonly node: SimNode;
      readonly message: Message;
      readonly promisedTerm: Term | undefined;
    }
  | { readonly type: "lost"; readonly message: Message }
  | { readonly type: "delivered"; readonly message: Message }
  | { readonly type: "persisted"; readonly node: SimNode; readonly ready: Ready }
  | {
      readonly type: "applied";
      readonly node: SimNode;
      readonly entry: Entry;
      readonly config: ClusterConfig | undefined;
    }
  | { readonly type: "restored"; readonly node: SimNode; readonly snapshot: SnapshotMeta }
  | { readonly type: "compacted"; readonly node: SimNode; readonly snapshot: SnapshotMeta }
  | {
      readonly type: "readBegan";
      readonly node: SimNode;
      readonly readId: bigint;
      readonly lease: boolean;
    }
  | {
      readonly type: "readAnswered";
      readonly node: SimNode;
      readonly readId: bigint;
      readonly index: LogIndex | null;
    }
  /** A step is over, and every Ready that it led to has been taken. */
  | { readonly type: "settled"; readonly node: SimNode; readonly event: RaftEvent | null };

export type Observer = (event: SimEvent) => void;
