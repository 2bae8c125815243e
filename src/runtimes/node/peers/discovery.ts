import { askMember, type DiscoveryAnswer } from "../../http/peer/index.ts";
import { nodePeerMac } from "./node-mac.ts";
import { type PeerClientTls, PeerPoster } from "./peer-poster.ts";

export interface DiscoveryOptions {
  readonly groupId: string;
  readonly secret: Uint8Array;
  readonly tls?: PeerClientTls;
  /** How long one member may take to answer. */
  readonly timeoutMs: number;
}

const MAX_REPLY_BYTES = 1 << 20;

/** Asks each of the members at these peer URLs who belongs to the group, at the same time. Never rejects. */
export async function askMembers(
  urls: readonly string[],
  options: DiscoveryOptions,
): Promise<readonly DiscoveryAnswer[]> {
  const poster = new PeerPoster({
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    idleTimeoutMs: options.timeoutMs,
    totalTimeoutMs: options.timeoutMs,
    maxReplyBytes: MAX_REPLY_BYTES,
  });
  try {
    const mac = nodePeerMac(options.secret, { type: "members", groupId: options.groupId });
    return await Promise.all(urls.map((url) => askMember(url, options.groupId, poster, mac)));
  } finally {
    poster.close();
  }
}
