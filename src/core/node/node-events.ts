import type { NodeId } from "../raft/index.ts";
import type { Member } from "./engine.ts";
import { Listeners } from "./listeners.ts";

/** What a node can tell about itself. */
export interface NodeEvents {
  readonly leader: Listeners<NodeId | null>;
  readonly membership: Listeners<readonly Member[]>;
  /** The node has stopped by itself: a broken invariant or a failing store. It must be started anew. */
  readonly failure: Listeners<unknown>;
  /** It has stopped, for whatever reason, and answers nobody any more. */
  readonly stopped: Listeners<void>;
}

export function nodeEvents(): NodeEvents {
  return {
    leader: new Listeners(),
    membership: new Listeners(),
    failure: new Listeners(),
    stopped: new Listeners(),
  };
}
