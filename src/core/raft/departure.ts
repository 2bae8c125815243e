import { quorumValue } from "./quorum.ts";
import type { Replication } from "./replication.ts";
import type { ClusterConfig, LogIndex, NodeId } from "./types.ts";

/**
 * A leader that has been removed or demoted, on its way out (thesis §4.2.2). It goes on leading, without counting
 * itself, until a quorum of those who stay is known to know: before that they would ask for votes in the
 * configuration before, which may need this node or others that are being shut down, and so might never elect anybody.
 */
export class Departure {
  #changeIndex: LogIndex | null = null;
  /** The first heartbeat round that told a member of the commitment. */
  readonly #toldIn: Map<NodeId, number> = new Map();

  get begun(): boolean {
    return this.#changeIndex !== null;
  }

  /** @param changeIndex at or after the change that took this node out. */
  begin(changeIndex: LogIndex): void {
    this.#changeIndex ??= changeIndex;
  }

  /** A heartbeat of this round goes to a member, with this commit index. */
  onHeartbeat(to: NodeId, round: number, leaderCommit: LogIndex): void {
    if (this.#changeIndex === null || leaderCommit < this.#changeIndex || this.#toldIn.has(to)) return;
    this.#toldIn.set(to, round);
  }

  /** Whether a member could be told now that could not be before: what is committed has reached it. */
  canTell(to: NodeId, match: LogIndex): boolean {
    return this.#changeIndex !== null && match >= this.#changeIndex && !this.#toldIn.has(to);
  }

  /** Whether a quorum of the configuration has answered that it knows. */
  isKnown(config: ClusterConfig, replication: Replication): boolean {
    const knows = (node: NodeId): number => {
      const toldIn = this.#toldIn.get(node);
      const ackedRound = replication.get(node)?.ackedRound ?? 0;
      return toldIn !== undefined && ackedRound >= toldIn ? 1 : 0;
    };
    return quorumValue(config, knows) === 1;
  }
}
