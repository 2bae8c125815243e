import type { NodeId } from "../../../core/raft/index.ts";

/** Numbers below the highest seen that may still arrive late: as many as could overtake each other. */
const WINDOW = 64;
/** Sessions remembered for each sender, so that one that was replaced cannot be played back soon after. */
const SESSIONS_PER_SENDER = 8;
const MAX_SENDERS = 256;

/**
 * Refuses a batch that was already taken: a sliding window per sender and session (RFC 4303 §3.4.3). Raft itself
 * survives repeated messages; this keeps whoever can record traffic from making a member work for nothing.
 * Forgets everything at a restart.
 */
export class ReplayGuard {
  readonly #senders = new Map<NodeId, Map<bigint, SequenceWindow>>();

  /** True, once, for a number that is new. Call it only for what is authentic. */
  accept(from: NodeId, session: bigint, sequence: number): boolean {
    const sessions = touch(this.#senders, from, MAX_SENDERS, () => new Map<bigint, SequenceWindow>());
    return touch(sessions, session, SESSIONS_PER_SENDER, () => new SequenceWindow()).accept(sequence);
  }
}

class SequenceWindow {
  #highest = 0;
  /** Bit i stands for `#highest - i`. */
  #seen = 0n;

  accept(sequence: number): boolean {
    const ahead = sequence - this.#highest;
    if (ahead > 0) {
      this.#seen = ahead >= WINDOW ? 1n : ((this.#seen << BigInt(ahead)) | 1n) & MASK;
      this.#highest = sequence;
      return true;
    }
    if (-ahead >= WINDOW) return false;
    const bit = 1n << BigInt(-ahead);
    if ((this.#seen & bit) !== 0n) return false;
    this.#seen |= bit;
    return true;
  }
}

const MASK = (1n << BigInt(WINDOW)) - 1n;

/** The entry of `key`, made if need be and moved to the young end; the oldest one makes room. */
function touch<K, V>(map: Map<K, V>, key: K, limit: number, create: () => V): V {
  const value = map.get(key) ?? create();
  map.delete(key);
  map.set(key, value);
  if (map.size > limit) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
  return value;
}
