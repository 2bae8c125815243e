import { ByteReader, ByteWriter } from "../../../core/bytes/index.ts";
import type { Member } from "../../../core/node/index.ts";
import { MAX_GROUP_ID_BYTES } from "./batch-codec.ts";
import { MAC_BYTES, MEMBERS_REPLY_KIND, MEMBERS_REQUEST_KIND, readPrefix, writePrefix } from "./envelope.ts";

/** A node that is to join asks any member who belongs to the group. */
export interface MembersRequest {
  readonly groupId: string;
  /** Random; the reply repeats it, so that an old reply cannot pass for a new one. */
  readonly nonce: Uint8Array;
}

export interface MembersReply {
  readonly groupId: string;
  readonly nonce: Uint8Array;
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

export const NONCE_BYTES = 16;

const MAX_TEXT_BYTES = 4096;

/** With room for its MAC at the end. */
export function encodeMembersRequest(request: MembersRequest): Uint8Array {
  const writer = new ByteWriter();
  writePrefix(writer, MEMBERS_REQUEST_KIND);
  return writer.string(request.groupId).raw(request.nonce).raw(new Uint8Array(MAC_BYTES)).view();
}

/** Throws `malformed`. */
export function decodeMembersRequest(sealed: Uint8Array): MembersRequest {
  const reader = contentReader(sealed, "request for the members");
  readPrefix(reader, MEMBERS_REQUEST_KIND);
  const request = { groupId: reader.string(MAX_GROUP_ID_BYTES), nonce: reader.raw(NONCE_BYTES) };
  reader.end();
  return request;
}

/** With room for its MAC at the end. */
export function encodeMembersReply(reply: MembersReply): Uint8Array {
  const writer = new ByteWriter();
  writePrefix(writer, MEMBERS_REPLY_KIND);
  writer.string(reply.groupId).raw(reply.nonce).u64(reply.clusterId).uint(reply.members.length);
  for (const member of reply.members) {
    writer.u64(member.id).string(member.name).bool(member.isLearner);
    writeStrings(writer, member.peerUrls);
    writeStrings(writer, member.clientUrls);
  }
  return writer.raw(new Uint8Array(MAC_BYTES)).view();
}

/** Throws `malformed`. */
export function decodeMembersReply(sealed: Uint8Array): MembersReply {
  const reader = contentReader(sealed, "list of members");
  readPrefix(reader, MEMBERS_REPLY_KIND);
  const groupId = reader.string(MAX_GROUP_ID_BYTES);
  const nonce = reader.raw(NONCE_BYTES);
  const clusterId = reader.u64();
  const count = reader.count(12);
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const id = reader.u64();
    const name = reader.string(MAX_TEXT_BYTES);
    const isLearner = reader.bool();
    const peerUrls = readStrings(reader);
    const clientUrls = readStrings(reader);
    members.push({ id, name, peerUrls, clientUrls, isLearner });
  }
  reader.end();
  return { groupId, nonce, clusterId, members };
}

function contentReader(sealed: Uint8Array, what: string): ByteReader {
  return new ByteReader(sealed.subarray(0, Math.max(0, sealed.length - MAC_BYTES)), what);
}

function writeStrings(writer: ByteWriter, strings: readonly string[]): void {
  writer.uint(strings.length);
  for (const text of strings) writer.string(text);
}

function readStrings(reader: ByteReader): string[] {
  const count = reader.count(1);
  const strings: string[] = [];
  for (let i = 0; i < count; i++) strings.push(reader.string(MAX_TEXT_BYTES));
  return strings;
}
