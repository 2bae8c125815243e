import { DEFAULT_FRAME_BYTES, DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES } from "./protocol.ts";

/** With so much waiting to be sent answers are not written out before half of it has gone. */
const MAX_QUEUED_BYTES = 64 << 20;
/** Of those who wait so many are told at a time. */
const WAKE = 64;
/** A call with much to say lets the others have a word in between. */
const MAX_SENT_FRAME_BYTES = 64 << 10;

/** A call, as far as it sends. */
export interface Sender {
  /** Whether there is something to send, and the client wants it of this call. */
  readonly isReady: boolean;
  /** Sends one frame; only when ready. */
  sendPart(): void;
  /** Whoever waits for room may look again. */
  roomAgain(): void;
}

/** What a connection's calls have to send, and what the client takes of it. */
export class Outbox {
  readonly #isWritable: () => boolean;
  readonly #told: (bytes: number) => void;
  /** Those that would send something if the connection let them, in turn. */
  readonly #ready = new Set<Sender>();
  /** Those that wait for the rest to be sent. */
  readonly #crowd = new Set<Sender>();
  #window = DEFAULT_WINDOW_BYTES;
  #maxFrameBytes = DEFAULT_FRAME_BYTES;
  #queuedBytes = 0;
  /** For answers that are being made. */
  #reservedBytes = 0;

  /**
   * @param isWritable whether the client's machine takes more at the moment.
   * @param told how many bytes more, or less, wait to be sent.
   */
  constructor(isWritable: () => boolean, told: (bytes: number) => void) {
    this.#isWritable = isWritable;
    this.#told = told;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether so much waits to be sent that nothing more is to be written out. */
  get isFull(): boolean {
    return this.#queuedBytes >= MAX_QUEUED_BYTES;
  }

  /** Whether there is no room for another answer to be made. */
  get isCrowded(): boolean {
    return this.#queuedBytes + this.#reservedBytes >= MAX_QUEUED_BYTES;
  }

  /** For an answer that is being made; less than nothing when it has been. */
  reserve(bytes: number): void {
    this.#reservedBytes += bytes;
    if (bytes < 0) this.#wake();
  }

  /** What may go into the next frame, as far as it is not the call's affair. */
  get frameBytes(): number {
    return Math.min(this.#window, this.#maxFrameBytes);
  }

  /** The client takes frames of this size. */
  set maxFrameBytes(bytes: number) {
    this.#maxFrameBytes = Math.min(bytes, MAX_SENT_FRAME_BYTES);
  }

  /** The client lets more be sent. @returns false for more than there can be. */
  widen(bytes: number): boolean {
    this.#window += bytes;
    if (this.#window > MAX_WINDOW_BYTES) return false;
    this.pump();
    return true;
  }

  /** So much waits. */
  add(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#told(bytes);
  }

  /** So much has been sent. */
  sent(bytes: number): void {
    this.#window -= bytes;
    this.discard(bytes);
  }

  /** So much will not be. */
  discard(bytes: number): void {
    if (bytes === 0) return;
    this.#queuedBytes -= bytes;
    this.#told(-bytes);
    this.#wake();
  }

  /** It has something to send, and is asked for a part of it when it is its turn. */
  ready(sender: Sender): void {
    this.#ready.add(sender);
    this.pump();
  }

  /** It waits until it is not crowded. */
  wait(sender: Sender): void {
    this.#crowd.add(sender);
  }

  /** It is over. */
  forget(sender: Sender): void {
    this.#ready.delete(sender);
    this.#crowd.delete(sender);
  }

  /** Sends what may be sent: a frame of each in turn. */
  pump(): void {
    // Those that have more come again, at the end.
    for (const sender of this.#ready) {
      if (this.#window <= 0 || !this.#isWritable()) return;
      this.#ready.delete(sender);
      // The client may have taken its window away meanwhile, and then it comes again with the next.
      if (!sender.isReady) continue;
      sender.sendPart();
      if (sender.isReady) this.#ready.add(sender);
    }
  }
  #wake(): void {
    if (this.#crowd.size === 0 || this.#queuedBytes + this.#reservedBytes > MAX_QUEUED_BYTES / 2) return;
    let left = WAKE;
    // Each of them has something done about it, or waits again.
    for (const sender of this.#crowd) {
      if (left-- === 0) return;
      this.#crowd.delete(sender);
      sender.roomAgain();
    }
  }
}
