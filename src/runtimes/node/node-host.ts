import { EngineError } from "../../core/errors/index.ts";
import {
  Listeners,
  type Logger,
  type Member,
  type NodeObserver,
  type NodeOptions,
  type Replica,
  type StorageEngine,
} from "../../core/node/index.ts";
import { formatId, MAX_BATCH_BYTES } from "../http/peer/index.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { isShared } from "./config/storage-url.ts";
import { Doors } from "./doors.ts";
import { nodeClock } from "./node-clock.ts";
import { nodeRandom } from "./node-random.ts";
import type { PeerClientTls } from "./peers/peer-poster.ts";
import { PeerTransport } from "./peers/peer-transport.ts";
import { resolveIdentity } from "./resolve-identity.ts";
import { describeStorage } from "./storage/describe-storage.ts";
import { openStorage } from "./storage/open-storage.ts";
import type { Certificates } from "./tls/certificates.ts";

/** What a host runs: a replica, and what stands on it. */
export interface Hosted {
  readonly replica: Replica<unknown>;
  /** Ends what clients keep open for as long as they like. */
  endStreams?(): void;
}

/** What a host needs, whatever it runs. */
export interface BaseHostOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  /** See Doors. */
  readonly replaceGlobals: boolean;
  /** Instead of what the configuration names. */
  readonly storage?: StorageEngine;
  /** Told what the node measures. It does not throw. */
  readonly observer?: NodeObserver;
}

/** What a host needs, and what it is to run. */
export interface HostOptions<E extends Hosted> extends BaseHostOptions {
  /** Starts what this node is to run. */
  readonly start: (options: NodeOptions) => Promise<E>;
  /** Lets clients in once it runs. Absent: only other members are served. */
  readonly serveClients?: (engine: E, doors: Doors, transport: PeerTransport) => Promise<void>;
}

/** Requests under way at a stop may take this long to finish. */
const CLOSE_GRACE_MS = 3000;

/** How often a start is begun anew because another process was busy with the same storage, and how soon. */
const MAX_STARTS = 4;
const START_AGAIN_MS = 500;

/** One node on plain Node: its stores, its way to the others, what it runs, and its listening sockets. */
export class NodeHost<E extends Hosted> {
  readonly config: ServerConfig;
  readonly engine: E;
  readonly #logger: Logger;
  readonly #doors: Doors;
  readonly #stopListeners = new Listeners<void>();
  readonly #failureListeners = new Listeners<unknown>();
  #failure: { readonly error: unknown } | null = null;
  #stopping: Promise<void> | null = null;

  private constructor({ config, logger }: HostOptions<E>, engine: E, doors: Doors) {
    this.config = config;
    this.#logger = logger;
    this.engine = engine;
    this.#doors = doors;
  }

  /** Starts everything, or nothing. */
  static async start<E extends Hosted>(options: HostOptions<E>): Promise<NodeHost<E>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await NodeHost.#start(options);
      } catch (error) {
        if (attempt === MAX_STARTS || !wasOvertaken(error, options)) throw error;
        options.logger.log(
          "warn",
          "another process wrote to the storage while this one was starting: once more",
        );
        // At random, lest two that start together meet again.
        await new Promise((resolve) => setTimeout(resolve, nodeRandom.next() * START_AGAIN_MS));
      }
    }
  }

  /** What had been started is stopped again when a later step fails. */
  static async #start<E extends Hosted>(options: HostOptions<E>): Promise<NodeHost<E>> {
    const { config, logger } = options;
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const storage = options.storage ?? (await openStorage(config, logger));
      undo.push(() => storage.close());
      // Not by this member's own largest request: another may have been told of a larger one.
      const maxPeerBytes = MAX_BATCH_BYTES;
      const doors = await Doors.open({
        config,
        logger,
        maxPeerBytes,
        replaceGlobals: options.replaceGlobals,
      });
      undo.push(() => doors.close(0));
      const { peerTls } = doors;
      const tls = peerTls === null ? {} : { tls: peerClientTls(peerTls) };
      const { identity, founders, contacts } = await resolveIdentity({
        config,
        storage,
        random: nodeRandom,
        logger,
        ...tls,
      });
      let engine: E | null = null;
      const transport = new PeerTransport({
        identity,
        secret: config.peerSecret,
        ...tls,
        maxBodyBytes: maxPeerBytes,
        members: () => Promise.resolve(engine === null ? null : knownMembers(engine.replica)),
        contacts,
        clock: nodeClock,
        random: nodeRandom,
        logger,
        idleTimeoutMs: Math.max(1000, config.electionTimeoutMs),
        limits: { maxBackoffMs: Math.max(50, config.electionTimeoutMs * 0.4) },
      });
      undo.push(() => transport.stop());
      peerTls?.onChange(() => transport.setTls(peerClientTls(peerTls)));
      // Open before the node runs: its first messages are answered by others at once.
      doors.servePeers(transport.receive);
      engine = await options.start({
        identity,
        founders,
        self: { name: config.name, clientUrls: config.advertiseClientUrls },
        storage,
        transport,
        clock: nodeClock,
        random: nodeRandom,
        logger,
        ...(options.observer === undefined ? {} : { observer: options.observer }),
        ...engineSettings(config),
      });
      const host = new NodeHost(options, engine, doors);
      undo.push(() => host.stop({ transferLeadership: false }));
      await host.#open(() => options.serveClients?.(host.engine, doors, transport));
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

  /** Calls back when the node has stopped by itself, at once if it already has. */
  onFailure(listener: (error: unknown) => void): void {
    if (this.#failure === null) this.#failureListeners.add(listener);
    else listener(this.#failure.error);
  }

  #onFailure(error: unknown): void {
    this.#failure = { error };
    this.#failureListeners.emit(error);
    this.#stopListeners.emit();
  }

  async #open(serveClients: () => Promise<void> | undefined): Promise<void> {
    const { config } = this;
    const { replica } = this.engine;
    const { clusterId, nodeId } = replica.identity;
    replica.onFailure((error) => this.#onFailure(error));
    if (replica.isStopped) this.#onFailure(new EngineError("stopped"));
    this.#logger.log("info", "node started", {
      name: config.name,
      nodeId,
      clusterId,
      storage: describeStorage(config),
      listening: this.#doors.urls,
    });
    await serveClients();
    this.#keepPeerUrlsTrue(replica);
  }

  /**
   * A single node that was given another address says so to the membership by itself, and so can grow by a change of
   * its configuration. With others around that is an operator's act, as in etcd: they might lose sight of it.
   */
  #keepPeerUrlsTrue(replica: Replica<unknown>): void {
    const { advertisePeerUrls } = this.config;
    if (advertisePeerUrls.length === 0) return;
    const { nodeId } = replica;
    const update = async (): Promise<void> => {
      await replica.ready(this.config.electionTimeoutMs * 10);
      const members = replica.members();
      const known = members.find(({ id }) => id === nodeId)?.peerUrls;
      if (known === undefined || sameSet(known, advertisePeerUrls)) return;
      if (members.length === 1) {
        await replica.memberUpdate(nodeId, advertisePeerUrls);
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
      if (!replica.isStopped) this.#logger.log("debug", "peer URLs could not be compared", { error });
    });
  }

  async #stop(options: { readonly transferLeadership?: boolean }): Promise<void> {
    this.engine.endStreams?.();
    // While this node still leads, what clients have asked for is soonest done.
    await this.#doors.closeToClients(CLOSE_GRACE_MS);
    try {
      await this.engine.replica.stop(options);
    } finally {
      await this.#doors.close(CLOSE_GRACE_MS);
      this.#logger.log("info", "node stopped", { nodeId: this.engine.replica.nodeId });
      this.#stopListeners.emit();
    }
  }
}

/** It has fenced that process by now, so what it reads next is true. */
function wasOvertaken(error: unknown, { storage, config }: BaseHostOptions): boolean {
  if (storage !== undefined || !(error instanceof EngineError) || error.code !== "storageLocked")
    return false;
  return [config.storage, config.storageMeta].some((location) => location !== null && isShared(location));
}

function knownMembers(replica: Replica<unknown>): readonly Member[] | null {
  const members = replica.members();
  return members.length === 0 ? null : members;
}

function peerClientTls({ current, config }: Certificates): PeerClientTls {
  const { cert, key, ca } = current;
  const { minVersion, allowedCn } = config;
  return { cert, key, ...(ca === null ? {} : { ca }), minVersion, allowedCn };
}

function engineSettings(config: ServerConfig): Pick<NodeOptions, "raft" | "tuning" | "autoCompaction"> {
  const { heartbeatIntervalMs, electionTimeoutMs, autoCompaction } = config;
  return {
    raft: {
      heartbeatIntervalMs,
      electionTimeoutMs,
      clockDriftBoundMs: electionTimeoutMs / 10,
      quiesceAfterMs: config.sleepAfterMs,
    },
    tuning: {
      defaultConsistency: config.defaultConsistency,
      requestTimeoutMs: config.requestTimeoutMs,
      snapshotEntries: config.snapshotEntries,
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
      maxRangeBytes: config.maxRangeBytes,
      quotaBytes: config.quotaBytes,
    },
    ...(autoCompaction === null ? {} : { autoCompaction }),
  };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}
