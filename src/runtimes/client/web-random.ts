import type { Random } from "../../core/node/index.ts";

const PRECISION_BITS = 48;

/** Web Crypto's randomness. */
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
