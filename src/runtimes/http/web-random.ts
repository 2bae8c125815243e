import type { Random } from "../../core/node/index.ts";

/**
 * For `next`, fetched many at a time: a fetch is a call into the system (1.8 µs, and 40 on a busy machine), and a
 * follower draws for every message of its leader's. Ids are fetched one by one, lest a copy of the process repeat them.
 */
const drawn = new Uint32Array(256);
let left = 0;

/** Randomness of the platform, by Web Crypto, which every runtime has. */
export const webRandom: Random = {
  next() {
    if (left === 0) {
      crypto.getRandomValues(drawn);
      left = drawn.length;
    }
    const high = drawn[--left]!;
    const low = drawn[--left]!;
    // As many bits as a number between 0 and 1 can tell apart, near enough.
    return (high * 2 ** 16 + (low >>> 16)) / 2 ** 48;
  },
  id() {
    for (;;) {
      const id = randomU64();
      if (id !== 0n) return id;
    }
  },
};

function randomU64(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}
