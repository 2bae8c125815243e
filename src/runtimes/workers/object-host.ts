import { EngineError } from "../../core/errors/index.ts";
import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import { KvEngine, type Logger, type Member } from "../../core/node/index.ts";
import { createApp } from "../http/index.ts";
import { type PeerReply, webPeerMac } from "../http/peer/index.ts";
import { MembershipKeeper } from "./membership-keeper.ts";
import type { ObjectAddress } from "./object-address.ts";
import { objectClock } from "./object-clock.ts";
import { ObjectMetrics } from "./object-metrics.ts";
import { ObjectPoster } from "./object-poster.ts";
import type { ObjectRecord } from "./object-record.ts";
import { ObjectTransport } from "./object-transport.ts";
import type { ObjectNamespace, ObjectState } from "./platform.ts";
import { hasLeft, resolveMember } from "./resolve-member.ts";
import { VERSION } from "./version.ts";
import { Watchdog } from "./watchdog.ts";
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

/** One node in one Durable Object: its stores, its way to the others, its engine and the app that serves it. */
export class ObjectHost {
  readonly engine: KvEngine;
  readonly transport: ObjectTransport;
  readonly #watchdog: Watchdog;
  readonly #keeper: MembershipKeeper;
  readonly #patienceMs: number;
  readonly #hasLeft: () => Promise<boolean>;
  readonly #leave: () => void;
  readonly #fetch: (request: Request) => Response | Promise<Response>;

  private constructor(
    options: HostOptions,
    { engine, transport, metrics, watchdog, keeper, hasLeft }: RunningNode,
  ) {
    this.engine = engine;
    this.transport = transport;
    this.#watchdog = watchdog;
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
    const response = await this.#fetch(request);
    const { leaderId, replica } = this.engine;
    const leader = leaderId === null ? undefined : replica.members().find(({ id }) => id === leaderId);
    if (leader !== undefined && leader.name !== "") response.headers.set(LEADER_NODE_HEADER, leader.name);
    this.#watchdog.poll();
    return response;
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
    const { replica, nextLeaseDeadlineMs } = this.engine;
    // It was set for leases that this object has forgotten with all else: whoever leads next will know them.
    if (replica.isAsleep && nextLeaseDeadlineMs === null) {
      await replica.ready(this.#patienceMs).catch(() => undefined);
    }
    this.#watchdog.rang();
  }
}

interface RunningNode {
  readonly engine: KvEngine;
  readonly transport: ObjectTransport;
  readonly metrics: ObjectMetrics;
  readonly watchdog: Watchdog;
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
  let watchdog: Watchdog | null = null;
  const clock = objectClock(() => watchdog?.poll());
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
    afterInput: () => watchdog?.poll(),
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
    raft: {
      heartbeatIntervalMs,
      electionTimeoutMs,
      clockDriftBoundMs: electionTimeoutMs / 10,
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
    },
  });
  engine.onFailure(failed);
  const running = engine;
  const watched = {
    isAwake: () => !running.replica.isAsleep && !isAlone(running),
    hasDeadlines: () => running.nextLeaseDeadlineMs !== null,
  };
  watchdog = new Watchdog(state.storage, record, watched, failed);
  watchdog.poll();
  const keeper = new MembershipKeeper(config, engine, clock, logger);
  return { engine, transport, metrics, watchdog, keeper, hasLeft: () => hasLeft(context, identity) };
}

/** The only member there is leads whenever it runs, and owes nobody anything. */
function isAlone({ nodeId, replica }: KvEngine): boolean {
  const members = replica.members();
  return members.length === 1 && members[0]!.id === nodeId;
}

function knownMembers(engine: KvEngine): readonly Member[] | null {
  const members = engine.replica.members();
  return members.length === 0 ? null : members;
}
