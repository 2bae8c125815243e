import { assert } from "../../core/errors/index.ts";
import { asksForAnswer } from "../../core/node/codec/index.ts";
import type {
  Clock,
  Logger,
  Member,
  Random,
  StoreIdentity,
  Transport,
  TransportHandler,
} from "../../core/node/index.ts";
import type { NodeId } from "../../core/raft/index.ts";
import {
  LimitedLog,
  LINK_LIMITS,
  type LinkLimits,
  type LinkStats,
  MAX_BATCH_BYTES,
  NOT_RUNNING,
  PeerLink,
  PeerLinks,
  type PeerMac,
  PeerReceiver,
  type PeerReply,
  type Poster,
  webPeerMac,
} from "../http/peer/index.ts";

export interface ObjectTransportOptions {
  readonly identity: StoreIdentity;
  /** Shared by all members. */
  readonly secret: Uint8Array;
  readonly poster: Poster;
  /** Called whenever something is about to be sent: throws if this object is known to have been replaced. */
  readonly touch: () => void;
  /** Who belongs to the group, for nodes that are to join; null while unknown. */
  readonly members: () => Promise<readonly Member[] | null>;
  /** Where members can be reached until the group has told. */
  readonly contacts: ReadonlyMap<NodeId, readonly string[]>;
  /** Runs after frames were delivered, in the same turn. */
  readonly afterInput: () => void;
  readonly electionTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * One POST to each member at a time: what gathers meanwhile shares the next one. Requests are billed, and an object
 * has six connections for all that it does.
 */
const LIMITS: LinkLimits = {
  ...LINK_LIMITS,
  maxQueuedFrames: 1024,
  maxQueuedBytes: 16 << 20,
  maxInflight: 1,
};

/**
 * How long the receipt of a batch waits for answers to go with it. A write on all replicas of the object's storage
 * takes some ten milliseconds; what takes longer is sent by itself.
 */
const ANSWER_PATIENCE_MS = 100;

/**
 * Members' frames between Durable Objects, and from them to members elsewhere: {@link Transport} for Workers. What
 * answers a batch travels back with its receipt, which halves the requests.
 */
export class ObjectTransport implements Transport {
  readonly #options: ObjectTransportOptions;
  readonly #links: PeerLinks;
  readonly #batchMac: PeerMac;
  readonly #receiver: PeerReceiver;
  readonly #log: LimitedLog;
  #handler: TransportHandler | null = null;
  #stopped = false;

  static async create(options: ObjectTransportOptions): Promise<ObjectTransport> {
    const { clusterId, groupId } = options.identity;
    const [batchMac, membersMac] = await Promise.all([
      webPeerMac(options.secret, { type: "batch", clusterId, groupId }),
      webPeerMac(options.secret, { type: "members", groupId }),
    ]);
    return new ObjectTransport(options, batchMac, membersMac);
  }

  private constructor(options: ObjectTransportOptions, batchMac: PeerMac, membersMac: PeerMac) {
    this.#options = options;
    this.#batchMac = batchMac;
    const { identity, clock, logger, members, contacts } = options;
    this.#log = new LimitedLog(logger, () => clock.nowMs());
    this.#receiver = new PeerReceiver({
      ...identity,
      batchMac,
      membersMac,
      members,
      deliver: (from, frame) => this.#deliver(from, frame),
      answer: (from, frames) => this.#answer(from, frames),
      maxBodyBytes: MAX_BATCH_BYTES,
      logger,
      nowMs: () => clock.nowMs(),
    });
    this.#links = new PeerLinks({
      self: identity.nodeId,
      open: (peer, urls) => this.#link(peer, urls),
      contacts,
    });
  }

  /** Takes the body of a POST on the peer route. */
  async receive(body: Uint8Array, takesAnswer: boolean): Promise<PeerReply> {
    if (this.#handler === null || this.#stopped) return NOT_RUNNING;
    return await this.#receiver.receive(body, takesAnswer);
  }

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

  stop(): Promise<void> {
    this.#stopped = true;
    this.#links.stop();
    return Promise.resolve();
  }

  /** Counters for each peer. */
  stats(): ReadonlyMap<NodeId, Readonly<LinkStats>> {
    return this.#links.stats();
  }

  #link(peer: NodeId, urls: readonly string[]): PeerLink {
    const { identity, clock, random, electionTimeoutMs } = this.#options;
    const options = {
      clusterId: identity.clusterId,
      groupId: identity.groupId,
      self: identity.nodeId,
      peer,
      mac: this.#batchMac,
      poster: { post: (url: string, envelope: Uint8Array) => this.#post(url, envelope) },
      clock,
      random,
      log: this.#log,
      limits: { ...LIMITS, maxBackoffMs: Math.max(50, electionTimeoutMs * 0.4) },
      unreachable: (node: NodeId) => this.#handler?.unreachable(node),
      answered: (sealed: Uint8Array) => this.#answered(sealed),
    };
    return new PeerLink(options, urls);
  }

  async #post(url: string, envelope: Uint8Array): ReturnType<Poster["post"]> {
    this.#options.touch();
    return await this.#options.poster.post(url, envelope);
  }

  /** Answers that came back with a receipt. They say nothing about the receipt, so that it is not awaited. */
  #answered(sealed: Uint8Array): void {
    void this.receive(sealed, false);
  }

  #deliver(from: NodeId, frame: Uint8Array): void {
    this.#links.get(from)?.heard();
    this.#handler?.receive(from, frame);
    this.#options.afterInput();
  }

  async #answer(from: NodeId, frames: readonly Uint8Array[]): Promise<Uint8Array | null> {
    const wanted = frames.filter(asksForAnswer).length;
    const answer = (await this.#links.get(from)?.answer(wanted, ANSWER_PATIENCE_MS)) ?? null;
    if (answer !== null) this.#options.touch();
    return answer;
  }
}
