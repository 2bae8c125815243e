import type { NodeId, Raft, RaftEvent, SnapshotMeta, Term } from "../raft/index.ts";
import type { Applier } from "./applier.ts";
import type { FrameBody } from "./frames.ts";
import type { Meter } from "./observer.ts";
import type { NodeOptions, NodeTuning } from "./options.ts";
import type { SnapshotInfo } from "./ports.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { Snapshotter } from "./snapshotter.ts";

/** What snapshots ask of the node around them. */
export interface SnapshotsHost {
  readonly raft: Raft;
  readonly send: (to: NodeId, body: FrameBody) => void;
  readonly input: (event: RaftEvent) => void;
  readonly fail: (error: unknown) => void;
}

/** A node's snapshots: those it takes, those it sends, and those it is sent. */
export class Snapshots<R> {
  readonly #raft: Raft;
  readonly #snapshotter: Snapshotter<R>;
  readonly #sender: SnapshotSender<R>;
  readonly #receiver: SnapshotReceiver;

  constructor(
    options: NodeOptions,
    tuning: NodeTuning,
    applier: Applier<R>,
    meter: Meter,
    { raft, send, input, fail }: SnapshotsHost,
  ) {
    const { storage, clock, logger, identity } = options;
    this.#raft = raft;
    this.#snapshotter = new Snapshotter(storage, applier, tuning, clock, logger, meter, {
      stored: () => raft,
      compacting: (snapshot) => input({ type: "compacted", snapshot }),
      fail,
    });
    this.#sender = new SnapshotSender(this.#snapshotter, options, tuning, raft.options.electionTimeoutMs, {
      term: () => raft.term,
      send,
      report: (to, ok) => input({ type: "snapshotReport", to, ok }),
    });
    this.#receiver = new SnapshotReceiver(storage.snapshots, logger, {
      commitIndex: () => raft.commitIndex,
      send,
      complete: (from, { term }, snapshot) =>
        input({
          type: "message",
          message: { type: "InstallSnapshot", from, to: identity.nodeId, term, snapshot },
        }),
      fail,
    });
  }

  /** Called between two applications: takes one if it is time. */
  poll(): void {
    this.#snapshotter.poll();
  }

  /** Takes one now and shortens the log. */
  async take(): Promise<SnapshotInfo> {
    return await this.#snapshotter.take();
  }

  /** The member needs a snapshot no older than `wanted`, from the leader of `term`. */
  bring(to: NodeId, wanted: SnapshotMeta, term: Term): void {
    this.#sender.start(to, wanted, term);
  }

  onChunk(from: NodeId, chunk: Extract<FrameBody, { type: "snapshotChunk" }>): void {
    if (chunk.term >= this.#raft.term) this.#receiver.onChunk(from, chunk);
  }

  onName(from: NodeId, offer: Extract<FrameBody, { type: "snapshotName" }>): void {
    if (offer.term >= this.#raft.term) this.#receiver.onName(from, offer);
  }

  onChunkResult(from: NodeId, result: Extract<FrameBody, { type: "snapshotChunkResult" }>): void {
    this.#sender.onResult(from, result);
  }

  /** From now on none is sent; `stop` waits for what is being written. */
  endSending(): void {
    this.#sender.stop();
  }

  async stop(): Promise<void> {
    await this.#receiver.stop();
    await this.#snapshotter.stop();
  }
}
