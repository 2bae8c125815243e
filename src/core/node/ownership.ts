import { EngineError } from "../errors/index.ts";
import type { Message, Ready } from "../raft/index.ts";
import type { StorageEngine } from "./ports.ts";

/**
 * What says something about this moment: that nobody else leads yet. Nobody may hear it from a process that was
 * replaced, whose successor may have voted since. Votes and acknowledgements of entries say what was made durable
 * once, by this process or before it, and are as true as a copy that the network has kept for a while; so they need
 * no question, which for some stores costs as much as a write.
 */
const VOUCHING: ReadonlySet<Message["type"]> = new Set<Message["type"]>([
  "HeartbeatResult",
  "ReadIndexResult",
]);

/** While the store is silent no more than these wait to be sent; Raft repeats what is dropped. */
const MAX_WAITING_MESSAGES = 1024;

/**
 * Holds back what may be said only by the owner of the stores, until it is certain that this process was still the
 * owner after it was asked. A process that was paused or cut off, and replaced, cannot notice that by itself: a
 * single voter would answer reads from memory for ever. What was written since needs no such question, since a
 * fenced store takes no write of a former owner.
 *
 * All that gather while one question is under way share the next.
 */
export class Ownership {
  readonly #confirm: (() => Promise<void>) | undefined;
  readonly #dispatch: (message: Message) => void;
  readonly #fail: (error: unknown) => void;
  #waiting: (() => void)[] = [];
  #waitingMessages = 0;
  #asking = false;

  constructor(
    { confirmOwner }: StorageEngine,
    dispatch: (message: Message) => void,
    fail: (error: unknown) => void,
  ) {
    this.#confirm = confirmOwner;
    this.#dispatch = dispatch;
    this.#fail = fail;
  }

  /** Nobody else can have taken the stores over: everything may be said at once. */
  get isCertain(): boolean {
    return this.#confirm === undefined;
  }

  /** Sends messages for which nothing was written, each at once or when it may be sent. */
  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#confirm === undefined || !VOUCHING.has(message.type)) this.#dispatch(message);
      else if (this.#waitingMessages < MAX_WAITING_MESSAGES) {
        this.#waitingMessages++;
        this.#wait(() => this.#dispatch(message));
      }
    }
  }

  /** Sends what had to wait for a Ready to be durable. */
  sendAfterPersist({ entries, hardState, messagesAfterPersist }: Ready): void {
    if (entries.length === 0 && hardState === null) this.send(messagesAfterPersist);
    else for (const message of messagesAfterPersist) this.#dispatch(message);
  }

  /** Answers reads, at once or when it may be. Not at all if the store does not answer: reads are asked for again. */
  answer(act: () => void): void {
    if (this.#confirm === undefined) act();
    else this.#wait(act);
  }

  stop(): void {
    this.#waiting = [];
  }

  #wait(act: () => void): void {
    this.#waiting.push(act);
    if (!this.#asking) this.#ask(this.#confirm!).catch(this.#fail);
  }

  async #ask(confirm: () => Promise<void>): Promise<void> {
    this.#asking = true;
    while (this.#waiting.length > 0) {
      let asked = this.#waiting;
      this.#waiting = [];
      this.#waitingMessages = 0;
      try {
        await confirm();
      } catch (error) {
        if (!isTransient(error)) return this.#fail(error);
        asked = [];
      }
      for (const act of asked) act();
    }
    this.#asking = false;
  }
}

function isTransient(error: unknown): boolean {
  return (
    error instanceof EngineError && (error.code === "storageUnavailable" || error.code === "storageThrottled")
  );
}
