import { members, type NodeId, type SnapshotMeta, type Term } from "../raft/index.ts";
import type { FrameBody, SnapshotHeading } from "./frames.ts";
import type { NodeOptions, NodeTuning } from "./options.ts";
import {
  type Clock,
  type Logger,
  MAX_SNAPSHOT_NAME_BYTES,
  type Random,
  type SnapshotInfo,
  type SnapshotStore,
} from "./ports.ts";
import type { Snapshotter } from "./snapshotter.ts";

type ChunkResult = Extract<FrameBody, { type: "snapshotChunkResult" }>;

/** How often a chunk is sent before the transfer is given up. */
const MAX_ATTEMPTS = 5;
/** How often a member that copies may say that it has got no further, before it is sent the bytes. */
const MAX_STANDSTILLS = 10;

const NOTHING = new Uint8Array(0);

/** A transfer under way, and how its next answer reaches it. */
interface Transfer {
  readonly id: bigint;
  /** In which this node leads. A chunk must not claim that it comes from the leader of a later one. */
  readonly term: Term;
  onResult: ((result: ChunkResult) => void) | null;
}

/** What the sender asks of the node around it. */
export interface SnapshotSenderHost {
  readonly term: () => Term;
  readonly send: (to: NodeId, body: FrameBody) => void;
  /** The transfer ended; `ok` if the member has all of it. */
  readonly report: (to: NodeId, ok: boolean) => void;
}

/**
 * Brings a snapshot to a member. Where the store has a name for it that the member's own may know, it is told that
 * first. If it cannot read it, or not to the end, it is sent the bytes that it lacks, chunk by chunk, each answered
 * before the next is sent. The first chunk is empty and asks how much the member already has, so that a transfer that
 * broke off continues.
 */
export class SnapshotSender<R> {
  readonly #snapshotter: Snapshotter<R>;
  readonly #store: SnapshotStore;
  readonly #tuning: NodeTuning;
  readonly #answerTimeoutMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #host: SnapshotSenderHost;
  readonly #transfers: Map<NodeId, Transfer> = new Map();
  #stopped = false;

  constructor(
    snapshotter: Snapshotter<R>,
    { storage, clock, random, logger }: NodeOptions,
    tuning: NodeTuning,
    answerTimeoutMs: number,
    host: SnapshotSenderHost,
  ) {
    this.#snapshotter = snapshotter;
    this.#store = storage.snapshots;
    this.#tuning = tuning;
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#clock = clock;
    this.#random = random;
    this.#logger = logger;
    this.#host = host;
  }

  /** The member needs a snapshot no older than `wanted`, from the leader of `term`. Always ends in a report. */
  start(to: NodeId, wanted: SnapshotMeta, term: Term): void {
    // What is under way, perhaps from an earlier term, will end soon, and with a report.
    if (this.#transfers.has(to)) return;
    const transfer: Transfer = { id: this.#random.id(), term, onResult: null };
    this.#transfers.set(to, transfer);
    this.#run(to, transfer, wanted)
      .catch((error: unknown) => {
        this.#logger.log("warn", "snapshot transfer failed", { to, error: String(error) });
        return false;
      })
      .then((ok) => {
        this.#transfers.delete(to);
        if (!this.#stopped) this.#host.report(to, ok);
      })
      .catch((error: unknown) =>
        this.#logger.log("error", "snapshot report failed", { error: String(error) }),
      );
  }

  onResult(from: NodeId, result: ChunkResult): void {
    const transfer = this.#transfers.get(from);
    if (transfer?.id === result.transferId) transfer.onResult?.(result);
  }

  async #run(to: NodeId, transfer: Transfer, wanted: SnapshotMeta): Promise<boolean> {
    // A snapshot from before the member joined would not tell it that it is one.
    const admits = ({ meta }: SnapshotInfo): boolean => members(meta.config).includes(to);
    const send = (info: SnapshotInfo): Promise<boolean> => this.#send(to, transfer, info);
    return (await this.#snapshotter.lend(wanted.index, admits, send)) ?? false;
  }

  async #send(to: NodeId, transfer: Transfer, info: SnapshotInfo): Promise<boolean> {
    const { meta, context, size, checksum } = info;
    const heading: SnapshotHeading = {
      term: transfer.term,
      transferId: transfer.id,
      meta,
      context,
      size,
      checksum,
    };
    const exchange = (offset: number, data: Uint8Array): Promise<ChunkResult | null> =>
      this.#exchange(to, transfer, { type: "snapshotChunk", ...heading, offset, data });
    let answer = (await this.#offerName(to, transfer, info, heading)) ?? (await exchange(0, NOTHING));
    // Whenever the member's count is not where this side stands, reading starts again from there.
    for (let restarts = 0; answer?.status === "more" && restarts < MAX_ATTEMPTS; restarts++) {
      answer = await this.#stream(info, answer.nextOffset, exchange);
    }
    return answer?.status === "done";
  }

  async #stream(
    info: SnapshotInfo,
    from: number,
    exchange: (offset: number, data: Uint8Array) => Promise<ChunkResult | null>,
  ): Promise<ChunkResult | null> {
    let offset = from;
    for await (const data of this.#store.read(info, from)) {
      for (let at = 0; at < data.length;) {
        const part = data.subarray(at, at + this.#tuning.snapshotChunkBytes);
        const answer = await exchange(offset, part);
        offset += part.length;
        at += part.length;
        if (answer?.status !== "more" || answer.nextOffset !== offset) return answer;
      }
    }
    return null;
  }

  /** What the member said at last; null: there is no name, or it says nothing to one, or gets no further with it. */
  async #offerName(
    to: NodeId,
    transfer: Transfer,
    info: SnapshotInfo,
    heading: SnapshotHeading,
  ): Promise<ChunkResult | null> {
    const name = await this.#store.nameOf?.(info);
    if (name === undefined || name.length > MAX_SNAPSHOT_NAME_BYTES) return null;
    let copied = -1;
    for (let standstills = 0; standstills < MAX_STANDSTILLS; standstills++) {
      const answer = await this.#exchange(to, transfer, { type: "snapshotName", ...heading, name });
      if (answer?.status !== "copying") return answer;
      if (answer.nextOffset > copied) standstills = 0;
      copied = answer.nextOffset;
      // The end of it is told unasked.
      const news = await this.#answer(transfer, isAny, () => {});
      if (news !== null && news.status !== "copying") return news;
    }
    return null;
  }

  /** Sends a frame and waits for its answer, again and again for a while. Null: none came, or this term is over. */
  async #exchange(to: NodeId, transfer: Transfer, body: FrameBody): Promise<ChunkResult | null> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (this.#stopped || this.#host.term() !== transfer.term) return null;
      const result = await this.#answer(transfer, answers(body), () => this.#host.send(to, body));
      if (result !== null) return result;
    }
    return null;
  }

  /** The next answer, if it comes in time. */
  async #answer(
    transfer: Transfer,
    isNews: (result: ChunkResult) => boolean,
    ask: () => void,
  ): Promise<ChunkResult | null> {
    const result = await new Promise<ChunkResult | null>((resolve) => {
      const cancel = this.#clock.setTimer(this.#answerTimeoutMs, () => resolve(null));
      transfer.onResult = (answer) => {
        if (!isNews(answer)) return;
        cancel();
        resolve(answer);
      };
      ask();
    });
    transfer.onResult = null;
    return result;
  }

  stop(): void {
    this.#stopped = true;
  }
}

const isAny = (): boolean => true;

/**
 * What can be the answer to this frame, and not a late one to an earlier. A member that has all up to a chunk takes it,
 * and then has more.
 */
function answers(body: FrameBody): (result: ChunkResult) => boolean {
  if (body.type !== "snapshotChunk") return isAny;
  const { offset, data } = body;
  return ({ status, nextOffset }) =>
    status !== "copying" && !(status === "more" && data.length > 0 && nextOffset === offset);
}
