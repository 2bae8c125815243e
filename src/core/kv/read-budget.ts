import { MAX_TXN_READ_BYTES, MAX_TXN_READ_KEYS } from "./limits.ts";
import { VERSION_BYTES } from "./size.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";

/** Part of a budget that is worth a look at one key more: values are compared and copied at about this rate. */
const BYTES_PER_KEY = 1024;

/**
 * What one request may look at and be answered, counted while the answer is found and before it is built. What is
 * counted depends on the readable state alone, and not on what compaction has freed: every member counts the same.
 */
export class ReadBudget {
  #keysLeft: number;
  #bytesLeft: number;
  readonly #refuse: () => Error;

  /** @param refuse the error for what is too much. */
  constructor(maxKeys: number, maxBytes: number, refuse: () => Error) {
    this.#keysLeft = maxKeys;
    this.#bytesLeft = maxBytes;
    this.#refuse = refuse;
  }

  /** Of a transaction that writes: the same on all members, since all of them do it. */
  static ofTxn(refuse: () => Error): ReadBudget {
    return new ReadBudget(MAX_TXN_READ_KEYS, MAX_TXN_READ_BYTES, refuse);
  }

  /** Keys have been looked at. */
  look(keys: number): void {
    this.#keysLeft -= keys;
    if (this.#keysLeft < 0) throw this.#refuse();
  }

  /** A key has been looked at, and so many bytes of its value. */
  lookInto(bytes: number): void {
    this.look(1 + Math.floor(bytes / BYTES_PER_KEY));
  }

  /** A key goes into the answer. */
  answer(heap: RecordHeap, handle: RecordHandle, withValue: boolean): void {
    this.#bytesLeft -= VERSION_BYTES + heap.keyLength(handle) + (withValue ? heap.valueLength(handle) : 0);
    if (this.#bytesLeft < 0) throw this.#refuse();
  }
}

/** For what is bounded otherwise. */
export const UNLIMITED: ReadBudget = new ReadBudget(Infinity, Infinity, () => new Error());
