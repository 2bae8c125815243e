import { getRandomValues } from "node:crypto";
import type { Member } from "../../../core/node/index.ts";
import {
  decodeMembersReply,
  encodeMembersRequest,
  isSealed,
  NONCE_BYTES,
  seal,
} from "../../http/peer/index.ts";
import { equalBytes } from "../../../core/bytes/index.ts";
import { nodePeerMac } from "./node-mac.ts";
import { type PeerClientTls, PeerPoster } from "./peer-poster.ts";

export interface DiscoveryOptions {
  readonly groupId: string;
  readonly secret: Uint8Array;
  readonly tls?: PeerClientTls;
  /** How long one member may take to answer. */
  readonly timeoutMs: number;
}

/** What one member says of the group. */
export interface KnownGroup {
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

/** An answer, or why there was none, for one URL. */
export interface DiscoveryAnswer {
  readonly url: string;
  readonly group: KnownGroup | null;
  readonly problem: string | null;
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
    return await Promise.all(urls.map((url) => askMember(url, poster, options)));
  } finally {
    poster.close();
  }
}

async function askMember(
  url: string,
  poster: PeerPoster,
  options: DiscoveryOptions,
): Promise<DiscoveryAnswer> {
  const refuse = (problem: string): DiscoveryAnswer => ({ url, group: null, problem });
  const mac = nodePeerMac(options.secret, { type: "members", groupId: options.groupId });
  const nonce = getRandomValues(new Uint8Array(NONCE_BYTES));
  try {
    const request = await seal(encodeMembersRequest({ groupId: options.groupId, nonce }), mac);
    const { status, body } = await poster.post(url, request);
    if (status !== 200) return refuse(`status ${status}: ${new TextDecoder().decode(body).slice(0, 500)}`);
    if (!(await isSealed(body, mac))) return refuse("its answer is not authentic");
    const reply = decodeMembersReply(body);
    if (reply.groupId !== options.groupId || !equalBytes(reply.nonce, nonce)) {
      return refuse("its answer belongs to another question");
    }
    return { url, group: { clusterId: reply.clusterId, members: reply.members }, problem: null };
  } catch (error) {
    return refuse((error as Error).message || String((error as NodeJS.ErrnoException).code));
  }
}
