const BLOCK_BYTES = 64;
/** The length of the message in bits stands at the end of the last block. */
const LENGTH_AT: number = BLOCK_BYTES - 8;

/** Bytes of a digest. */
export const SHA256_BYTES = 32;

/**
 * SHA-256 (FIPS 180-4) over bytes that come piece by piece: Web Crypto wants them all at once, and what streams is too
 * large for that. Above 100 MB a second.
 */
export class Sha256 {
  readonly #state: Int32Array = INITIAL.slice();
  readonly #block: Uint8Array = new Uint8Array(BLOCK_BYTES);
  readonly #words: Int32Array = new Int32Array(64);
  #length = 0;
  #isDone = false;

  update(bytes: Uint8Array): this {
    if (this.#isDone) throw new TypeError("the digest has been taken");
    let at = 0;
    const filled = this.#length % BLOCK_BYTES;
    this.#length += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK_BYTES - filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), filled);
      if (filled + at < BLOCK_BYTES) return this;
      this.#compress(this.#block, 0);
    }
    for (; bytes.length - at >= BLOCK_BYTES; at += BLOCK_BYTES) this.#compress(bytes, at);
    this.#block.set(bytes.subarray(at));
    return this;
  }

  /** Call it once, at the end. */
  digest(): Uint8Array {
    const bits = BigInt(this.#length) * 8n;
    const filled = this.#length % BLOCK_BYTES;
    const padding = new Uint8Array((filled < LENGTH_AT ? BLOCK_BYTES : 2 * BLOCK_BYTES) - filled);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    this.#isDone = true;
    const digest = new Uint8Array(SHA256_BYTES);
    const view = new DataView(digest.buffer);
    for (let i = 0; i < 8; i++) view.setInt32(4 * i, this.#state[i]!);
    return digest;
  }

  /** The names are the standard's. Indexes are in bounds throughout, so what is read is there. */
  #compress(bytes: Uint8Array, from: number): void {
    const w = this.#words;
    for (let t = 0, at = from; t < 16; t++, at += 4) {
      w[t] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    }
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15]!;
      const y = w[t - 2]!;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[t] = (w[t - 16]! + s0 + w[t - 7]! + s1) | 0;
    }
    const state = this.#state;
    let a = state[0]!;
    let b = state[1]!;
    let c = state[2]!;
    let d = state[3]!;
    let e = state[4]!;
    let f = state[5]!;
    let g = state[6]!;
    let h = state[7]!;
    for (let t = 0; t < 64; t++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t]! + w[t]!) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}

/** The first 32 bits of the fractional parts of the square (cube) roots of the first 8 (64) primes. */
const INITIAL: Int32Array = fractionalRoots(8, 2);
const K: Int32Array = fractionalRoots(64, 3);

function fractionalRoots(count: number, degree: 2 | 3): Int32Array {
  const words = new Int32Array(count);
  let found = 0;
  for (let n = 2; found < count; n++) {
    if (!isPrime(n)) continue;
    words[found++] = Number(BigInt.asIntN(32, integerRoot(BigInt(n) << BigInt(32 * degree), degree)));
  }
  return words;
}

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

/** The largest integer whose power is not above `value`: a double has too few digits for it. */
function integerRoot(value: bigint, degree: 2 | 3): bigint {
  let root = 0n;
  for (let bit = 1n << 40n; bit > 0n; bit >>= 1n) {
    const candidate = root + bit;
    if (candidate ** BigInt(degree) <= value) root = candidate;
  }
  return root;
}
