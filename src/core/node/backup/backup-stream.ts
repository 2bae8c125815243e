import { sha256 } from "@noble/hashes/sha2.js";
import type { CallOptions, ResponseHeader } from "../engine.ts";
import type { StateWalk, StateWalks } from "../state-walks.ts";
import { backupBytes, type BackupHead, encodeHead, paddingBytes } from "./backup-format.ts";

/** To hash it, write it as text and send it is work for a millisecond or two, in which nobody else has a turn. */
const PIECE_BYTES: number = 64 << 10;

/** A part of a backup. */
export interface BackupPiece {
  readonly header: ResponseHeader;
  readonly bytes: Uint8Array;
  /** What is to come after this one. */
  readonly remainingBytes: number;
}

/** What the backup is to say of its origin, at the revision that was captured. */
export type Origin = Omit<BackupHead, "contentBytes" | "revision">;

/**
 * The state of this moment as a backup, in pieces of at most 64 KiB, each made when it is asked for; the last is the
 * SHA-256 of all before it. Writes go on meanwhile.
 *
 * @throws EngineError `tooManyRequests`, `canceled`; `timeout` when nobody asked for the next piece for a minute,
 * or pieces were asked for more slowly than one a second for long.
 */
export async function* backupOf(
  walks: StateWalks,
  originNow: () => Origin,
  headerAt: (revision: number) => ResponseHeader,
  { signal }: Pick<CallOptions, "signal"> = {},
): AsyncGenerator<BackupPiece, void, undefined> {
  const walk = walks.begin();
  try {
    const { revision } = walk.state;
    const origin = originNow();
    const header = headerAt(revision);
    const contentBytes = await sizeOf(walk, signal);
    const head = encodeHead({ ...origin, revision, contentBytes });
    let remainingBytes = backupBytes(head.length, contentBytes);
    const hash = sha256.create();
    for await (const bytes of bodyOf(walk, head, contentBytes, signal)) {
      hash.update(bytes);
      remainingBytes -= bytes.length;
      const stopWaiting = walk.awaitReader();
      try {
        yield { header, bytes, remainingBytes };
      } finally {
        stopWaiting();
      }
    }
    const digest = hash.digest();
    // First: who has all of it may never ask what comes next.
    walk.end();
    yield { header, bytes: digest, remainingBytes: remainingBytes - sha256.outputLen };
  } finally {
    walk.end();
  }
}

/** Written once to be measured, since whoever receives the first piece is told how much will come. */
async function sizeOf(walk: StateWalk, signal: AbortSignal | undefined): Promise<number> {
  let size = 0;
  for (const chunk of walk.state.chunks()) {
    size += chunk.length;
    await walk.turn(signal);
  }
  return size;
}

async function* bodyOf(
  walk: StateWalk,
  head: Uint8Array,
  contentBytes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield head;
  const chunks = walk.state.chunks()[Symbol.iterator]();
  // Asked whether it is still there before each: it may have ended while the reader was away.
  for (let next = chunks.next(); next.done !== true; void walk.state, next = chunks.next()) {
    for (let at = 0; at < next.value.length; at += PIECE_BYTES) {
      yield next.value.subarray(at, at + PIECE_BYTES);
      await walk.turn(signal);
    }
  }
  const padding = paddingBytes(head.length, contentBytes);
  if (padding > 0) yield new Uint8Array(padding);
}
