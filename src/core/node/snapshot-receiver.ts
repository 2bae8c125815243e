import { crc32 } from "../bytes/index.ts";
import type { LogIndex, NodeId, SnapshotMeta } from "../raft/index.ts";
import type { FrameBody } from "./frames.ts";
import type { Logger, SnapshotStore, SnapshotWriter } from "./ports.ts";

type Chunk = Extract<FrameBody, { type: "snapshotChunk" }>;
type ChunkResult = Extract<FrameBody, { type: "snapshotChunkResult" }>;

/** Chunks waiting to be written; a sender has one under way, so more are repetitions. */
const MAX_QUEUED = 8;

/** What has arrived of a snapshot. */
interface Incoming {
  readonly chunk: Chunk;
  readonly writer: SnapshotWriter;
  received: number;
  checksum: number;
}

/** What the receiver asks of the node around it. */
export interface SnapshotReceiverHost {
  readonly commitIndex: () => LogIndex;
  readonly send: (to: NodeId, body: FrameBody) => void;
  /** All of it is durable in the store and verified: Raft decides what becomes of it. */
  readonly complete: (from: NodeId, chunk: Chunk, meta: SnapshotMeta) => void;
  readonly fail: (error: unknown) => void;
}

/** Takes a snapshot in chunk by chunk, one snapshot at a time, and keeps what it has when a transfer breaks off. */
export class SnapshotReceiver {
  readonly #store: SnapshotStore;
  readonly #logger: Logger;
  readonly #host: SnapshotReceiverHost;
  #incoming: Incoming | null = null;
  #queue: Promise<void> = Promise.resolve();
  #queued = 0;
  #stopped = false;

  constructor(store: SnapshotStore, logger: Logger, host: SnapshotReceiverHost) {
    this.#store = store;
    this.#logger = logger;
    this.#host = host;
  }

  onChunk(from: NodeId, chunk: Chunk): void {
    if (this.#queued >= MAX_QUEUED || this.#stopped) return;
    this.#queued++;
    this.#queue = this.#queue
      .then(() => (this.#stopped ? undefined : this.#take(from, chunk)))
      .catch((error: unknown) => this.#host.fail(error))
      .finally(() => {
        this.#queued--;
      });
  }

  async #take(from: NodeId, chunk: Chunk): Promise<void> {
    const answer = (status: ChunkResult["status"], nextOffset: number): void =>
      this.#host.send(from, {
        type: "snapshotChunkResult",
        transferId: chunk.transferId,
        status,
        nextOffset,
      });
    if (chunk.meta.index <= this.#host.commitIndex()) {
      // Everything in it is here already; let Raft say so to the leader.
      this.#host.complete(from, chunk, chunk.meta);
      return answer("done", chunk.size);
    }
    const incoming = await this.#prepare(chunk);
    if (chunk.offset !== incoming.received || chunk.data.length > chunk.size - incoming.received) {
      return answer("more", incoming.received);
    }
    if (chunk.data.length > 0) {
      await incoming.writer.write(chunk.data);
      incoming.checksum = crc32(chunk.data, incoming.checksum);
      incoming.received += chunk.data.length;
    }
    if (incoming.received < chunk.size) return answer("more", incoming.received);
    this.#incoming = null;
    if (incoming.checksum !== chunk.checksum) {
      this.#logger.log("warn", "a received snapshot does not have its checksum", { index: chunk.meta.index });
      await incoming.writer.abort();
      return answer("refused", 0);
    }
    const info = await incoming.writer.commit();
    this.#host.complete(from, chunk, info.meta);
    answer("done", chunk.size);
  }

  /** The transfer that this chunk belongs to: the one that broke off, or a new one in its place. */
  async #prepare(chunk: Chunk): Promise<Incoming> {
    const present = this.#incoming;
    if (present !== null && isSame(present.chunk, chunk)) return present;
    this.#incoming = null;
    await present?.writer.abort();
    const writer = await this.#store.create(chunk.meta, chunk.context);
    this.#incoming = { chunk: { ...chunk, data: new Uint8Array(0) }, writer, received: 0, checksum: 0 };
    return this.#incoming;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#queue;
    await this.#incoming?.writer.abort();
    this.#incoming = null;
  }
}

/** Two snapshots at one place of the log have the same state, but only the same bytes can be continued. */
function isSame(a: Chunk, b: Chunk): boolean {
  return (
    a.meta.index === b.meta.index &&
    a.meta.term === b.meta.term &&
    a.size === b.size &&
    a.checksum === b.checksum
  );
}
