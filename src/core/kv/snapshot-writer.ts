import { ByteWriter, crc32 } from "../bytes/index.ts";
import { writeAuthHead, writeRole, writeUser } from "./auth/auth-codec.ts";
import type { AuthState } from "./auth/auth-store.ts";
import { writeAlarms } from "./alarm-codec.ts";
import { visibleAt } from "./keyspace.ts";
import type { KeyspaceView } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";
import {
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MORE_FOLLOWS,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
  recordSizeBound,
  rememberedSizeBound,
  writeLease,
  writeRecord,
  writeRemembered,
} from "./snapshot-format.ts";

/** Records looked at for one frame, so that a stretch with nothing to write does not become a pause. */
const MAX_VISITS_PER_FRAME = 4096;
/** Each takes 25 bytes at most. */
const LEASES_PER_FRAME = 4096;

/**
 * Writes a view as a snapshot, one frame of at most 256 KiB at a time. Each takes well under a millisecond; between
 * them the store may change as it likes.
 */
export function* writeSnapshot(view: KeyspaceView): Generator<Uint8Array, void, undefined> {
  const frames = new FrameWriter();
  frames.content.u32(SNAPSHOT_MAGIC).u8(SNAPSHOT_VERSION).uint(view.revision).uint(view.compactRevision);
  writeAuthHead(frames.content, view.auth);
  writeAlarms(frames.content, view.alarms);
  yield frames.take(FRAME.header);
  yield* writeLeases(frames, view);
  yield* writeWrites(frames, view);
  yield* writeAuth(frames, view.auth);
  const baseCount = yield* writeRecords(frames, FRAME.base, view.heap, baseRecords(view));
  const changeCount = yield* writeRecords(frames, FRAME.changes, view.heap, changeRecords(view));
  frames.content.uint(baseCount).uint(changeCount).uint(view.leases.length).uint(view.lastLeaseSerial);
  frames.content.uint(view.writes.length).uint(view.lastWriteSerial);
  frames.content.uint(view.auth.users.length).uint(view.auth.roles.length);
  yield frames.take(FRAME.end);
}

function* writeLeases(frames: FrameWriter, { leases }: KeyspaceView): Generator<Uint8Array, void, undefined> {
  for (const [i, lease] of leases.entries()) {
    if (i > 0 && i % LEASES_PER_FRAME === 0) yield frames.take(FRAME.leases);
    writeLease(frames.content, lease);
  }
  if (!frames.isEmpty) yield frames.take(FRAME.leases);
}

function* writeWrites(frames: FrameWriter, { writes }: KeyspaceView): Generator<Uint8Array, void, undefined> {
  for (const write of writes) {
    if (frames.room < rememberedSizeBound(write)) yield frames.take(FRAME.writes);
    writeRemembered(frames.content, write);
  }
  if (!frames.isEmpty) yield frames.take(FRAME.writes);
}

/** A user or role of more than a frame's room (of many thousand roles, or permissions) goes on in the next. */
function* writeAuth(frames: FrameWriter, auth: AuthState): Generator<Uint8Array, void, undefined> {
  yield* writeEach(frames, FRAME.users, auth.users, writeUser);
  yield* writeEach(frames, FRAME.roles, auth.roles, writeRole);
}

function* writeEach<T>(
  frames: FrameWriter,
  kind: number,
  items: readonly T[],
  write: (writer: ByteWriter, item: T) => void,
): Generator<Uint8Array, void, undefined> {
  for (const item of items) {
    if (frames.room < MAX_PAYLOAD_BYTES / 2) yield frames.take(kind);
    write(frames.content, item);
    while (frames.overflows) yield frames.takePart(kind);
  }
  if (!frames.isEmpty) yield frames.take(kind);
}

/** One for each key: NO_RECORD where there is nothing to write. */
function* baseRecords(view: KeyspaceView): Generator<RecordHandle, void, undefined> {
  // Before the first compaction everything is in the log.
  if (view.compactRevision === 0) return;
  const cursor = view.tree.cursor();
  while (cursor.next()) {
    const handle = visibleAt(view.heap, cursor.entry, view.compactRevision);
    yield handle !== NO_RECORD && view.heap.modRevision(handle) < view.compactRevision ? handle : NO_RECORD;
  }
}

function* changeRecords({
  heap,
  log,
  compactRevision,
}: KeyspaceView): Generator<RecordHandle, void, undefined> {
  const first = log.find((handle) => heap.modRevision(handle) >= compactRevision);
  for (let at = first; at < log.end; at++) yield log.at(at);
}

/** Yields frames; returns the number of records. */
function* writeRecords(
  frames: FrameWriter,
  kind: number,
  heap: RecordHeap,
  candidates: Iterable<RecordHandle>,
): Generator<Uint8Array, number, undefined> {
  let count = 0;
  let visits = 0;
  for (const candidate of candidates) {
    if (++visits > MAX_VISITS_PER_FRAME) {
      yield frames.take(kind);
      visits = 1;
    }
    if (candidate === NO_RECORD) continue;
    if (frames.room < recordSizeBound(heap, candidate) && !frames.isEmpty) yield frames.take(kind);
    writeRecord(frames.content, heap, candidate);
    while (frames.overflows) yield frames.takePart(kind);
    count++;
  }
  if (!frames.isEmpty) yield frames.take(kind);
  return count;
}

/** Gathers the content of one frame, or of a run of them when a single record needs more. */
class FrameWriter {
  readonly content: ByteWriter = new ByteWriter(MAX_FRAME_BYTES);
  /** Content already sent in frames that were marked as continued. */
  #sent = 0;
  #checksum = 0;

  get room(): number {
    return MAX_PAYLOAD_BYTES - 1 - this.#pending;
  }

  get isEmpty(): boolean {
    return this.#pending === 0;
  }

  get overflows(): boolean {
    return this.room < 0;
  }

  get #pending(): number {
    return this.content.length - this.#sent;
  }

  /** All that was gathered, as the frame that ends it. */
  take(kind: number): Uint8Array {
    const frame = this.#frame(kind, this.content.view().subarray(this.#sent));
    this.content.clear();
    this.#sent = 0;
    return frame;
  }

  /** As much as one frame can hold; the rest follows. */
  takePart(kind: number): Uint8Array {
    const part = this.content.view().subarray(this.#sent, this.#sent + MAX_PAYLOAD_BYTES - 1);
    this.#sent += part.length;
    return this.#frame(kind | MORE_FOLLOWS, part);
  }

  #frame(kind: number, content: Uint8Array): Uint8Array {
    const frame = new Uint8Array(FRAME_HEAD_BYTES + 1 + content.length);
    frame[FRAME_HEAD_BYTES] = kind;
    frame.set(content, FRAME_HEAD_BYTES + 1);
    this.#checksum = crc32(frame.subarray(FRAME_HEAD_BYTES), this.#checksum);
    const head = new DataView(frame.buffer);
    head.setUint32(0, content.length + 1, true);
    head.setUint32(4, this.#checksum, true);
    return frame;
  }
}
