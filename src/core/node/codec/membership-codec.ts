import { ByteReader, ByteWriter } from "../../bytes/index.ts";
import { EngineError } from "../../errors/index.ts";
import type { Member } from "../engine.ts";
import type { MemberUpdate } from "../frames.ts";
import { decodeNodeId } from "./state-codec.ts";

const MEMBERS_VERSION = 1;

/** Longest name or URL of a member, in bytes of UTF-8. */
export const MAX_MEMBER_STRING_BYTES = 4096;
/** Most peer URLs, and most client URLs, of one member. */
export const MAX_MEMBER_URLS = 32;

const ENCODER = new TextEncoder();

/**
 * Refuses what could be written and then not be read: once committed it would stop every member, at every start.
 *
 * @throws EngineError `badMemberUrls`, or `invalidArgument` for a name.
 */
export function requireStorable({ name = "", peerUrls = [], clientUrls = [] }: MemberUpdate): void {
  const isTooLong = (text: string): boolean => ENCODER.encode(text).length > MAX_MEMBER_STRING_BYTES;
  if (isTooLong(name)) {
    const detail = `a member's name may have ${MAX_MEMBER_STRING_BYTES} bytes`;
    throw new EngineError("invalidArgument", { detail });
  }
  for (const urls of [peerUrls, clientUrls]) {
    if (urls.length <= MAX_MEMBER_URLS && !urls.some(isTooLong)) continue;
    const detail = `a member may have ${MAX_MEMBER_URLS} URLs of up to ${MAX_MEMBER_STRING_BYTES} bytes`;
    throw new EngineError("badMemberUrls", { detail });
  }
}

/** The members with their names and addresses, as a snapshot's context keeps them. */
export function encodeMembers(members: readonly Member[]): Uint8Array {
  const writer = new ByteWriter(16 + members.length * 128);
  writer.u8(MEMBERS_VERSION).uint(members.length);
  for (const member of members) {
    writer.u64(member.id).string(member.name).bool(member.isLearner);
    encodeStrings(writer, member.peerUrls);
    encodeStrings(writer, member.clientUrls);
  }
  return writer.finish();
}

/** Reads the whole of `bytes`; refuses a member listed twice. */
export function decodeMembers(bytes: Uint8Array): Member[] {
  const reader = new ByteReader(bytes, "members");
  const version = reader.u8();
  if (version !== MEMBERS_VERSION) {
    reader.fail(`the list of members has format version ${version}, this build reads ${MEMBERS_VERSION}`);
  }
  const members = new Map<bigint, Member>();
  const count = reader.count(12);
  for (let i = 0; i < count; i++) {
    const id = decodeNodeId(reader);
    if (members.has(id)) reader.fail(`member ${id} is listed twice`);
    const name = reader.string(MAX_MEMBER_STRING_BYTES);
    const isLearner = reader.bool();
    const peerUrls = decodeStrings(reader);
    members.set(id, { id, name, isLearner, peerUrls, clientUrls: decodeStrings(reader) });
  }
  reader.end();
  return [...members.values()];
}

const HAS_NAME = 1;
const HAS_PEER_URLS = 2;
const HAS_CLIENT_URLS = 4;

/** MemberUpdate := id, which fields follow, those fields. */
export function encodeMemberUpdate(writer: ByteWriter, update: MemberUpdate): void {
  const fields =
    (update.name === undefined ? 0 : HAS_NAME) |
    (update.peerUrls === undefined ? 0 : HAS_PEER_URLS) |
    (update.clientUrls === undefined ? 0 : HAS_CLIENT_URLS);
  writer.u64(update.id).u8(fields);
  if (update.name !== undefined) writer.string(update.name);
  if (update.peerUrls !== undefined) encodeStrings(writer, update.peerUrls);
  if (update.clientUrls !== undefined) encodeStrings(writer, update.clientUrls);
}

export function decodeMemberUpdate(reader: ByteReader): MemberUpdate {
  const id = decodeNodeId(reader);
  const fields = reader.u8();
  if (fields > (HAS_NAME | HAS_PEER_URLS | HAS_CLIENT_URLS))
    reader.fail("a member update has unknown fields");
  return {
    id,
    ...(fields & HAS_NAME ? { name: reader.string(MAX_MEMBER_STRING_BYTES) } : {}),
    ...(fields & HAS_PEER_URLS ? { peerUrls: decodeStrings(reader) } : {}),
    ...(fields & HAS_CLIENT_URLS ? { clientUrls: decodeStrings(reader) } : {}),
  };
}

function encodeStrings(writer: ByteWriter, strings: readonly string[]): void {
  writer.uint(strings.length);
  for (const value of strings) writer.string(value);
}

function decodeStrings(reader: ByteReader): string[] {
  const strings: string[] = [];
  const count = reader.count(1);
  if (count > MAX_MEMBER_URLS) reader.fail(`${count} URLs, at most ${MAX_MEMBER_URLS} are possible`);
  for (let i = 0; i < count; i++) strings.push(reader.string(MAX_MEMBER_STRING_BYTES));
  return strings;
}
