import { openSqliteStorage } from "../../adapters/sqlite/index.ts";
import { KvEngine, Listeners, type Logger, type Member, type StorageEngine } from "../../core/node/index.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { Doors } from "./doors.ts";
import { formatId } from "./identity.ts";
import { nodeBase64 } from "./node-base64.ts";
import { nodeClock } from "./node-clock.ts";
import { nodeRandom } from "./node-random.ts";
import type { PeerClientTls } from "./peers/peer-poster.ts";
import { PeerTransport } from "./peers/peer-transport.ts";
import { resolveIdentity } from "./resolve-identity.ts";
import { VERSION } from "./version.ts";

export interface HostOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  /** See Doors. */
  readonly replaceGlobals: boolean;
  /** Instead of SQLite in the configuration's data directory. */
  readonly storage?: StorageEngine;
}

/** Requests under way at a stop may take this long to finish. */
const CLOSE_GRACE_MS = 3000;

/** One node on plain Node: its stores, its way to the others, its engine and its listening sockets. */
export class NodeHost {
  readonly config: ServerConfig;
  readonly engine: KvEngine;
  readonly #logger: Logger;
  readonly #transport: PeerTransport;
  readonly #doors: Doors;
  readonly #stopListeners = new Listeners<void>();
  #stopping: Promise<void> | null = null;

  private constructor(options: HostOptions, engine: KvEngine, transport: PeerTransport, doors: Doors) {
    this.config = options.config;
    this.#logger = options.logger;
    this.engine = engine;
    this.#transport = transport;
    this.#doors = doors;
  }

  /** Starts everything, or nothing: what had been started is stopped again when a later step fails. */
  static async start(options: HostOptions): Promise<NodeHost> {
    const { config, logger } = options;
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const storage = options.storage ?? (await openSqliteStorage({ dir: config.dataDir }));
      undo.push(() => storage.close());
      const maxPeerBytes = largestBatch(config);
      const doors = await Doors.open({ config, maxPeerBytes, replaceGlobals: options.replaceGlobals });
      undo.push(() => doors.close(0));
      const tls = peerClientTls(config);
      const { identity, founders, contacts } = await resolveIdentity({
        config,
        storage,
        random: nodeRandom,
        logger,
        ...tls,
      });
      let engine: KvEngine | null = null;
      const transport = new PeerTransport({
        identity,
        secret: config.peerSecret,
        ...tls,
        maxBodyBytes: maxPeerBytes,
        members: () => (engine === null ? Promise.resolve(null) : knownMembers(engine)),
        contacts,
        clock: nodeClock,
        random: nodeRandom,
        logger,
        idleTimeoutMs: Math.max(1000, config.electionTimeoutMs),
        limits: { maxBackoffMs: Math.max(50, config.electionTimeoutMs * 0.4) },
      });
      undo.push(() => transport.stop());
      // Open before the node runs: its first messages are answered by others at once.
      doors.servePeers(transport.receive);
      engine = await KvEngine.start({
        identity,
        founders,
        self: { name: config.name, clientUrls: config.advertiseClientUrls },
        storage,
        transport,
        clock: nodeClock,
        random: nodeRandom,
        logger,
        ...engineSettings(config),
      });
      const host = new NodeHost(options, engine, transport, doors);
      undo.push(() => host.stop({ transferLeadership: false }));
      await host.#open(engine);
      return host;
    } catch (error) {
      for (const step of undo.reverse()) await step().catch(() => undefined);
      throw error;
    }
  }

  /** Stops serving, hands leadership over unless told not to, and lets go of files and sockets. */
  stop(options: { readonly transferLeadership?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop(options);
    return this.#stopping;
  }

  /** Calls back once the node has stopped, for whatever reason; returns the way to stop listening. */
  onStopped(listener: () => void): () => void {
    return this.#stopListeners.add(listener);
  }

  async #open(engine: KvEngine): Promise<void> {
    const { config } = this;
    const { clusterId, nodeId } = engine.status();
    engine.onFailure(() => this.#stopListeners.emit());
    this.#logger.log("info", "node started", {
      name: config.name,
      nodeId,
      clusterId,
      dataDir: config.dataDir,
      listening: this.#doors.urls,
    });
    if (config.listenClientUrls.length > 0) await this.#serveClients(engine);
    this.#keepPeerUrlsTrue(engine);
  }

  async #serveClients(engine: KvEngine): Promise<void> {
    const { config } = this;
    // Loaded only here: an engine that serves nobody over HTTP has no use for a metrics library.
    const { nodeMetrics } = await import("./metrics.ts");
    const metrics = nodeMetrics(engine, this.#transport);
    this.#doors.serveClients({
      engine: metrics.engine,
      auth: {
        ...(config.clientToken === null ? {} : { clientToken: config.clientToken }),
        // The configuration was refused unless this is safe, or someone said so.
        allowInsecure: true,
      },
      version: VERSION,
      metrics: metrics.render,
      limits: { maxRequestBytes: Math.ceil(config.maxRequestBytes * 1.4) + (64 << 10) },
      base64: nodeBase64,
      logger: this.#logger,
    });
  }

  /**
   * A single node that was given another address says so to the membership by itself, and so can grow by a change of
   * its configuration. With others around that is an operator's act, as in etcd: they might lose sight of it.
   */
  #keepPeerUrlsTrue(engine: KvEngine): void {
    const { advertisePeerUrls } = this.config;
    if (advertisePeerUrls.length === 0) return;
    const { nodeId } = engine;
    const update = async (): Promise<void> => {
      await engine.ready(this.config.electionTimeoutMs * 10);
      const { members } = await engine.memberList();
      const known = members.find(({ id }) => id === nodeId)?.peerUrls;
      if (known === undefined || sameSet(known, advertisePeerUrls)) return;
      if (members.length === 1) {
        await engine.memberUpdate(nodeId, advertisePeerUrls);
        this.#logger.log("info", "peer URLs changed", { from: known, to: advertisePeerUrls });
      } else {
        this.#logger.log("warn", "the members know this one under other peer URLs", {
          known,
          configured: advertisePeerUrls,
          remedy: `d-engine member update ${formatId(nodeId)} --peer-urls=${advertisePeerUrls.join(",")}`,
        });
      }
    };
    update().catch((error: unknown) => {
      if (!engine.isStopped) this.#logger.log("debug", "peer URLs could not be compared", { error });
    });
  }

  async #stop(options: { readonly transferLeadership?: boolean }): Promise<void> {
    // While this node still leads, what clients have asked for is soonest done.
    await this.#doors.closeToClients(CLOSE_GRACE_MS);
    await this.engine.stop(options);
    await this.#doors.close(CLOSE_GRACE_MS);
    this.#logger.log("info", "node stopped", { nodeId: this.engine.nodeId });
    this.#stopListeners.emit();
  }
}

async function knownMembers(engine: KvEngine): Promise<readonly Member[] | null> {
  const { members } = await engine.memberList({ consistency: "eventual" });
  return members.length === 0 ? null : members;
}

/** A batch is closed at a megabyte; its last frame may be as large as the largest request, or a snapshot's chunk. */
function largestBatch(config: ServerConfig): number {
  return (8 << 20) + 2 * config.maxRequestBytes;
}

function peerClientTls({ peerTls }: ServerConfig): { readonly tls?: PeerClientTls } {
  if (peerTls === null) return {};
  const { cert, key, ca } = peerTls;
  return { tls: { cert, key, ...(ca === null ? {} : { ca }) } };
}

function engineSettings(config: ServerConfig): Pick<Parameters<typeof KvEngine.start>[0], "raft" | "tuning"> {
  const { heartbeatIntervalMs, electionTimeoutMs } = config;
  return {
    raft: { heartbeatIntervalMs, electionTimeoutMs, clockDriftBoundMs: electionTimeoutMs / 10 },
    tuning: {
      defaultConsistency: config.defaultConsistency,
      requestTimeoutMs: config.requestTimeoutMs,
      snapshotEntries: config.snapshotEntries,
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
    },
  };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}
