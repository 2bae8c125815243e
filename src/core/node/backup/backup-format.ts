import { sha256 } from "@noble/hashes/sha2.js";
import { ByteReader, ByteWriter } from "../../bytes/index.ts";
import { EngineError } from "../../errors/index.ts";
import type { Revision } from "../../kv/index.ts";

/*
 * A backup is a file of its own kind; it has nothing to do with etcd's, which is a bbolt database.
 *
 *   preface  magic 8 bytes, version u8, length u32 of the head
 *   head     clusterId u64, memberId u64, groupId, term, revision, createdMs, length of the content
 *   content  a snapshot of the key-value store, frame by frame (core/kv/snapshot-format.ts)
 *   padding  zeros, up to a multiple of 512 bytes
 *   digest   SHA-256 of everything before it
 *
 * The padding is there because etcd's tools take a stream for whole when its length is 32 more than a multiple of 512.
 */

const MAGIC = "DENGSNAP";
export const BACKUP_VERSION = 1;
/** What etcd calls the version of a snapshot: which release can restore it. */
export const BACKUP_VERSION_NAME: string = `d-engine-${BACKUP_VERSION}`;

export const PREFACE_BYTES: number = MAGIC.length + 1 + 4;
/** The head has numbers and the name of a group. */
const MAX_HEAD_BYTES = 4096;
const ALIGNMENT = 512;
/** Of what JavaScript calls a date. */
const MAX_DATE_MS = 8.64e15;
/** More than fits anywhere, with room for sums. */
const MAX_CONTENT_BYTES: number = 2 ** 48;

/** Whose state a backup is, and of when. */
export interface BackupHead {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly groupId: string;
  readonly term: number;
  readonly revision: Revision;
  /** By the member's clock, in milliseconds since the Unix epoch. */
  readonly createdMs: number;
  /** Bytes of the key-value store's snapshot. */
  readonly contentBytes: number;
}

/** Preface and head. */
export function encodeHead(head: BackupHead): Uint8Array {
  const body = new ByteWriter();
  body.u64(head.clusterId).u64(head.memberId).string(head.groupId).uint(head.term).uint(head.revision);
  body.uint(head.createdMs).uint(head.contentBytes);
  return new ByteWriter().raw(MAGIC_BYTES).u8(BACKUP_VERSION).u32(body.length).raw(body.view()).finish();
}

/** How long the head is, by the first {@link PREFACE_BYTES} bytes. @throws EngineError `malformed`. */
export function decodePreface(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, WHAT);
  if (new TextDecoder().decode(reader.raw(MAGIC.length)) !== MAGIC) {
    reader.fail("this is none that d-engine has made; etcd's cannot be restored here");
  }
  const version = reader.u8();
  if (version !== BACKUP_VERSION)
    reader.fail(`it has version ${version}, and only ${BACKUP_VERSION} is known`);
  const length = reader.u32();
  if (length > MAX_HEAD_BYTES) reader.fail(`a head of ${length} bytes`);
  return length;
}

export function decodeHead(bytes: Uint8Array): BackupHead {
  const reader = new ByteReader(bytes, WHAT);
  const head = {
    clusterId: reader.u64(),
    memberId: reader.u64(),
    groupId: reader.string(MAX_HEAD_BYTES),
    term: reader.uint(),
    revision: reader.uint(),
    createdMs: reader.uint(),
    contentBytes: reader.uint(),
  };
  reader.end();
  if (head.createdMs > MAX_DATE_MS) reader.fail("it is from beyond the end of the calendar");
  if (head.contentBytes > MAX_CONTENT_BYTES) reader.fail(`a content of ${head.contentBytes} bytes`);
  return head;
}

/** Zeros between the content and the digest. */
export function paddingBytes(headBytes: number, contentBytes: number): number {
  const rest = (headBytes + contentBytes) % ALIGNMENT;
  return rest === 0 ? 0 : ALIGNMENT - rest;
}

/** Of the whole file. */
export function backupBytes(headBytes: number, contentBytes: number): number {
  return headBytes + contentBytes + paddingBytes(headBytes, contentBytes) + sha256.outputLen;
}

export function brokenBackup(problem: string): EngineError {
  return new EngineError("malformed", { detail: `${WHAT}: ${problem}` });
}

const WHAT = "snapshot file";
const MAGIC_BYTES: Uint8Array = new TextEncoder().encode(MAGIC);
