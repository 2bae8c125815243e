import { ByteReader, ByteWriter } from "../../bytes/index.ts";
import { assertNever } from "../../errors/index.ts";
import type { ConfChangeContext, MemberUpdate, Proposal, ProposalId } from "../frames.ts";
import { decodeMemberUpdate, encodeMemberUpdate } from "./membership-codec.ts";

const PROPOSAL_VERSION = 1;
const CONTEXT_VERSION = 1;

const BODY_COMMAND = 1;
const BODY_MEMBER = 2;

/** Version, id, time and body type, at most. */
const PROPOSAL_OVERHEAD_BYTES = 32;

/** The `data` of a log entry of kind `command`. */
export function encodeProposal(proposal: Proposal): Uint8Array {
  const { body } = proposal;
  const bodyBytes = body.type === "command" ? body.command.length : 256;
  const writer = new ByteWriter(PROPOSAL_OVERHEAD_BYTES + bodyBytes);
  writer.u8(PROPOSAL_VERSION);
  encodeProposalId(writer, proposal.id);
  writer.f64(proposal.timeMs);
  switch (body.type) {
    case "command":
      // Last and without a length: the entry says where it ends.
      writer.u8(BODY_COMMAND).raw(body.command);
      break;
    case "member":
      writer.u8(BODY_MEMBER);
      encodeMemberUpdate(writer, body.update);
      break;
    default:
      assertNever(body, "proposal body");
  }
  // No copy: the buffer was made for this proposal alone, to its size but for a few bytes.
  return writer.view();
}

/** Reads the whole of `data`. A command is a view of it. */
export function decodeProposal(data: Uint8Array): Proposal {
  const reader = new ByteReader(data, "proposal");
  const version = reader.u8();
  if (version !== PROPOSAL_VERSION) {
    reader.fail(`the proposal has format version ${version}, this build reads version ${PROPOSAL_VERSION}`);
  }
  const id = decodeProposalId(reader);
  const timeMs = reader.f64();
  // NaN would differ from itself, and an infinite time would never pass: both are poison in a state machine.
  if (!Number.isFinite(timeMs)) reader.fail("the time is not finite");
  const type = reader.u8();
  switch (type) {
    case BODY_COMMAND:
      return { id, timeMs, body: { type: "command", command: reader.raw(reader.remaining) } };
    case BODY_MEMBER: {
      const update = decodeMemberUpdate(reader);
      reader.end();
      return { id, timeMs, body: { type: "member", update } };
    }
    default:
      return reader.fail(`${type} is no type of proposal`);
  }
}

/** The `context` of a ConfChange. */
export function encodeConfChangeContext(context: ConfChangeContext): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(CONTEXT_VERSION);
  encodeProposalId(writer, context.id);
  writer.uint(context.members.length);
  for (const member of context.members) encodeMemberUpdate(writer, member);
  return writer.finish();
}

/** Reads the whole of `bytes`. */
export function decodeConfChangeContext(bytes: Uint8Array): ConfChangeContext {
  const reader = new ByteReader(bytes, "membership change context");
  const version = reader.u8();
  if (version !== CONTEXT_VERSION) {
    reader.fail(`the context has format version ${version}, this build reads version ${CONTEXT_VERSION}`);
  }
  const id = decodeProposalId(reader);
  const members: MemberUpdate[] = [];
  const count = reader.count(9);
  for (let i = 0; i < count; i++) members.push(decodeMemberUpdate(reader));
  reader.end();
  return { id, members };
}

export function encodeProposalId(writer: ByteWriter, id: ProposalId): void {
  writer.u64(id.proposer).uint(id.sequence);
}

export function decodeProposalId(reader: ByteReader): ProposalId {
  return { proposer: reader.u64(), sequence: reader.uint() };
}
