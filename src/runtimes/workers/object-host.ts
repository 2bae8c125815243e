import { EngineError } from "../../core/errors/index.ts";
import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import { KvEngine, type Logger, type Member } from "../../core/node/index.ts";
import { clientGuard } from "../http/client-auth.ts";
import { Accounts } from "../http/auth/accounts.ts";
import { SocketSessions } from "../http/etcd/socket-sessions.ts";
import { createApp, portableBase64 } from "../http/index.ts";
import { type PeerReply, webPeerMac } from "../http/peer/index.ts";
import { decodeLeases } from "./lease-codec.ts";
import { MembershipKeeper } from "./membership-keeper.ts";
import type { ObjectAddress } from "./object-address.ts";
import { objectClock } from "./object-clock.ts";
import { ObjectMetrics } from "./object-metrics.ts";
import { ObjectPoster } from "./object-poster.ts";
import type { ObjectRecord } from "./object-record.ts";
import { ObjectRest } from "./object-rest.ts";
import { ObjectSockets } from "./object-sockets.ts";
import { ObjectTransport } from "./object-transport.ts";
import type { HibernatingSocket, ObjectNamespace, ObjectState } from "./platform.ts";
import { hasLeft, resolveMember } from "./resolve-member.ts";
import { VERSION } from "./version.ts";
import { Watchdog } from "./watchdog.ts";
import { answerAlarm, watchedNode } from "./watched-node.ts";
import type { WorkersConfig } from "./workers-config.ts";
import { webRandom } from "../http/web-random.ts";

export interface HostOptions {
  readonly state: ObjectState;
  readonly storage: DurableObjectStorageEngine;
  readonly namespace: ObjectNamespace;
  readonly config: WorkersConfig;
  readonly peerSecret: Uint8Array;
  readonly clientToken: string;
  readonly address: ObjectAddress;
  readonly record: ObjectRecord;
  readonly logger: Logger;
}

/** Says which node leads, as far as the answering one knows. The Worker asks there next time. */
export const LEADER_NODE_HEADER = "X-D-Engine-Leader-Node";

/** What is kept in memory of a log, in bytes: objects of one class may share 128 MB. */
const MEMORY = {
  tailBytes: 4 << 20,
  maxInflightBytes: 4 << 20,
  maxUncommittedBytes: 8 << 20,
  maxUnappliedBytes: 16 << 20,
} as const;

/** How long followers may have to wait for news of a commit, as a share of the heartbeat interval. */
const NEWS_DELAY = 0.4;

/** Of the same memory. */
const WATCHES = { maxWatches: 50_000, maxKeyBytes: 8 << 20, maxRecentBytes: 4 << 20 } as const;

/** One node in one Durable Object: its stores, its way to the others, its engine and the app that serves it. */
export class ObjectHost {
  readonly engine: KvEngine;
  readonly transport: ObjectTransport;
  readonly sockets: ObjectSockets;
  readonly #watchdog: Watchdog;
  readonly #poll: () => void;
  readonly #keeper: MembershipKeeper;
  readonly #patienceMs: number;
  readonly #hasLeft: () => Promise<boolean>;
  readonly #leave: () => void;
  readonly #fetch: (request: Request) => Response | Promise<Response>;

  private constructor(
    options: HostOptions,
    { engine, transport, sockets, metrics, watchdog, poll, keeper, hasLeft }: RunningNode,
  ) {
    this.engine = engine;
    this.transport = transport;
    this.sockets = sockets;
    this.#watchdog = watchdog;
    this.#poll = poll;
    this.#keeper = keeper;
    this.#patienceMs = options.config.requestTimeoutMs;
    this.#hasLeft = hasLeft;
    this.#leave = () => options.state.abort("d-engine: the node has left its group");
    const { config, clientToken, logger, storage } = options;
    const app = createApp({
      engine,
      auth: { clientToken, allowInsecure: false },
      version: VERSION,
      metrics: () => Promise.resolve(metrics.render(engine, transport, storage)),
      limits: { maxRequestBytes: Math.ceil(config.maxRequestBytes * 1.4) + (64 << 10) },
      logger,
    });
    this.#fetch = (request) => app.fetch(request);
  }

  /** @throws EngineError why it cannot run now; nothing of it stays behind then. */
  static async start(options: HostOptions): Promise<ObjectHost> {
    try {
      return new ObjectHost(options, await startNode(options));
    } catch (error) {
      options.logger.log("warn", "the node does not start", { error: String(error) });
      throw error;
    }
  }

  /** A client's request. */
  async fetch(request: Request): Promise<Response> {
    this.#keeper.check();
    if (isWatch(request)) await this.#catchUp();
    const isSocket = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
    const response = isSocket ? await this.sockets.open(request) : await this.#fetch(request);
    const { leaderId, replica } = this.engine;
    const leader = leaderId === null ? undefined : replica.members().find(({ id }) => id === leaderId);
    if (leader !== undefined && leader.name !== "") response.headers.set(LEADER_NODE_HEADER, leader.name);
    this.#poll();
    return response;
  }

  /**
   * A member that has slept may have forgotten what had been committed last, and would tell it as news. A watch that
   * begins is worth to wake the group, where one that goes on is not.
   */
  async #catchUp(): Promise<void> {
    const { leaderId, replica } = this.engine;
    if (leaderId === null) await replica.ready(this.#patienceMs).catch(() => undefined);
  }

  /** Something has come on a WebSocket. */
  async message(socket: HibernatingSocket, message: string | ArrayBuffer): Promise<void> {
    await this.#catchUp();
    await this.sockets.message(socket, message);
    this.#poll();
  }

  /** Whoever is not a voter yet leaves clients to those who are. @throws EngineError `notSupportedForLearner`. */
  requireVoter(): void {
    const { nodeId, replica } = this.engine;
    const isVoter = replica.members().find(({ id }) => id === nodeId)?.isLearner === false;
    if (!isVoter) throw new EngineError("notSupportedForLearner");
  }

  /** A message of another member. */
  receive(body: Uint8Array, takesAnswer: boolean): Promise<PeerReply> {
    return this.transport.receive(body, takesAnswer);
  }

  /** The alarm went off. */
  async alarm(): Promise<void> {
    if (await this.#hasLeft()) return this.#leave();
    await answerAlarm(this.engine, this.#patienceMs);
    this.sockets.keep();
    this.#poll();
    this.#watchdog.rang();
  }
}

interface RunningNode {
  readonly engine: KvEngine;
  readonly transport: ObjectTransport;
  readonly metrics: ObjectMetrics;
  readonly sockets: ObjectSockets;
  readonly watchdog: Watchdog;
  /** To be called after everything that may have put the node to sleep or awakened it, in the same turn. */
  readonly poll: () => void;
  readonly keeper: MembershipKeeper;
  readonly hasLeft: () => Promise<boolean>;
}

async function startNode(options: HostOptions): Promise<RunningNode> {
  const { state, storage, namespace, config, peerSecret, address, record, logger } = options;
  const { heartbeatIntervalMs, electionTimeoutMs, sleepAfterMs } = config;
  let engine: KvEngine | null = null;
  const failed = (error: unknown): void => {
    logger.log("error", "the object is started anew", { error: String(error) });
    state.abort(`d-engine: ${String(error)}`);
  };
  // Read before anything could write it: what was known when this object last had a memory.
  const rested = !record.awake;
  const savedLeases = record.leases === null ? null : decodeLeases(record.leases);
  let poll = (): void => undefined;
  const clock = objectClock(() => poll());
  const poster = new ObjectPoster({
    namespace,
    nodes: config.nodes,
    group: address.group,
    timeoutMs: electionTimeoutMs * 2,
    clock,
  });
  const membersMac = await webPeerMac(peerSecret, { type: "members", groupId: address.group });
  const context = { config, address, storage, poster, membersMac };
  const { identity, founders, contacts } = await resolveMember(context);
  const transport = await ObjectTransport.create({
    identity,
    secret: peerSecret,
    poster,
    touch: () => storage.touch(),
    members: () => Promise.resolve(engine === null ? null : knownMembers(engine)),
    contacts,
    afterInput: () => poll(),
    electionTimeoutMs,
    clock,
    random: webRandom,
    logger,
  });
  const metrics = new ObjectMetrics();
  engine = await KvEngine.start({
    identity,
    founders,
    self: { name: address.node, clientUrls: [] },
    storage,
    transport,
    clock,
    random: webRandom,
    logger,
    observer: metrics.observer,
    rested,
    savedLeases,
    watch: WATCHES,
    raft: {
      heartbeatIntervalMs,
      electionTimeoutMs,
      clockDriftBoundMs: electionTimeoutMs / 10,
      // Each message of its own is a request, and billed; the next write or heartbeat mostly comes before.
      commitNewsDelayMs: heartbeatIntervalMs * NEWS_DELAY,
      quiesceAfterMs: sleepAfterMs,
      ...MEMORY,
    },
    tuning: {
      defaultConsistency: config.defaultConsistency,
      requestTimeoutMs: config.requestTimeoutMs,
      lingerMs: config.lingerMs,
      snapshotEntries: config.snapshotEntries,
      snapshotBytes: 8 << 20,
      trailingEntries: 1000,
      maxPendingRequests: 4096,
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
      quotaBytes: config.quotaBytes,
    },
  });
  engine.onFailure(failed);
  const running = engine;
  const base64 = portableBase64;
  const guard = clientGuard({ clientToken: options.clientToken, allowInsecure: false }, undefined);
  const accounts = new Accounts({ engine, clientToken: options.clientToken });
  const sessions = new SocketSessions({ engine, base64, guard, logger });
  const sockets = new ObjectSockets({ state, engine, sessions, accounts, clock, logger });
  const rest = new ObjectRest(engine, record, () => sockets.keep());
  const watchdog = new Watchdog(state.storage, record, clock, watchedNode(running, clock), failed);
  poll = () => {
    rest.poll();
    watchdog.poll();
  };
  poll();
  const keeper = new MembershipKeeper(config, engine, clock, logger);
  return {
    engine,
    transport,
    sockets,
    metrics,
    watchdog,
    poll,
    keeper,
    hasLeft: () => hasLeft(context, identity),
  };
}

function isWatch({ url }: Request): boolean {
  return new URL(url).pathname.endsWith("/watch");
}

function knownMembers(engine: KvEngine): readonly Member[] | null {
  const members = engine.replica.members();
  return members.length === 0 ? null : members;
}
