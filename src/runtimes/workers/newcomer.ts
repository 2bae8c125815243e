import { EngineError } from "../../core/errors/index.ts";
import type { StorageEngine } from "../../core/node/index.ts";
import {
  decodeMembersRequest,
  encodeMembersReply,
  isMembersRequest,
  isSealed,
  type PeerReply,
  seal,
  webPeerMac,
} from "../http/peer/index.ts";

/** The cluster id by which a node says that it has never belonged to a group. Real ones are never 0. */
export const NO_CLUSTER = 0n;

/**
 * Answers the question who the members are with "I am new here", before this node knows who it is: all founders of a
 * group ask each other that, and none could start if each first waited for the others. Null: it is not that question,
 * or this node is not new.
 */
export async function answerAsNewcomer(
  storage: StorageEngine,
  secret: Uint8Array,
  groupId: string,
  body: Uint8Array,
): Promise<PeerReply | null> {
  if (!isMembersRequest(body)) return null;
  if ((await storage.meta.load()).identity !== null) return null;
  try {
    const request = decodeMembersRequest(body);
    const mac = await webPeerMac(secret, { type: "members", groupId });
    if (request.groupId !== groupId) return refuse(421, "the sender asks for another group");
    if (!(await isSealed(body, mac))) return refuse(401, "the message authentication code is wrong");
    const reply = { groupId, nonce: request.nonce, clusterId: NO_CLUSTER, members: [] };
    return { status: 200, body: await seal(encodeMembersReply(reply), mac) };
  } catch (error) {
    if (error instanceof EngineError) return refuse(400, error.message);
    throw error;
  }
}

function refuse(status: number, problem: string): PeerReply {
  return { status, body: new TextEncoder().encode(problem) };
}
