import type { NodeId } from "../../../core/raft/index.ts";
import type { LinkStats, PeerLink } from "./peer-link.ts";

export interface PeerLinksOptions {
  readonly self: NodeId;
  readonly open: (peer: NodeId, urls: readonly string[]) => PeerLink;
  /** Called after a link was closed, for what its runtime keeps beside it. */
  readonly closed?: (peer: NodeId) => void;
  /** Where members can be reached until the group has told who they are. */
  readonly contacts?: ReadonlyMap<NodeId, readonly string[]>;
}

/** A link to each other member, in step with who the members are. */
export class PeerLinks {
  readonly #options: PeerLinksOptions;
  readonly #links = new Map<NodeId, PeerLink>();
  #stopped = false;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#connect(options.contacts ?? new Map());
  }

  /** None to whom no way is known, or no longer. */
  get(peer: NodeId): PeerLink | undefined {
    return this.#links.get(peer);
  }

  setPeers(peers: ReadonlyMap<NodeId, readonly string[]>): void {
    // A node that has not been told yet who the members are keeps its contacts.
    if (peers.size === 0 || this.#stopped) return;
    for (const peer of this.#links.keys()) if (!peers.has(peer)) this.#close(peer);
    this.#connect(peers);
  }

  /** Counters for each peer. */
  stats(): ReadonlyMap<NodeId, Readonly<LinkStats>> {
    return new Map([...this.#links].map(([peer, link]) => [peer, link.stats]));
  }

  stop(): void {
    this.#stopped = true;
    for (const peer of this.#links.keys()) this.#close(peer);
  }

  #connect(peers: ReadonlyMap<NodeId, readonly string[]>): void {
    for (const [peer, urls] of peers) {
      if (peer === this.#options.self) continue;
      const link = this.#links.get(peer);
      if (link === undefined) this.#links.set(peer, this.#options.open(peer, urls));
      else link.setUrls(urls);
    }
  }

  #close(peer: NodeId): void {
    this.#links.get(peer)?.close();
    this.#links.delete(peer);
    this.#options.closed?.(peer);
  }
}
