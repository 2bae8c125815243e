import { createHash } from "node:crypto";

/**
 * Web Crypto's digests at once instead of in a thread: whatever the world does not decide is to be done when it chooses
 * what happens next, or a seed would not be a schedule. Gives back what was there.
 */
export function promptDigests(): () => void {
  const { subtle } = globalThis.crypto;
  const digest = subtle.digest.bind(subtle);
  subtle.digest = async (algorithm, data) => {
    const name = typeof algorithm === "string" ? algorithm : algorithm.name;
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    const found = createHash(name.replace("-", "")).update(bytes).digest();
    return found.buffer.slice(found.byteOffset, found.byteOffset + found.length) as ArrayBuffer;
  };
  return () => {
    subtle.digest = digest;
  };
}
