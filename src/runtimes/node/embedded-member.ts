import { EngineError } from "../../core/errors/index.ts";
import type { Member, Replica } from "../../core/node/index.ts";
import type { NodeId, Term } from "../../core/raft/index.ts";
import type { Hosted, NodeHost } from "./node-host.ts";

/** Who leads, and in which term. */
export interface LeaderInfo {
  readonly id: NodeId;
  readonly term: Term;
}

/** A member of a cluster inside this process, whatever it runs. */
export abstract class EmbeddedMember {
  readonly #host: NodeHost<Hosted>;
  #stopped = false;

  protected constructor(host: NodeHost<Hosted>) {
    this.#host = host;
  }

  get #replica(): Replica<unknown> {
    return this.#host.engine.replica;
  }

  /**
   * Resolves once there is a leader and this member has caught up with it.
   *
   * @throws EngineError `timeout`, `noLeader`.
   */
  async waitReady(timeoutMs: number): Promise<LeaderInfo> {
    await this.#replica.ready(timeoutMs);
    const { leaderInfo } = this;
    if (leaderInfo === null) throw new EngineError("noLeader");
    return leaderInfo;
  }

  get nodeId(): NodeId {
    return this.#replica.nodeId;
  }

  get isLeader(): boolean {
    return this.#replica.isLeader;
  }

  get leaderId(): NodeId | null {
    return this.#replica.leaderId;
  }

  get leaderInfo(): LeaderInfo | null {
    const { leaderId, term } = this.#replica;
    return leaderId === null ? null : { id: leaderId, term };
  }

  /** Calls back whenever the leader changes, null when there is none; returns the way to stop. */
  onLeaderChange(listener: (leader: LeaderInfo | null) => void): () => void {
    return this.#replica.onLeaderChange((id) => {
      listener(id === null ? null : { id, term: this.#replica.term });
    });
  }

  /** Calls back whenever the membership changes; returns the way to stop. */
  onMembershipChange(listener: (members: readonly Member[]) => void): () => void {
    return this.#replica.onMembershipChange(listener);
  }

  /**
   * The members now, and again after each change until the loop is left or the engine stops. A slow reader sees the
   * latest membership, not every one on the way.
   */
  async *watchMembership(): AsyncGenerator<readonly Member[], void, undefined> {
    const replica = this.#replica;
    let latest: readonly Member[] | null = replica.members();
    let wake = (): void => undefined;
    const stopListening = [
      replica.onMembershipChange((members) => {
        latest = members;
        wake();
      }),
      this.#host.onStopped(() => wake()),
    ];
    try {
      while (!this.isStopped) {
        if (latest === null) {
          await new Promise<void>((resolve) => (wake = resolve));
        } else {
          const members = latest;
          latest = null;
          yield members;
        }
      }
    } finally {
      for (const stop of stopListening) stop();
    }
  }

  /** Calls back when the member has stopped by itself, because its disk failed or an invariant broke. */
  onFailure(listener: (error: unknown) => void): () => void {
    return this.#replica.onFailure(listener);
  }

  get isStopped(): boolean {
    return this.#stopped || this.#replica.isStopped;
  }

  /** Hands leadership over if there is somebody to take it, and lets go of files and sockets. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#host.stop();
  }
}
