import type { Clock } from "../../core/node/index.ts";

/** Longest delay that a Node timer takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The process's clocks and timers. Timers keep the process alive: a node that runs is a reason to stay. */
export const nodeClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    if (delayMs <= 0) {
      // After the input that is already here, and without the millisecond that a timer takes at least.
      const turn = setImmediate(callback);
      return () => clearImmediate(turn);
    }
    // Node rounds down, and a timer may not fire early.
    const timer = setTimeout(callback, Math.min(Math.ceil(delayMs), MAX_DELAY_MS));
    return () => clearTimeout(timer);
  },
};
