import { members, type NodeId, type SnapshotMeta, type Term } from "../raft/index.ts";
import type { FrameBody } from "./frames.ts";
import type { NodeOptions, NodeTuning } from "./options.ts";
import type { Clock, Logger, Random, SnapshotInfo, SnapshotStore } from "./ports.ts";
import type { Snapshotter } from "./snapshotter.ts";

type ChunkResult = Extract<FrameBody, { type: "snapshotChunkResult" }>;

/** How often a chunk is sent before the transfer is given up. */
const MAX_ATTEMPTS = 5;

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
 * Brings a snapshot to a member, chunk by chunk, each answered before the next is sent. The first chunk is empty
 * and asks how much the member already has, so that a transfer that broke off continues.
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
    const chunk = {
      type: "snapshotChunk",
      transferId: transfer.id,
      meta: info.meta,
      context: info.context,
      size: info.size,
      checksum: info.checksum,
    } as const;
    const exchange = (offset: number, data: Uint8Array): Promise<ChunkResult | null> =>
      this.#exchange(to, transfer, { ...chunk, term: transfer.term, offset, data });
    let answer = await exchange(0, new Uint8Array(0));
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

  /** Sends a chunk and waits for its answer, again and again for a while. Null: none came, or this term is over. */
  async #exchange(
    to: NodeId,
    transfer: Transfer,
    chunk: Extract<FrameBody, { type: "snapshotChunk" }>,
  ): Promise<ChunkResult | null> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (this.#stopped || this.#host.term() !== transfer.term) return null;
      const result = await new Promise<ChunkResult | null>((resolve) => {
        const cancel = this.#clock.setTimer(this.#answerTimeoutMs, () => resolve(null));
        transfer.onResult = (answer) => {
          cancel();
          resolve(answer);
        };
        this.#host.send(to, chunk);
      });
      transfer.onResult = null;
      if (result !== null) return result;
    }
    return null;
  }

  stop(): void {
    this.#stopped = true;
  }
}
