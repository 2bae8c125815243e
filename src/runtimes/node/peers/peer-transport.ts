import { assert } from "../../../core/errors/index.ts";
import type {
  Clock,
  Logger,
  Member,
  Random,
  StoreIdentity,
  Transport,
  TransportHandler,
} from "../../../core/node/index.ts";
import type { NodeId } from "../../../core/raft/index.ts";
import {
  LimitedLog,
  LINK_LIMITS,
  type LinkLimits,
  type LinkStats,
  NOT_RUNNING,
  type PeerHandler,
  PeerLink,
  PeerLinks,
  PeerReceiver,
} from "../../http/peer/index.ts";
import { nodePeerMac } from "./node-mac.ts";
import { type PeerClientTls, PeerPoster } from "./peer-poster.ts";
import { PeerWay } from "./peer-way.ts";

/** Who this member is, and how it reaches the others. */
export interface PeerTransportOptions {
  readonly identity: StoreIdentity;
  /** Shared by all members; empty for none. */
  readonly secret: Uint8Array;
  readonly tls?: PeerClientTls;
  /** Largest body taken from a peer. */
  readonly maxBodyBytes: number;
  /** Who belongs to the group, for nodes that are to join; null while unknown. */
  readonly members: () => Promise<readonly Member[] | null>;
  /** Where members can be reached until the group has told (`setPeers`): a joining node has to answer its leader. */
  readonly contacts?: ReadonlyMap<NodeId, readonly string[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<LinkLimits>;
  /** See {@link PeerPoster}. */
  readonly idleTimeoutMs?: number;
}

/** Members' frames over HTTP: {@link Transport} for plain Node. */
export class PeerTransport implements Transport {
  readonly #options: PeerTransportOptions;
  readonly #links: PeerLinks;
  readonly #ways = new Map<NodeId, PeerWay>();
  readonly #poster: PeerPoster;
  readonly #idleTimeoutMs: number;
  readonly #receiver: PeerReceiver;
  readonly #log: LimitedLog;
  readonly #batchMac: ReturnType<typeof nodePeerMac>;
  #handler: TransportHandler | null = null;
  #stopped = false;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
    const { identity, secret, clock, logger } = options;
    const { clusterId, groupId, nodeId } = identity;
    const idleTimeoutMs = options.idleTimeoutMs ?? 2000;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#log = new LimitedLog(logger, () => clock.nowMs());
    this.#batchMac = nodePeerMac(secret, { type: "batch", clusterId, groupId });
    this.#poster = new PeerPoster({
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      idleTimeoutMs,
      totalTimeoutMs: idleTimeoutMs * 10,
      maxReplyBytes: 4096,
    });
    this.#receiver = new PeerReceiver({
      clusterId,
      groupId,
      nodeId,
      batchMac: this.#batchMac,
      membersMac: nodePeerMac(secret, { type: "members", groupId }),
      members: options.members,
      deliver: (from, frame) => this.#deliver(from, frame),
      maxBodyBytes: options.maxBodyBytes,
      logger,
      nowMs: () => clock.nowMs(),
    });
    this.#links = new PeerLinks({
      self: nodeId,
      open: (peer, urls) => this.#link(peer, urls),
      closed: (peer) => {
        this.#ways.get(peer)?.close();
        this.#ways.delete(peer);
      },
      ...(options.contacts === undefined ? {} : { contacts: options.contacts }),
    });
  }

  /** Takes what arrives on the peer route. */
  readonly receive: PeerHandler = async (body) => {
    if (this.#handler === null || this.#stopped) return NOT_RUNNING;
    return this.#receiver.receive(body);
  };

  start(handler: TransportHandler): void {
    assert(this.#handler === null, "a transport is started once");
    this.#handler = handler;
  }

  send(to: NodeId, frame: Uint8Array): void {
    // To whom no way is known, or no longer: lost, as the contract allows.
    this.#links.get(to)?.send(frame);
  }

  setPeers(peers: ReadonlyMap<NodeId, readonly string[]>): void {
    this.#links.setPeers(peers);
  }

  /** For connections to come; those that stand go on. */
  setTls(tls: PeerClientTls): void {
    this.#poster.setTls(tls);
  }

  stop(): Promise<void> {
    this.#stopped = true;
    this.#links.stop();
    this.#poster.close();
    return Promise.resolve();
  }

  /** Counters for each peer. */
  stats(): ReadonlyMap<NodeId, Readonly<LinkStats>> {
    return this.#links.stats();
  }

  #link(peer: NodeId, urls: readonly string[]): PeerLink {
    const { identity, clock, random, limits } = this.#options;
    const way = new PeerWay(this.#poster, clock, this.#idleTimeoutMs);
    this.#ways.set(peer, way);
    const options = {
      clusterId: identity.clusterId,
      groupId: identity.groupId,
      self: identity.nodeId,
      peer,
      mac: this.#batchMac,
      poster: way,
      clock,
      random,
      log: this.#log,
      limits: { ...LINK_LIMITS, ...limits },
      unreachable: (node: NodeId) => this.#handler?.unreachable(node),
    };
    return new PeerLink(options, urls);
  }

  #deliver(from: NodeId, frame: Uint8Array): void {
    this.#links.get(from)?.heard();
    this.#handler?.receive(from, frame);
  }
}
