import { decodeBatch } from "./batch-codec.ts";
import { isMembersRequest } from "./envelope.ts";
import { decodeMembersRequest } from "./members-codec.ts";

/** The group that a sealed envelope claims to be meant for. Nothing is believed yet. Throws `malformed`. */
export function groupOfEnvelope(sealed: Uint8Array): string {
  if (isMembersRequest(sealed)) return decodeMembersRequest(sealed).groupId;
  return decodeBatch(sealed).header.groupId;
}
