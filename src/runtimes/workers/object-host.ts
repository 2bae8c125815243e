import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import { KvEngine, type Logger, type Member } from "../../core/node/index.ts";
import { createApp } from "../http/index.ts";
import { type PeerReply, webPeerMac } from "../http/peer/index.ts";
import type { ObjectAddress } from "./object-address.ts";
import { objectClock } from "./object-clock.ts";
import { ObjectPoster } from "./object-poster.ts";
import type { ObjectRecord } from "./object-record.ts";
import { ObjectTransport } from "./object-transport.ts";
import type { ObjectNamespace, ObjectState } from "./platform.ts";
import { resolveMember } from "./resolve-member.ts";
import { VERSION } from "./version.ts";
import { Watchdog } from "./watchdog.ts";
import type { WorkersConfig } from "./workers-config.ts";
import { workersRandom } from "./workers-random.ts";

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
  readonly #fetch: (request: Request) => Response | Promise<Response>;

  private constructor(
    options: HostOptions,
    engine: KvEngine,
    transport: ObjectTransport,
    watchdog: Watchdog,
  ) {
    this.engine = engine;
    this.transport = transport;
    this.#watchdog = watchdog;
    const { config, clientToken, logger } = options;
    const app = createApp({
      engine,
      auth: { clientToken, allowInsecure: false },
      version: VERSION,
      limits: { maxRequestBytes: Math.ceil(config.maxRequestBytes * 1.4) + (64 << 10) },
      logger,
    });
    this.#fetch = (request) => app.fetch(request);
  }

  /** @throws EngineError why it cannot run now; nothing of it stays behind then. */
  static async start(options: HostOptions): Promise<ObjectHost> {
    try {
      const { engine, transport, watchdog } = await startNode(options);
      return new ObjectHost(options, engine, transport, watchdog);
    } catch (error) {
      options.logger.log("warn", "the node does not start", { error: String(error) });
      throw error;
    }
  }

  /** A client's request. */
  async fetch(request: Request): Promise<Response> {
    const response = await this.#fetch(request);
    const { leaderId, replica } = this.engine;
    const leader = leaderId === null ? undefined : replica.members().find(({ id }) => id === leaderId);
    if (leader !== undefined && leader.name !== "") response.headers.set(LEADER_NODE_HEADER, leader.name);
    this.#watchdog.poll();
    return response;
  }

  /** A message of another member. */
  receive(body: Uint8Array, takesAnswer: boolean): Promise<PeerReply> {
    return this.transport.receive(body, takesAnswer);
  }

  /** The alarm went off. */
  alarm(): void {
    this.#watchdog.rang();
  }
}

interface RunningNode {
  readonly engine: KvEngine;
  readonly transport: ObjectTransport;
  readonly watchdog: Watchdog;
}

async function startNode(options: HostOptions): Promise<RunningNode> {
  const { state, storage, namespace, config, peerSecret, address, record, logger } = options;
  const { heartbeatIntervalMs, electionTimeoutMs, sleepAfterMs } = config;
  let engine: KvEngine | null = null;
  const isAwake = (): boolean =>
    engine !== null && !engine.replica.isAsleep && engine.replica.members().length > 1;
  const failed = (error: unknown): void => {
    logger.log("error", "the object is started anew", { error: String(error) });
    state.abort(`d-engine: ${String(error)}`);
  };
  const watchdog = new Watchdog(state.storage, record, isAwake, failed);
  const clock = objectClock(() => watchdog.poll());
  const poster = new ObjectPoster({
    namespace,
    nodes: config.nodes,
    group: address.group,
    timeoutMs: electionTimeoutMs * 2,
    clock,
  });
  const membersMac = await webPeerMac(peerSecret, { type: "members", groupId: address.group });
  const { identity, founders, contacts } = await resolveMember({
    config,
    address,
    storage,
    poster,
    membersMac,
  });
  const transport = await ObjectTransport.create({
    identity,
    secret: peerSecret,
    poster,
    touch: () => storage.touch(),
    members: () => Promise.resolve(engine === null ? null : knownMembers(engine)),
    contacts,
    afterInput: () => watchdog.poll(),
    electionTimeoutMs,
    clock,
    random: workersRandom,
    logger,
  });
  engine = await KvEngine.start({
    identity,
    founders,
    self: { name: address.node, clientUrls: [] },
    storage,
    transport,
    clock,
    random: workersRandom,
    logger,
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
      snapshotEntries: config.snapshotEntries,
      snapshotBytes: 8 << 20,
      trailingEntries: 1000,
      maxPendingRequests: 4096,
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
    },
  });
  engine.onFailure(failed);
  watchdog.poll();
  return { engine, transport, watchdog };
}

function knownMembers(engine: KvEngine): readonly Member[] | null {
  const members = engine.replica.members();
  return members.length === 0 ? null : members;
}
