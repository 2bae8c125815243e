import { EngineError } from "../../core/errors/index.ts";
import { Client, type Engine, type Member } from "../../core/node/index.ts";
import type { NodeId, Term } from "../../core/raft/index.ts";
import { loadEmbeddedConfig } from "./config/load-config.ts";
import type { EmbeddedOptions } from "./embedded-options.ts";
import { NodeHost } from "./node-host.ts";
import { nodeLogger } from "./node-logger.ts";

/** Who leads, and in which term. */
export interface LeaderInfo {
  readonly id: NodeId;
  readonly term: Term;
}

/**
 * A member of a cluster inside this process.
 *
 * @example
 * const engine = await EmbeddedEngine.start("./data");
 * await engine.waitReady(5000);
 * const client = engine.client();
 * await client.put("greeting", "hello");
 * await client.getText("greeting"); // "hello"
 * await engine.stop();
 *
 * @example Three members: the same code, told where the others are (here, or in `ETCD_...` variables).
 * const engine = await EmbeddedEngine.start("./data", {
 *   name: "n1",
 *   initialCluster: { n1: "http://10.0.0.1:2380", n2: "http://10.0.0.2:2380", n3: "http://10.0.0.3:2380" },
 *   peerSecretFile: "./peer-secret",
 * });
 */
export class EmbeddedEngine {
  readonly #host: NodeHost;
  readonly #client: Client;
  #stopped = false;

  private constructor(host: NodeHost) {
    this.#host = host;
    this.#client = new Client(host.engine, { maxTxnOps: host.config.maxTxnOps });
  }

  /**
   * Starts a member with its data in `dataDir`, made if it is missing. With nothing else it is alone and elects
   * itself.
   *
   * @throws EngineError `invalidConfig`, `storageLocked`, `storageForeign`, `storageCorrupt`: nothing was changed.
   */
  static async start(dataDir: string, options: EmbeddedOptions = {}): Promise<EmbeddedEngine> {
    const { logger: givenLogger, storage, env = process.env, ...settings } = options;
    const { config, warnings } = loadEmbeddedConfig({ ...settings, dataDir }, env);
    const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
    const logger = givenLogger ?? nodeLogger({ level: config.logLevel, format });
    for (const warning of warnings) logger.log("warn", warning);
    const host = await NodeHost.start({
      config,
      logger,
      replaceGlobals: false,
      ...(storage === undefined ? {} : { storage }),
    });
    return new EmbeddedEngine(host);
  }

  /**
   * Resolves once there is a leader and this member has caught up with it.
   *
   * @throws EngineError `timeout`, `noLeader`.
   */
  async waitReady(timeoutMs: number): Promise<LeaderInfo> {
    await this.#host.engine.ready(timeoutMs);
    const { leaderInfo } = this;
    if (leaderInfo === null) throw new EngineError("noLeader");
    return leaderInfo;
  }

  /** The everyday methods. Cheap, and always the same. */
  client(): Client {
    return this.#client;
  }

  /** Everything that etcd's API can do, in its terms. */
  get engine(): Engine {
    return this.#host.engine;
  }

  get nodeId(): NodeId {
    return this.#host.engine.nodeId;
  }

  get isLeader(): boolean {
    return this.#host.engine.isLeader;
  }

  get leaderId(): NodeId | null {
    return this.#host.engine.leaderId;
  }

  get leaderInfo(): LeaderInfo | null {
    const { leaderId, term } = this.#host.engine.status();
    return leaderId === null ? null : { id: leaderId, term };
  }

  /** Calls back whenever the leader changes, null when there is none; returns the way to stop. */
  onLeaderChange(listener: (leader: LeaderInfo | null) => void): () => void {
    return this.#host.engine.onLeaderChange((id) => {
      listener(id === null ? null : { id, term: this.#host.engine.status().term });
    });
  }

  /** Calls back whenever the membership changes; returns the way to stop. */
  onMembershipChange(listener: (members: readonly Member[]) => void): () => void {
    return this.#host.engine.onMembershipChange(listener);
  }

  /**
   * The members now, and again after each change until the loop is left or the engine stops. A slow reader sees the
   * latest membership, not every one on the way.
   */
  async *watchMembership(): AsyncGenerator<readonly Member[], void, undefined> {
    const { engine } = this.#host;
    let latest: readonly Member[] | null = null;
    let wake = (): void => undefined;
    const stopListening = [
      engine.onMembershipChange((members) => {
        latest = members;
        wake();
      }),
      this.#host.onStopped(() => wake()),
    ];
    try {
      const { members: present } = await engine.memberList({ consistency: "eventual" });
      latest ??= present;
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
    return this.#host.engine.onFailure(listener);
  }

  get isStopped(): boolean {
    return this.#stopped || this.#host.engine.isStopped;
  }

  /** Hands leadership over if there is somebody to take it, and lets go of files and sockets. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#host.stop();
  }
}
