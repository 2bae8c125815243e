import { ByteReader, crc32 } from "../bytes/index.ts";
import { EngineError } from "../errors/index.ts";
import { readAuthHead, readRole, readUser } from "./auth/auth-codec.ts";
import type { AuthState } from "./auth/auth-store.ts";
import type { Role, User } from "./auth/types.ts";
import { readAlarms } from "./alarm-codec.ts";
import { MAX_COUNTER } from "./limits.ts";
import { FIRST_REVISION, Keyspace } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { NewRecord, RecordHandle } from "./record-heap.ts";
import {
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_PAYLOAD_BYTES,
  MORE_FOLLOWS,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
  VERSION_WITHOUT_ALARMS,
  VERSION_WITHOUT_LEASES,
  VERSION_WITHOUT_USERS,
  VERSION_WITHOUT_WRITES,
  readLease,
  readRecord,
  readRemembered,
} from "./snapshot-format.ts";

/**
 * Builds a keyspace from a snapshot's bytes, in chunks of whatever size. It believes nothing: sums, order, counters
 * and completeness are checked, and memory grows only with what has arrived.
 */
export class SnapshotReader {
  readonly #keyspace: Keyspace;
  /** Bytes of a frame that has not arrived whole. */
  #pending: Uint8Array = NOTHING;
  /** Contents of frames that the next one continues. */
  #parts: Uint8Array[] = [];
  #partsKind = 0;
  #checksum = 0;
  #version = SNAPSHOT_VERSION;
  #stage: "header" | "leases" | "writes" | "auth" | "base" | "changes" | "ended" = "header";
  #revision = 0;
  #authHead: Pick<AuthState, "revision" | "tokenKey"> | null = null;
  readonly #users: User[] = [];
  readonly #roles: Role[] = [];
  #baseCount = 0;
  #changeCount = 0;
  #lastKey: RecordHandle = NO_RECORD;
  #lastModRevision = 0;

  /** @param onLeaseChange for the keyspace, once it is in use. */
  constructor(onLeaseChange: (id: bigint) => void = () => {}) {
    this.#keyspace = new Keyspace(onLeaseChange);
  }

  /** @throws EngineError `storageCorrupt` or `malformed`; the reader is of no use then. */
  push(chunk: Uint8Array): void {
    const bytes = this.#pending.length === 0 ? chunk : concat([this.#pending, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const head = new ByteReader(bytes.subarray(at, at + FRAME_HEAD_BYTES), "snapshot");
      const length = head.u32();
      const checksum = head.u32();
      if (length === 0 || length > MAX_PAYLOAD_BYTES) {
        throw new EngineError("malformed", { detail: `snapshot: a frame of ${length} bytes` });
      }
      const start = at + FRAME_HEAD_BYTES;
      if (bytes.length - start < length) break;
      this.#readFrame(bytes.subarray(start, start + length), checksum);
      at = start + length;
    }
    // A copy: the rest may be a small piece of a large chunk.
    this.#pending = bytes.slice(at);
  }

  /** The keyspace, complete. @throws EngineError `malformed` when the end is missing. */
  finish(): Keyspace {
    if (this.#stage !== "ended" || this.#pending.length > 0) {
      throw new EngineError("malformed", { detail: "snapshot: it breaks off" });
    }
    return this.#keyspace;
  }

  #readFrame(payload: Uint8Array, checksum: number): void {
    this.#checksum = crc32(payload, this.#checksum);
    if (this.#checksum !== checksum) {
      throw new EngineError("storageCorrupt", { detail: "snapshot: a checksum does not match" });
    }
    const kind = payload[0]! & ~MORE_FOLLOWS;
    if (this.#parts.length > 0 && kind !== this.#partsKind) {
      throw new EngineError("malformed", { detail: "snapshot: a continued frame is not continued" });
    }
    if ((payload[0]! & MORE_FOLLOWS) !== 0) {
      // A copy: the chunk is the caller's.
      this.#parts.push(payload.slice(1));
      this.#partsKind = kind;
      return;
    }
    const last = payload.subarray(1);
    const content = this.#parts.length === 0 ? last : concat([...this.#parts, last]);
    this.#parts = [];
    this.#readContent(kind, new ByteReader(content, "snapshot"));
  }

  #readContent(kind: number, reader: ByteReader): void {
    if (kind === FRAME.header && this.#stage === "header") {
      this.#readHeader(reader);
    } else if (kind === FRAME.leases && this.#stage === "leases") {
      while (reader.remaining > 0) this.#addLease(reader);
    } else if (kind === FRAME.writes && this.#mayHaveWrites) {
      this.#stage = "writes";
      while (reader.remaining > 0) this.#addWrite(reader);
    } else if (kind === FRAME.users && this.#mayHaveUsers && this.#roles.length === 0) {
      this.#stage = "auth";
      while (reader.remaining > 0) addByName(this.#users, readUser(reader), reader);
    } else if (kind === FRAME.roles && this.#mayHaveUsers) {
      this.#stage = "auth";
      while (reader.remaining > 0) addByName(this.#roles, readRole(reader), reader);
    } else if (kind === FRAME.base && BEFORE_CHANGES.has(this.#stage)) {
      this.#stage = "base";
      while (reader.remaining > 0) this.#addBase(readRecord(reader), reader);
    } else if (kind === FRAME.changes && this.#stage !== "header" && this.#stage !== "ended") {
      this.#stage = "changes";
      while (reader.remaining > 0) this.#addChange(readRecord(reader), reader);
    } else if (kind === FRAME.end && this.#stage !== "header" && this.#stage !== "ended") {
      this.#readEnd(reader);
    } else {
      reader.fail(`a frame of kind ${kind} does not belong here`);
    }
    reader.end();
  }

  #readHeader(reader: ByteReader): void {
    if (reader.u32() !== SNAPSHOT_MAGIC) reader.fail("this is no snapshot of a key-value store");
    this.#version = reader.u8();
    if (this.#version < VERSION_WITHOUT_LEASES || this.#version > SNAPSHOT_VERSION) {
      reader.fail(`unknown version ${this.#version}`);
    }
    this.#revision = readCounter(reader);
    const compactRevision = reader.uint();
    if (this.#revision < FIRST_REVISION || compactRevision > this.#revision) {
      reader.fail(`revision ${this.#revision}, compacted ${compactRevision}`);
    }
    if (this.#version > VERSION_WITHOUT_USERS) this.#authHead = readAuthHead(reader);
    if ((this.#authHead?.revision ?? 0) > MAX_COUNTER) reader.fail("a counter that is about to run out");
    if (this.#version > VERSION_WITHOUT_ALARMS) this.#addAlarms(reader);
    this.#keyspace.compactRevision = compactRevision;
    this.#lastModRevision = Math.max(compactRevision - 1, FIRST_REVISION);
    this.#stage = this.#version === VERSION_WITHOUT_LEASES ? "base" : "leases";
  }

  #addAlarms(reader: ByteReader): void {
    for (const alarm of readAlarms(reader)) {
      if (!this.#keyspace.alarms.restore(alarm)) reader.fail("alarms contradict each other");
    }
  }

  #addLease(reader: ByteReader): void {
    if (!this.#keyspace.leases.restore(readLease(reader))) reader.fail("leases contradict each other");
  }

  get #mayHaveWrites(): boolean {
    return this.#version > VERSION_WITHOUT_WRITES && (this.#stage === "leases" || this.#stage === "writes");
  }

  get #mayHaveUsers(): boolean {
    return this.#version > VERSION_WITHOUT_USERS && BEFORE_CHANGES.has(this.#stage) && this.#stage !== "base";
  }

  #addWrite(reader: ByteReader): void {
    if (!this.#keyspace.writes.restore(readRemembered(reader)))
      reader.fail("named writes contradict each other");
  }

  #addBase(record: NewRecord, reader: ByteReader): void {
    const { heap, tree, compactRevision } = this.#keyspace;
    if (record.version === 0 || record.modRevision >= compactRevision) {
      reader.fail("a key is not as of the compacted revision");
    }
    if (this.#lastKey !== NO_RECORD && heap.compareKey(this.#lastKey, record.key) >= 0) {
      reader.fail("keys are not in order");
    }
    this.#lastKey = heap.create(record);
    tree.set(record.key, this.#lastKey);
    this.#baseCount++;
  }

  #addChange(record: NewRecord, reader: ByteReader): void {
    const { heap, tree } = this.#keyspace;
    const step = record.modRevision - this.#lastModRevision;
    const first = this.#changeCount === 0;
    // Revisions that were raised have no change at the compacted one.
    const most = first && this.#keyspace.compactRevision > 0 ? 2 : 1;
    if (step < (first ? 1 : 0) || step > most || record.modRevision > this.#revision) {
      reader.fail("changes are not in the order of their revisions");
    }
    const older = tree.get(record.key) ?? NO_RECORD;
    if (!this.#follows(older, record)) reader.fail("a key's versions contradict each other");
    this.#lastModRevision = record.modRevision;
    this.#keyspace.add(record.key, heap.create({ ...record, older }));
    this.#changeCount++;
  }

  #follows(older: RecordHandle, record: NewRecord): boolean {
    const { heap, compactRevision } = this.#keyspace;
    // What a change at the compacted revision replaced is gone.
    if (older === NO_RECORD && record.modRevision === compactRevision) return true;
    const lived = older !== NO_RECORD && !heap.isTombstone(older);
    if (record.version === 0) return lived;
    return lived
      ? record.createRevision === heap.createRevision(older) && record.version === heap.version(older) + 1
      : record.createRevision === record.modRevision && record.version === 1;
  }

  #readEnd(reader: ByteReader): void {
    if (reader.uint() !== this.#baseCount || reader.uint() !== this.#changeCount)
      reader.fail("records are missing");
    const isRaised = this.#changeCount === 0 && this.#keyspace.compactRevision === this.#revision;
    if (this.#lastModRevision !== this.#revision && !isRaised) reader.fail("the last changes are missing");
    if (this.#version !== VERSION_WITHOUT_LEASES) this.#readLeaseCounts(reader);
    if (this.#version > VERSION_WITHOUT_WRITES) this.#readWriteCounts(reader);
    if (this.#version > VERSION_WITHOUT_USERS) this.#readUserCounts(reader);
    if (!this.#keyspace.attachLeases()) reader.fail("a key is attached to a lease that is not there");
    this.#keyspace.restored(this.#revision);
    this.#stage = "ended";
  }

  #readLeaseCounts(reader: ByteReader): void {
    const { leases } = this.#keyspace;
    if (reader.uint() !== leases.size) reader.fail("leases are missing");
    if (!leases.restoreSerial(readCounter(reader))) reader.fail("leases contradict each other");
  }

  #readWriteCounts(reader: ByteReader): void {
    const { writes } = this.#keyspace;
    if (reader.uint() !== writes.size) reader.fail("named writes are missing");
    if (!writes.restoreSerial(readCounter(reader))) reader.fail("named writes contradict each other");
  }

  #readUserCounts(reader: ByteReader): void {
    const head = this.#authHead ?? reader.fail("users and roles are missing");
    const [users, roles] = [this.#users, this.#roles];
    if (reader.uint() !== users.length || reader.uint() !== roles.length) {
      reader.fail("users or roles are missing");
    }
    if (users.some(({ since }) => since > head.revision)) reader.fail("a password is of the future");
    this.#keyspace.auth.restore({ ...head, users, roles });
  }
}

const BEFORE_CHANGES: ReadonlySet<string> = new Set(["leases", "writes", "auth", "base"]);

/** What is counted on from when the state is restored. */
function readCounter(reader: ByteReader): number {
  const counter = reader.uint();
  if (counter > MAX_COUNTER) reader.fail("a counter that is about to run out");
  return counter;
}

function addByName<T extends { readonly name: string }>(items: T[], item: T, reader: ByteReader): void {
  const last = items.at(-1);
  if (last !== undefined && last.name >= item.name) reader.fail("users or roles are not in order");
  items.push(item);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const NOTHING: Uint8Array = new Uint8Array(0);
