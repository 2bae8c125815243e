import { EngineError } from "../errors/index.ts";
import type { NodeId } from "../raft/index.ts";
import type { CallOptions, Member, MemberAddRequest } from "./engine.ts";
import type { Clock, Random } from "./ports.ts";
import type { RaftNode } from "./raft-node.ts";
import { Waiter } from "./waiter.ts";

/**
 * What operators do to the membership: each looks at its request, proposes the change, and waits for it. Whether the
 * change goes with the members as they are the leader decides.
 */
export class MemberOperations<R> {
  readonly #node: RaftNode<R>;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(node: RaftNode<R>, clock: Clock, random: Random) {
    this.#node = node;
    this.#clock = clock;
    this.#random = random;
  }

  async add({ peerUrls, isLearner }: MemberAddRequest, call: CallOptions): Promise<Member> {
    requireUrls(peerUrls);
    const id = this.#random.id();
    const type = isLearner ? "addLearner" : "addVoter";
    await this.#node.changeMembers(
      [{ type, node: id }],
      // It tells its name when it first starts: that a member has one says that it has run.
      [{ id, peerUrls, name: "", clientUrls: [] }],
      call,
    );
    return this.#require(id);
  }

  async remove(id: NodeId, call: CallOptions): Promise<void> {
    await this.#node.barrier("linearizable", call);
    this.#require(id);
    // A leader that removes itself would leave the others without one until they notice (thesis §4.2.2).
    const change = (): Promise<void> => this.#node.changeMembers([{ type: "remove", node: id }], [], call);
    if (this.#node.leaderId !== id) return await change();
    await this.#handOver(id, call);
    await this.#onceHeard(change);
  }

  /** Who has just begun to lead may not have heard yet from everybody who is needed. */
  async #onceHeard(change: () => Promise<void>): Promise<void> {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.#node.raftOptions;
    const untilMs = this.#clock.nowMs() + electionTimeoutMs;
    for (;;) {
      try {
        return await change();
      } catch (error) {
        const maySoon = error instanceof EngineError && error.code === "unhealthy";
        if (!maySoon || this.#clock.nowMs() >= untilMs) throw error;
      }
      await new Promise<void>((resolve) => this.#clock.setTimer(heartbeatIntervalMs, resolve));
    }
  }

  /** Only the leader can begin to hand over; elsewhere, or with nobody to hand to, the removal goes on without. */
  async #handOver(id: NodeId, call: CallOptions): Promise<void> {
    const { nodeId } = this.#node.status();
    const successor = nodeId === id ? this.mostCaughtUpVoter() : null;
    if (successor === null) return;
    await this.transferLeadership(successor, call);
    // Before it has committed an entry of its own the new leader refuses every change (thesis §4.1, Ongaro 2015).
    await this.#node.barrier("linearizable", call);
  }

  /** The voter, other than this node, that lags least; null if there is none. Only a leader knows. */
  mostCaughtUpVoter(): NodeId | null {
    const { config, progress, nodeId } = this.#node.status();
    let best: NodeId | null = null;
    let bestMatch = -1;
    for (const voter of config.voters) {
      const match = voter === nodeId ? undefined : progress.get(voter)?.match;
      if (match === undefined || match <= bestMatch) continue;
      best = voter;
      bestMatch = match;
    }
    return best;
  }

  async update(id: NodeId, peerUrls: readonly string[], call: CallOptions): Promise<void> {
    requireUrls(peerUrls);
    await this.#node.barrier("linearizable", call);
    this.#require(id);
    await this.#node.updateMember({ id, peerUrls }, call);
  }

  async promote(id: NodeId, call: CallOptions): Promise<void> {
    await this.#node.barrier("linearizable", call);
    if (!this.#require(id).isLearner) throw new EngineError("memberNotLearner");
    await this.#node.changeMembers([{ type: "addVoter", node: id }], [], call);
  }

  /** Resolves when `target` leads. */
  async transferLeadership(target: NodeId, call: CallOptions): Promise<void> {
    const node = this.#node;
    if (node.leaderId === target) return;
    const member = node.member(target);
    if (member === undefined || member.isLearner) throw new EngineError("badLeaderTransferee");
    node.beginTransfer(target);
    const timeoutMs = call.timeoutMs ?? node.tuning.requestTimeoutMs;
    const waiter = new Waiter<void>(this.#clock.nowMs() + timeoutMs, call.signal);
    const cancel = this.#clock.setTimer(timeoutMs, () => waiter.fail("timeout"));
    const unlisten = node.events.leader.add((leaderId) => {
      if (leaderId === target) waiter.resolve();
    });
    try {
      await waiter.promise;
    } finally {
      cancel();
      unlisten();
    }
  }

  #require(id: NodeId): Member {
    const member = this.#node.member(id);
    if (member === undefined) throw new EngineError("memberNotFound");
    return member;
  }
}

function requireUrls(urls: readonly string[]): void {
  if (urls.length === 0 || urls.some((url) => !/^https?:\/\/[^\s/]+$/.test(url))) {
    throw new EngineError("badMemberUrls", { detail: "peer URLs look like http://host:port" });
  }
}
