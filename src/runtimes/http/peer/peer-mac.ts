import { MAC_BYTES } from "./envelope.ts";

/**
 * HMAC-SHA-256 under one derived key. Synchronous or not as the platform has it: Web Crypto always takes a turn
 * of the event loop (about 50 µs on Node), Node's own HMAC does not (about 3 µs).
 */
export interface PeerMac {
  sign(content: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** In constant time. */
  verify(content: Uint8Array, mac: Uint8Array): boolean | Promise<boolean>;
}

/** What a key is for. Part of its derivation, so that a key for one purpose, cluster or group is of no use in another. */
export type PeerKeyPurpose =
  | { readonly type: "batch"; readonly clusterId: bigint; readonly groupId: string }
  /** Asking for the members: the asker does not know the cluster id yet. */
  | { readonly type: "members"; readonly groupId: string };

/** HKDF-SHA-256 (RFC 5869) parameters of a purpose; the shared secret is the input key, empty when there is none. */
export function hkdfParameters(purpose: PeerKeyPurpose): {
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
} {
  const cluster = purpose.type === "batch" ? purpose.clusterId.toString(16).padStart(16, "0") : "any";
  return {
    salt: ENCODER.encode("d-engine peer v1"),
    // The group id comes last: whatever it contains, no two purposes give the same bytes.
    info: ENCODER.encode(`${purpose.type}\n${cluster}\n${purpose.groupId}`),
  };
}

/** The MAC of one purpose by Web Crypto, which every runtime has. */
export async function webPeerMac(secret: Uint8Array, purpose: PeerKeyPurpose): Promise<PeerMac> {
  const { salt, info } = hkdfParameters(purpose);
  const input = await crypto.subtle.importKey("raw", owned(secret), "HKDF", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: owned(salt), info: owned(info) },
    input,
    { name: "HMAC", hash: "SHA-256", length: MAC_BYTES * 8 },
    false,
    ["sign", "verify"],
  );
  return {
    sign: async (content) => new Uint8Array(await crypto.subtle.sign("HMAC", key, owned(content))),
    verify: (content, mac) => crypto.subtle.verify("HMAC", key, owned(mac), owned(content)),
  };
}

/** Fills in the MAC at the end of an envelope, at once if the MAC is made at once. */
export function seal(envelope: Uint8Array, mac: PeerMac): Uint8Array | Promise<Uint8Array> {
  const end = envelope.length - MAC_BYTES;
  const fill = (code: Uint8Array): Uint8Array => {
    envelope.set(code, end);
    return envelope;
  };
  const code = mac.sign(envelope.subarray(0, end));
  return code instanceof Promise ? code.then(fill) : fill(code);
}

/** Whether the MAC at the end of an envelope is right. */
export function isSealed(envelope: Uint8Array, mac: PeerMac): boolean | Promise<boolean> {
  const end = envelope.length - MAC_BYTES;
  return end >= 0 && mac.verify(envelope.subarray(0, end), envelope.subarray(end));
}

// Web Crypto's types ask for memory that is not shared; nothing here is.
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

const ENCODER = new TextEncoder();
