import type { ByteReader, ByteWriter } from "../../../core/bytes/index.ts";

/*
 * Everything that members say to each other over HTTP is one sealed envelope per request body:
 *
 *   magic "dEng" | version | kind | content | MAC (HMAC-SHA-256 over everything before it)
 */

export const MAC_BYTES = 32;

/** Frames from one member to another. */
export const BATCH_KIND = 1;
/** "Who are the members?", asked by a node that does not know its own id yet. */
export const MEMBERS_REQUEST_KIND = 2;
export const MEMBERS_REPLY_KIND = 3;

/** Media type of sealed envelopes. */
export const PEER_CONTENT_TYPE = "application/vnd.d-engine.peer";

const MAGIC = 0x676e4564;
const VERSION = 1;
const KIND_OFFSET = 5;
const PREFIX_BYTES = 6;

export function writePrefix(writer: ByteWriter, kind: number): void {
  writer.u32(MAGIC).u8(VERSION).u8(kind);
}

/** Refuses what is not an envelope of this version and kind. */
export function readPrefix(reader: ByteReader, kind: number): void {
  if (reader.u32() !== MAGIC) reader.fail("this is not a message between members");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`version ${version} is not supported, only ${VERSION}`);
  const found = reader.u8();
  if (found !== kind) reader.fail(`its kind is ${found}, expected ${kind}`);
}

/** Whether this claims to be the question who the members are. */
export function isMembersRequest(sealed: Uint8Array): boolean {
  return envelopeKind(sealed) === MEMBERS_REQUEST_KIND;
}

/** What an envelope claims to be; null when it is too short to say. */
export function envelopeKind(sealed: Uint8Array): number | null {
  return sealed.length < PREFIX_BYTES + MAC_BYTES ? null : sealed[KIND_OFFSET]!;
}
