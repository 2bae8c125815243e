import { crc32 } from "../bytes/index.ts";
import type { LogIndex, NodeId, SnapshotMeta } from "../raft/index.ts";
import type { FrameBody, SnapshotHeading } from "./frames.ts";
import type { Logger, SnapshotStore, SnapshotWriter } from "./ports.ts";

type Chunk = Extract<FrameBody, { type: "snapshotChunk" }>;
type Name = Extract<FrameBody, { type: "snapshotName" }>;
type ChunkResult = Extract<FrameBody, { type: "snapshotChunkResult" }>;

/** Frames waiting for their turn; a sender has one under way, so more are repetitions. */
const MAX_QUEUED = 8;

/** What has arrived of a snapshot. */
interface Incoming {
  readonly heading: SnapshotHeading;
  readonly writer: SnapshotWriter;
  received: number;
  checksum: number;
  /** It is being read by its name; null: what comes are bytes. */
  copy: Copy | null;
}

/** A copy under way, and whom to tell of it. */
interface Copy {
  from: NodeId;
  readonly offer: Name;
}

/** What the receiver asks of the node around it. */
export interface SnapshotReceiverHost {
  readonly commitIndex: () => LogIndex;
  readonly send: (to: NodeId, body: FrameBody) => void;
  /** All of it is durable in the store and verified: Raft decides what becomes of it. */
  readonly complete: (from: NodeId, heading: SnapshotHeading, meta: SnapshotMeta) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * Takes a snapshot in, one at a time, and keeps what it has when a transfer breaks off. Either its bytes come chunk by
 * chunk, or a name under which this node's own store can read it from the sender's. It is copied then, since the
 * sender's goes when it likes; and a copy that does not succeed goes on with bytes from where it is.
 */
export class SnapshotReceiver {
  readonly #store: SnapshotStore;
  readonly #logger: Logger;
  readonly #host: SnapshotReceiverHost;
  #incoming: Incoming | null = null;
  /** The last one that was taken in: Raft may not have looked at it yet when its sender asks again. */
  #complete: SnapshotHeading | null = null;
  /** The transfer whose name is of no use, or whose bytes have begun to come. */
  #nameless: bigint | null = null;
  #queue: Promise<void> = Promise.resolve();
  #queued = 0;
  #stopped = false;

  constructor(store: SnapshotStore, logger: Logger, host: SnapshotReceiverHost) {
    this.#store = store;
    this.#logger = logger;
    this.#host = host;
  }

  onChunk(from: NodeId, chunk: Chunk): void {
    this.#onFrame(() => this.#take(from, chunk));
  }

  onName(from: NodeId, offer: Name): void {
    this.#onFrame(() => this.#takeName(from, offer));
  }

  #onFrame(work: () => Promise<void>): void {
    if (this.#queued >= MAX_QUEUED || this.#stopped) return;
    this.#queued++;
    void this.#inTurn(work).finally(() => {
      this.#queued--;
    });
  }

  /** One after the other, as long as the node lives. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue
      .then(() => (this.#stopped ? undefined : work()))
      .catch((error: unknown) => {
        this.#stopped = true;
        this.#host.fail(error);
      });
    return this.#queue;
  }

  async #take(from: NodeId, chunk: Chunk): Promise<void> {
    if (this.#isHere(from, chunk)) return;
    const incoming = await this.#prepare(chunk);
    incoming.copy = null;
    this.#nameless = chunk.transferId;
    if (chunk.offset !== incoming.received || chunk.data.length > chunk.size - incoming.received) {
      return this.#answer(from, chunk, "more", incoming.received);
    }
    await append(incoming, chunk.data);
    if (incoming.received < chunk.size) return this.#answer(from, chunk, "more", incoming.received);
    if (!(await this.#finish(from, chunk, incoming))) this.#answer(from, chunk, "refused", 0);
  }

  async #takeName(from: NodeId, offer: Name): Promise<void> {
    if (this.#isHere(from, offer)) return;
    const incoming = await this.#prepare(offer);
    // Another transfer of the same reads anew, from where the copy is: the old reading may hang, and the old name be gone.
    if (incoming.copy?.offer.transferId === offer.transferId) {
      incoming.copy.from = from;
    } else if (this.#store.readShared !== undefined && this.#nameless !== offer.transferId) {
      incoming.copy = { from, offer };
      this.#copy(incoming, incoming.copy, this.#store.readShared).catch((error: unknown) => {
        this.#host.fail(error);
      });
    }
    this.#answer(from, offer, incoming.copy === null ? "more" : "copying", incoming.received);
  }

  /** Frames have their turns between its chunks, and may end it. */
  async #copy(
    incoming: Incoming,
    copy: Copy,
    readShared: NonNullable<SnapshotStore["readShared"]>,
  ): Promise<void> {
    const isOn = (): boolean => this.#incoming === incoming && incoming.copy === copy && !this.#stopped;
    const { name, meta, context, size, checksum } = copy.offer;
    let problem: unknown = "it has other bytes than were announced";
    try {
      for await (const data of readShared.call(
        this.#store,
        name,
        { meta, context, size, checksum },
        incoming.received,
      )) {
        if (!isOn() || data.length > size - incoming.received) break;
        await this.#inTurn(async () => {
          if (isOn()) await append(incoming, data);
        });
      }
    } catch (error) {
      problem = error;
    }
    await this.#inTurn(async () => {
      if (!isOn()) return;
      const { from, offer } = copy;
      incoming.copy = null;
      if (incoming.received === size && (await this.#finish(from, offer, incoming))) {
        return this.#logger.log("info", "snapshot copied by its name", {
          index: meta.index,
          bytes: size,
          name,
        });
      }
      this.#nameless = offer.transferId;
      const fields = { index: meta.index, name, received: incoming.received, problem: String(problem) };
      this.#logger.log("warn", "a snapshot could not be copied by its name; its bytes are asked for", fields);
      this.#answer(from, offer, "more", this.#incoming?.received ?? 0);
    });
  }

  #answer(
    to: NodeId,
    { transferId }: SnapshotHeading,
    status: ChunkResult["status"],
    nextOffset: number,
  ): void {
    this.#host.send(to, { type: "snapshotChunkResult", transferId, status, nextOffset });
  }

  /** Everything in it is here already; let Raft say so to the leader. */
  #isHere(from: NodeId, heading: SnapshotHeading): boolean {
    const isComplete = this.#complete !== null && isSame(this.#complete, heading);
    if (heading.meta.index > this.#host.commitIndex() && !isComplete) return false;
    this.#host.complete(from, heading, heading.meta);
    this.#answer(from, heading, "done", heading.size);
    return true;
  }

  /** The transfer that this frame belongs to: the one that broke off, or a new one in its place. */
  async #prepare(heading: SnapshotHeading): Promise<Incoming> {
    const present = this.#incoming;
    if (present !== null && isSame(present.heading, heading)) return present;
    this.#incoming = null;
    await present?.writer.abort();
    const { term, transferId, meta, context, size, checksum } = heading;
    const writer = await this.#store.create(meta, context);
    this.#incoming = {
      heading: { term, transferId, meta, context: context.slice(), size, checksum },
      writer,
      received: 0,
      checksum: 0,
      copy: null,
    };
    return this.#incoming;
  }

  /** All of it has arrived. False: it was something else, and is gone. */
  async #finish(from: NodeId, heading: SnapshotHeading, incoming: Incoming): Promise<boolean> {
    this.#incoming = null;
    if (incoming.checksum !== heading.checksum) {
      this.#logger.log("warn", "a received snapshot does not have its checksum", {
        index: heading.meta.index,
      });
      await incoming.writer.abort();
      return false;
    }
    const info = await incoming.writer.commit();
    this.#complete = incoming.heading;
    this.#host.complete(from, heading, info.meta);
    this.#answer(from, heading, "done", heading.size);
    return true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#queue;
    await this.#incoming?.writer.abort();
    this.#incoming = null;
  }
}

async function append(incoming: Incoming, data: Uint8Array): Promise<void> {
  if (data.length === 0) return;
  await incoming.writer.write(data);
  incoming.checksum = crc32(data, incoming.checksum);
  incoming.received += data.length;
}

/** Two snapshots at one place of the log have the same state, but only the same bytes can be continued. */
function isSame(a: SnapshotHeading, b: SnapshotHeading): boolean {
  return (
    a.meta.index === b.meta.index &&
    a.meta.term === b.meta.term &&
    a.size === b.size &&
    a.checksum === b.checksum
  );
}
