/** 64 bits against accidents, not against forgers: two lanes of MurmurHash3's 32-bit loop with different constants. */
export class Hash64 {
  #low = 0x243f6a88;
  #high = 0x85a308d3;

  /** Past the end reads as 0: what is added should say its own length. */
  add(bytes: Uint8Array): this {
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < bytes.length; i += 4) {
      const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
      low = mix(low, word, 0xcc9e2d51, 0x1b873593);
      high = mix(high, word, 0x239b961b, 0xab0e9789);
    }
    this.#low = low;
    this.#high = high;
    return this;
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return hex(finish(this.#high ^ this.#low)) + hex(finish(this.#low + this.#high));
  }
}

/** A. Appleby's MurmurHash3, public domain. */
function mix(lane: number, word: number, c1: number, c2: number): number {
  const k = Math.imul(word, c1);
  const scrambled = lane ^ Math.imul((k << 15) | (k >>> 17), c2);
  return (Math.imul((scrambled << 13) | (scrambled >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(lane: number): number {
  let h = lane ^ (lane >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
