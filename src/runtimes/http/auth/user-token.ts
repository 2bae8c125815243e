import { ByteReader, ByteWriter } from "../../../core/bytes/index.ts";
import { EngineError } from "../../../core/errors/index.ts";
import { portableBase64 } from "../base64.ts";
import { urlSafe } from "./password-hash.ts";

/*
 * What somebody is given who has logged in, to be shown with every request:
 *
 *   de1.<claims>.<HMAC-SHA-256 of "de1.<claims>">      both in base64url
 *   claims  name, since uint, expiresAtMs uint
 *
 * No member remembers it: each checks it with the key that all have in their state, so that it is good on every member,
 * through changes of leaders and for objects that lose their memory in their sleep. It ends when it expires, when the
 * user's password is changed or the user deleted (`since` is another then), and when authentication is switched off.
 */

/** What a token says. */
export interface Claims {
  readonly name: string;
  /** Auth revision at which the password was set that was given for it. */
  readonly since: number;
  /** On the wall clock of the member that gave it. */
  readonly expiresAtMs: number;
}

export const TOKEN_LIFETIME_MS = 3_600_000;
/** By how much members' wall clocks may differ. */
export const TOKEN_TOLERANCE_MS = 300_000;

const PREFIX = "de1.";
const MAX_TOKEN_LENGTH = 1024;
const MAX_NAME_BYTES = 256;

/** Whether it looks like one of these, rather than like something that is meant for somebody else. */
export function isUserToken(text: string): boolean {
  return text.startsWith(PREFIX) && text.length <= MAX_TOKEN_LENGTH;
}

export async function signToken({ name, since, expiresAtMs }: Claims, key: Uint8Array): Promise<string> {
  const claims = new ByteWriter(64).string(name).uint(since).uint(expiresAtMs).finish();
  const signed = PREFIX + urlSafe(claims);
  const mac = await crypto.subtle.sign("HMAC", await hmacKey(key), ENCODER.encode(signed));
  return `${signed}.${urlSafe(new Uint8Array(mac))}`;
}

/** What a token claims, which anybody can; null when it is none, or has expired. */
export function claimsOf(token: string, nowMs: number): Claims | null {
  if (!isUserToken(token)) return null;
  const bytes = portableBase64.decode(token.slice(PREFIX.length, token.lastIndexOf(".")));
  const claims = bytes === null ? null : readClaims(bytes);
  return claims !== null && isInTime(claims, nowMs) ? claims : null;
}

/** Whether it has not expired. One that was given by a clock far ahead of this one would be good for too long. */
export function isInTime({ expiresAtMs }: Claims, nowMs: number): boolean {
  return (
    nowMs <= expiresAtMs + TOKEN_TOLERANCE_MS && expiresAtMs <= nowMs + TOKEN_LIFETIME_MS + TOKEN_TOLERANCE_MS
  );
}

/** Whether it was signed with this key. */
export async function isSigned(token: string, key: Uint8Array): Promise<boolean> {
  const at = token.lastIndexOf(".");
  const mac = portableBase64.decode(token.slice(at + 1));
  if (mac === null) return false;
  const signed = ENCODER.encode(token.slice(0, at));
  return await crypto.subtle.verify("HMAC", await hmacKey(key), mac as Uint8Array<ArrayBuffer>, signed);
}

function readClaims(bytes: Uint8Array): Claims | null {
  try {
    const reader = new ByteReader(bytes, "token");
    const claims = { name: reader.string(MAX_NAME_BYTES), since: reader.uint(), expiresAtMs: reader.uint() };
    reader.end();
    return claims;
  } catch (error) {
    if (error instanceof EngineError) return null;
    throw error;
  }
}

async function hmacKey(key: Uint8Array): Promise<CryptoKey> {
  const usages: KeyUsage[] = ["sign", "verify"];
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return await crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, algorithm, false, usages);
}

const ENCODER = new TextEncoder();
