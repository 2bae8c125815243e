import type { Clock } from "../../core/node/index.ts";

/** Longest delay that a timer takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Clocks and timers of one Durable Object. Deployed, the clock stands still while code runs and moves on with every
 * event, so what it says is never ahead of the time, and always at least the time at which this event began.
 *
 * @param afterTimer runs after each timer's callback, in the same turn.
 */
export function objectClock(afterTimer: () => void): Clock {
  let latestMs = 0;
  return {
    nowMs() {
      latestMs = Math.max(latestMs, performance.now());
      return latestMs;
    },
    wallMs: () => Date.now(),
    setTimer(delayMs, callback) {
      const timer = setTimeout(
        () => {
          callback();
          afterTimer();
        },
        Math.min(Math.ceil(delayMs), MAX_DELAY_MS),
      );
      return () => clearTimeout(timer);
    },
  };
}
