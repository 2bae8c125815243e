import type { Clock } from "../../core/node/index.ts";

/** Longest delay that timers take everywhere; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The clocks and timers that every runtime of the Web's kind has. */
export const webClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    // Timers round down, and may not fire early.
    const timer = setTimeout(callback, Math.min(Math.max(0, Math.ceil(delayMs)), MAX_DELAY_MS));
    return () => clearTimeout(timer);
  },
};
