export {
  decodeConfChange,
  decodeEntry,
  encodeConfChange,
  encodeEntry,
  ENTRY_VERSION,
} from "./entry-codec.ts";
export {
  asksForAnswer,
  decodeFrame,
  encodeFrame,
  FRAME_LIMITS,
  FRAME_VERSION,
  MAX_COMMAND_BYTES,
} from "./frame-codec.ts";
export type { FrameLimits } from "./frame-codec.ts";
export { decodeIdentity, describeIdentity, encodeIdentity } from "./identity-codec.ts";
export {
  decodeMembers,
  decodeMemberUpdate,
  encodeMembers,
  encodeMemberUpdate,
  requireStorable,
} from "./membership-codec.ts";
export {
  decodeConfChangeContext,
  decodeProposal,
  encodeConfChangeContext,
  encodeProposal,
} from "./proposal-codec.ts";
export {
  decodeClusterConfig,
  decodeHardState,
  decodeSnapshotMeta,
  encodeClusterConfig,
  encodeHardState,
  encodeSnapshotMeta,
} from "./state-codec.ts";
