export type { DiscoveryAnswer, KnownGroup } from "./ask-member.ts";
export { askMember } from "./ask-member.ts";
export type { Batch, BatchHeader } from "./batch-codec.ts";
export {
  BATCH_BYTES,
  batchSizeBound,
  decodeBatch,
  encodeBatch,
  MAX_BATCH_BYTES,
  MAX_GROUP_ID_BYTES,
} from "./batch-codec.ts";
export { isMembersRequest, MAC_BYTES, PEER_CONTENT_TYPE } from "./envelope.ts";
export { groupOfEnvelope } from "./group-of-envelope.ts";
export type { Founding, InitialMember } from "./identity.ts";
export { describeIdentity, formatId, foundCluster, founderId } from "./identity.ts";
export { LimitedLog } from "./limited-log.ts";
export type { MembersReply, MembersRequest } from "./members-codec.ts";
export {
  decodeMembersReply,
  decodeMembersRequest,
  encodeMembersReply,
  encodeMembersRequest,
  NONCE_BYTES,
} from "./members-codec.ts";
export type { PeerKeyPurpose, PeerMac } from "./peer-mac.ts";
export { hkdfParameters, isSealed, seal, webPeerMac } from "./peer-mac.ts";
export type { LinkLimits, LinkOptions, LinkStats } from "./peer-link.ts";
export { LINK_LIMITS, PeerLink } from "./peer-link.ts";
export type { PeerLinksOptions } from "./peer-links.ts";
export { PeerLinks } from "./peer-links.ts";
export type { PeerHandler, PeerReceiverOptions, PeerReply } from "./peer-receiver.ts";
export { ANSWER_HEADER, NOT_RUNNING, PeerReceiver } from "./peer-receiver.ts";
export type { Poster, PosterReply } from "./poster.ts";
export { PEER_PATH } from "./poster.ts";
export { ReplayGuard } from "./replay-guard.ts";
