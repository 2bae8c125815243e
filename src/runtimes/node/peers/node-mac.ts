import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from "node:crypto";
import { hkdfParameters, MAC_BYTES, type PeerKeyPurpose, type PeerMac } from "../../http/peer/index.ts";

/**
 * The same MAC as `webPeerMac`, by Node's synchronous crypto: a batch is signed or checked in about 3 µs, where
 * Web Crypto's detour over a thread takes 50, and a commit waits for four of them.
 */
export function nodePeerMac(secret: Uint8Array, purpose: PeerKeyPurpose): PeerMac {
  const { salt, info } = hkdfParameters(purpose);
  // As a key object: prepared anew for each MAC, the bare bytes cost five times as much as the MAC itself.
  const key = createSecretKey(new Uint8Array(hkdfSync("sha256", secret, salt, info, MAC_BYTES)));
  const sign = (content: Uint8Array): Uint8Array => createHmac("sha256", key).update(content).digest();
  return {
    sign,
    verify: (content, mac) => mac.length === MAC_BYTES && timingSafeEqual(sign(content), mac),
  };
}
