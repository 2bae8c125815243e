import type { Cancel, Clock, Random } from "../../../core/node/index.ts";
import type { NodeId } from "../../../core/raft/index.ts";
import { BATCH_BYTES, encodeBatch } from "./batch-codec.ts";
import type { LimitedLog } from "./limited-log.ts";
import { type PeerMac, seal } from "./peer-mac.ts";
import type { Poster } from "./poster.ts";

/** Bounds and pace of the connection to one peer. */
export interface LinkLimits {
  /** Frames, and bytes of frames, waiting to be sent. */
  readonly maxQueuedFrames: number;
  readonly maxQueuedBytes: number;
  /** A batch is closed once it has this many bytes of frames; a single frame may be larger. */
  readonly maxBatchBytes: number;
  /** POSTs under way at the same time... */
  readonly maxInflight: number;
  /**
   * ...of which a further one starts only when the latest has been under way for this long, on a path where none is
   * quicker. On a near network frames so stay in order, and in large batches; across regions a frame need not wait
   * for the round trip of those before it (measured over 40 ms with arrivals at random: without, half of the frames
   * waited 20 ms or more). There POSTs may overtake each other while connections are being opened, and Raft probes.
   */
  readonly pipelineAfterMs: number;
  /** After the first failure wait about this long, then twice as long each time... */
  readonly minBackoffMs: number;
  /** ...up to this. Well below an election timeout, so that a peer that is back is soon heard. */
  readonly maxBackoffMs: number;
}

export const LINK_LIMITS: LinkLimits = {
  maxQueuedFrames: 4096,
  maxQueuedBytes: 64 << 20,
  maxBatchBytes: BATCH_BYTES,
  maxInflight: 8,
  pipelineAfterMs: 5,
  minBackoffMs: 20,
  maxBackoffMs: 400,
};

/** Frames kept for the next attempt while waiting: enough for one of each kind that is still of use by then. */
const FRAMES_KEPT_IN_BACKOFF = 32;

export interface LinkOptions {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly self: NodeId;
  readonly peer: NodeId;
  readonly mac: PeerMac;
  readonly poster: Poster;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LimitedLog;
  readonly limits: LinkLimits;
  readonly unreachable: (peer: NodeId) => void;
  /** Takes what came back with the receipt of a batch: another sealed batch, of the peer's. Absent: thrown away. */
  readonly answered?: (sealed: Uint8Array) => void;
}

/** Counters since the link was made. */
export interface LinkStats {
  sentFrames: number;
  sentBytes: number;
  sentBatches: number;
  droppedFrames: number;
  failures: number;
}

/**
 * The way to one peer. Whatever is queued while a POST is under way goes into the next one.
 *
 * Raft tolerates loss, so a full queue drops, and says so: `unreachable` makes the leader probe instead of counting
 * on what was lost. The newest frame is dropped, because the older ones form an unbroken run that the peer can
 * use, while without the first of them it would refuse all the rest. While waiting after a failure it is the other
 * way round: the run is broken already, and only the latest frames still matter.
 */
export class PeerLink {
  readonly stats: LinkStats = { sentFrames: 0, sentBytes: 0, sentBatches: 0, droppedFrames: 0, failures: 0 };
  readonly #options: LinkOptions;
  readonly #session: bigint;
  #urls: readonly string[];
  #urlIndex = 0;
  #sequence = 0;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #inflight = 0;
  #lastPostMs = 0;
  /** The quickest of late. A path counts as near until ten POSTs in a row were slow. */
  #roundTripMs = 0.1;
  #cancelPipelining: Cancel | null = null;
  #overflowing = false;
  #flushing = false;
  #failuresInARow = 0;
  #endBackoff: Cancel | null = null;
  #closed = false;
  /** The peer's own POST waits for this many frames, to take them along. */
  #rider: { readonly wanted: number; readonly leave: () => void } | null = null;

  constructor(options: LinkOptions, urls: readonly string[]) {
    this.#options = options;
    this.#session = options.random.id();
    this.#urls = urls;
  }

  setUrls(urls: readonly string[]): void {
    this.#urls = urls;
  }

  send(frame: Uint8Array): void {
    if (this.#closed) return;
    if (this.#endBackoff !== null) this.#makeRoomInBackoff();
    else if (this.#isFull(frame)) return this.#overflow();
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.#scheduleFlush();
  }

  /**
   * What is queued for the peer, as one sealed batch that can travel back with the receipt for its own: as soon as
   * there are `wanted` frames, or after `patienceMs` whatever there is by then. Null: nothing, or somebody waits
   * already.
   */
  async answer(wanted: number, patienceMs: number): Promise<Uint8Array | null> {
    if (this.#rider !== null) return null;
    if (this.#queue.length < wanted) await this.#ride(wanted, patienceMs);
    if (this.#closed || this.#queue.length === 0) return null;
    return await this.#sealed(this.#takeBatch());
  }

  #ride(wanted: number, patienceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const leave = (): void => {
        cancel();
        this.#rider = null;
        resolve();
        // What is left over goes by itself, once the rider has taken its share.
        this.#scheduleFlush();
      };
      const cancel = this.#options.clock.setTimer(patienceMs, leave);
      this.#rider = { wanted, leave };
    });
  }

  /** The peer was heard: there is no point in waiting any longer before trying to reach it. */
  heard(): void {
    this.#endBackoff?.();
  }

  /** Drops what is queued; a POST under way ends as it may. */
  close(): void {
    this.#closed = true;
    this.#rider?.leave();
    this.#endBackoff?.();
    this.#stopPipelining();
    this.#dropQueue();
  }

  #isFull(frame: Uint8Array): boolean {
    const { maxQueuedFrames, maxQueuedBytes } = this.#options.limits;
    return this.#queue.length >= maxQueuedFrames || this.#queuedBytes + frame.length > maxQueuedBytes;
  }

  #overflow(): void {
    this.stats.droppedFrames++;
    if (this.#overflowing) return;
    this.#overflowing = true;
    const { log, peer } = this.#options;
    log.log("warn", `full ${peer}`, "the queue to a member is full: dropping frames", { peer });
    this.#options.unreachable(peer);
  }

  #makeRoomInBackoff(): void {
    while (this.#queue.length >= FRAMES_KEPT_IN_BACKOFF) {
      this.#queuedBytes -= this.#queue.shift()!.length;
      this.stats.droppedFrames++;
    }
  }

  #dropQueue(): void {
    this.stats.droppedFrames += this.#queue.length;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  // Deferred to the end of the turn, so that all frames of one Ready share a batch.
  #scheduleFlush(): void {
    if (this.#flushing || this.#cancelPipelining !== null) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#rider === null) this.#flush();
      else if (this.#queue.length >= this.#rider.wanted) this.#rider.leave();
    });
  }

  #flush(): void {
    while (!this.#closed && this.#endBackoff === null && this.#rider === null && this.#queue.length > 0) {
      if (this.#inflight >= this.#options.limits.maxInflight) return;
      if (this.#inflight > 0 && !this.#mayPipeline()) return;
      this.#inflight++;
      void this.#post(this.#takeBatch());
    }
  }

  /** Whether the path is long and the latest POST well under way; if only the latter is missing, comes back. */
  #mayPipeline(): boolean {
    const { clock, limits } = this.#options;
    if (this.#roundTripMs < limits.pipelineAfterMs) return false;
    const waitMs = this.#lastPostMs + limits.pipelineAfterMs - clock.nowMs();
    if (waitMs <= 0) return true;
    this.#cancelPipelining ??= clock.setTimer(waitMs, () => {
      this.#cancelPipelining = null;
      this.#flush();
    });
    return false;
  }

  #stopPipelining(): void {
    this.#cancelPipelining?.();
    this.#cancelPipelining = null;
  }

  #takeBatch(): readonly Uint8Array[] {
    this.#overflowing = false;
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && bytes < this.#options.limits.maxBatchBytes) {
      bytes += this.#queue[count++]!.length;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #post(frames: readonly Uint8Array[]): Promise<void> {
    const { poster } = this.#options;
    const startedMs = this.#options.clock.nowMs();
    this.#lastPostMs = startedMs;
    let problem: string | null = null;
    let overloaded = false;
    try {
      const sealed = this.#sealed(frames);
      // Before anything else that this turn began, where the MAC allows it: the peer's disk is to be busy, too.
      const batch = sealed instanceof Promise ? await sealed : sealed;
      const url = this.#urls[this.#urlIndex % this.#urls.length];
      if (url === undefined) throw new Error("it has no peer URL");
      const reply = await poster.post(url, batch);
      if (reply.status >= 200 && reply.status < 300) {
        this.#delivered(frames, batch.length, startedMs);
        if (reply.body.length > 0) this.#options.answered?.(reply.body);
      } else problem = `status ${reply.status}: ${new TextDecoder().decode(reply.body)}`;
    } catch (error) {
      problem = describe(error);
      overloaded = (error as { readonly overloaded?: boolean }).overloaded === true;
    }
    this.#inflight--;
    if (this.#inflight === 0) this.#stopPipelining();
    if (problem !== null) this.#failed(frames.length, problem, overloaded);
    this.#flush();
  }

  #sealed(frames: readonly Uint8Array[]): Uint8Array | Promise<Uint8Array> {
    const { clusterId, groupId, self, peer, mac } = this.#options;
    const header = { clusterId, groupId, from: self, to: peer, session: this.#session };
    return seal(encodeBatch({ ...header, sequence: ++this.#sequence }, frames), mac);
  }

  #delivered(frames: readonly Uint8Array[], bytes: number, startedMs: number): void {
    this.#failuresInARow = 0;
    this.#roundTripMs = Math.min(this.#options.clock.nowMs() - startedMs, this.#roundTripMs * 1.5);
    this.stats.sentBatches++;
    this.stats.sentFrames += frames.length;
    this.stats.sentBytes += bytes;
  }

  /** @param overloaded the peer has too much to do, and must not be asked again soon. */
  #failed(lostFrames: number, problem: string, overloaded: boolean): void {
    if (this.#closed) return;
    const { clock, log, peer, random, limits } = this.#options;
    this.stats.failures++;
    this.stats.droppedFrames += lostFrames;
    // Others that were under way at the same time fail for the same reason.
    if (this.#endBackoff !== null) return;
    // The frames behind the lost ones were made in the belief that those would arrive.
    this.#dropQueue();
    const url = this.#urls[this.#urlIndex % this.#urls.length];
    // Another reason is news, however soon after the first.
    log.log("warn", `unreachable ${peer} ${problem}`, "could not reach a member", { peer, url, problem });
    this.#urlIndex++;
    const longest = Math.min(
      limits.maxBackoffMs,
      overloaded ? limits.maxBackoffMs : limits.minBackoffMs * 2 ** Math.min(this.#failuresInARow, 20),
    );
    this.#failuresInARow++;
    const cancelTimer = clock.setTimer(longest * (0.5 + random.next() / 2), () => this.#endBackoff?.());
    this.#endBackoff = () => {
      cancelTimer();
      this.#endBackoff = null;
      this.#scheduleFlush();
    };
    this.#options.unreachable(peer);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A connection refused on every address of a host arrives as an AggregateError without a message.
  const code = (error as { readonly code?: string }).code;
  return error.message === "" ? (code ?? error.name) : error.message;
}
