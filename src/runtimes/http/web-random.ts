import type { Random } from "../../core/node/index.ts";

const PRECISION_BITS = 48;

/** Randomness of the platform, by Web Crypto, which every runtime has. */
export const webRandom: Random = {
  next: () => Number(randomU64() >> BigInt(64 - PRECISION_BITS)) / 2 ** PRECISION_BITS,
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
