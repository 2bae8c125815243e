import { EngineError } from "../../core/errors/index.ts";
import {
  type CallOptions,
  type Member,
  type MemberAddRequest,
  type ReadOptions,
  Replica,
  type ReplicaStatus,
  type StateMachine,
} from "../../core/node/index.ts";
import type { NodeId } from "../../core/raft/index.ts";
import { invalid } from "./config/raw-settings.ts";
import { EmbeddedMember } from "./embedded-member.ts";
import { embeddedHostOptions, type EmbeddedOptions } from "./embedded-options.ts";
import { type Hosted, NodeHost } from "./node-host.ts";

/**
 * A member of a cluster inside this process that replicates a state machine of your own instead of the key-value
 * store. Commands and snapshots are bytes in a form of your choice. All members must run the same state machine; a
 * data directory belongs to one of them for good.
 *
 * There is no client API over HTTP for it, so `listenClientUrls` is refused: serve it as you like.
 *
 * @typeParam Result what applying a command gives to whoever proposed it.
 *
 * @example
 * const counter = new Counter(); // implements StateMachine<number>
 * const member = await EmbeddedStateMachine.start("./data", counter);
 * await member.waitReady(5000);
 * await member.propose(new Uint8Array([5])); // 5, what applyChunk returned for it
 * await member.read(() => counter.value); // linearizable
 * await member.stop();
 */
export class EmbeddedStateMachine<Result> extends EmbeddedMember {
  readonly #replica: Replica<Result>;
  readonly #maxCommandBytes: number;

  private constructor(host: NodeHost<Hosted & { readonly replica: Replica<Result> }>) {
    super(host);
    this.#replica = host.engine.replica;
    this.#maxCommandBytes = host.config.maxRequestBytes;
  }

  /**
   * Starts a member with its log and snapshots in `dataDir`. `stateMachine` must be as new: it is first given the
   * newest snapshot to restore, and then what was committed after it.
   *
   * @throws EngineError `invalidConfig`, `storageLocked`, `storageForeign`, `storageCorrupt`: nothing was changed.
   */
  static async start<Result>(
    dataDir: string,
    stateMachine: StateMachine<Result>,
    options: EmbeddedOptions = {},
  ): Promise<EmbeddedStateMachine<Result>> {
    const base = embeddedHostOptions(dataDir, options);
    const [clientUrl] = base.config.listenClientUrls;
    if (clientUrl !== undefined) {
      throw invalid(
        `listenClientUrls: ${clientUrl} would serve nothing: only the key-value store has an API`,
      );
    }
    const host = await NodeHost.start({
      ...base,
      start: async (nodeOptions) => ({ replica: await Replica.start(nodeOptions, stateMachine) }),
    });
    return new EmbeddedStateMachine(host);
  }

  /**
   * Replicates a command; resolves with what applying it on *this* member gave.
   *
   * @throws EngineError `requestTooLarge` over `maxRequestBytes`; with code 14 it may take effect all the same.
   */
  async propose(command: Uint8Array, options: CallOptions = {}): Promise<Result> {
    if (command.length > this.#maxCommandBytes) throw new EngineError("requestTooLarge");
    return await this.#replica.propose(command, options);
  }

  /**
   * Calls `look` as soon as the state here is as fresh as asked for, `linearizable` unless told otherwise, and
   * resolves with what it returns. It must look at once: after an `await` the state may have moved on.
   */
  async read<T>(look: () => T, options: ReadOptions = {}): Promise<T> {
    await this.#replica.barrier(options);
    return look();
  }

  status(): ReplicaStatus {
    return this.#replica.status();
  }

  async memberList(options: ReadOptions = {}): Promise<readonly Member[]> {
    return await this.#replica.memberList(options);
  }

  /** Adds a member, which then starts with `initialClusterState: "existing"`. */
  async memberAdd(request: MemberAddRequest, options: CallOptions = {}): Promise<Member> {
    return await this.#replica.memberAdd(request, options);
  }

  async memberRemove(id: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#replica.memberRemove(id, options);
  }

  /** Makes a caught-up learner a voter; `learnerNotReady` until it is. */
  async memberPromote(id: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#replica.memberPromote(id, options);
  }

  async transferLeadership(target: NodeId, options: CallOptions = {}): Promise<void> {
    await this.#replica.transferLeadership(target, options);
  }
}
