import { equalBytes } from "../../../core/bytes/index.ts";
import type { Member } from "../../../core/node/index.ts";
import { decodeMembersReply, encodeMembersRequest, NONCE_BYTES } from "./members-codec.ts";
import { isSealed, type PeerMac, seal } from "./peer-mac.ts";
import type { Poster } from "./poster.ts";

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

/** Asks the member at this peer URL who belongs to the group. Never rejects. */
export async function askMember(
  url: string,
  groupId: string,
  poster: Poster,
  membersMac: PeerMac,
): Promise<DiscoveryAnswer> {
  const refuse = (problem: string): DiscoveryAnswer => ({ url, group: null, problem });
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  try {
    const request = await seal(encodeMembersRequest({ groupId, nonce }), membersMac);
    const { status, body } = await poster.post(url, request);
    if (status !== 200) return refuse(`status ${status}: ${new TextDecoder().decode(body).slice(0, 500)}`);
    if (!(await isSealed(body, membersMac))) return refuse("its answer is not authentic");
    const reply = decodeMembersReply(body);
    if (reply.groupId !== groupId || !equalBytes(reply.nonce, nonce)) {
      return refuse("its answer belongs to another question");
    }
    return { url, group: { clusterId: reply.clusterId, members: reply.members }, problem: null };
  } catch (error) {
    return refuse((error as Error).message || String((error as { readonly code?: string }).code));
  }
}
