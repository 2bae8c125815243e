import { EngineError } from "../../../core/errors/index.ts";
import { portableBase64 } from "../base64.ts";
import { Places } from "./places.ts";
import { sameBytes } from "./same-bytes.ts";

/*
 * Passwords are kept as PBKDF2-HMAC-SHA-256 by Web Crypto, which every runtime has. Workers refuse more than 100,000
 * iterations in one call, and every member must be able to check what any other has made: so more than that is done in
 * rounds, each on what the one before gave. Between rounds everybody else has a turn. A hash says by itself how it was
 * made:
 *
 *   $pbkdf2-sha256$i=<iterations of a round>,r=<rounds>$<salt>$<hash>     salt and hash in base64url
 */

/** 600,000 iterations in all: what OWASP recommends for this function. */
const ITERATIONS = 100_000;
const ROUNDS = 6;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What is more than this is somebody's attempt to keep a member busy. */
const MAX_ITERATIONS = 100_000;
const MAX_ROUNDS = 100;
const MAX_PASSWORD_BYTES = 1024;

/**
 * In this process, since each costs a fifth of a second: for whoever wants to log in, and apart from them for root, who
 * must be able to change a password while somebody guesses at it.
 */
const LOGINS = new Places(2, 64);
const CHANGES = new Places(1, 64);

interface Recipe {
  readonly iterations: number;
  readonly rounds: number;
  readonly salt: Uint8Array;
}

/** Makes the hash of a password. @throws EngineError `tooManyRequests`, `invalidArgument` for one that is too long. */
export async function hashPassword(password: string): Promise<string> {
  if (encoded(password).length > MAX_PASSWORD_BYTES) {
    throw new EngineError("invalidArgument", {
      detail: `the password has more than ${MAX_PASSWORD_BYTES} bytes`,
    });
  }
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const hash = await CHANGES.hold(() => derive(password, { iterations: ITERATIONS, rounds: ROUNDS, salt }));
  return `$pbkdf2-sha256$i=${ITERATIONS},r=${ROUNDS}$${urlSafe(salt)}$${urlSafe(hash)}`;
}

/**
 * Whether a password is the one that a hash was made of. Takes as long for none (null: there is no such user, or they
 * have no password) as for one of ours.
 *
 * @throws EngineError `tooManyRequests`.
 */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const known = hash === null ? null : parse(hash);
  const recipe = known ?? { iterations: ITERATIONS, rounds: ROUNDS, salt: new Uint8Array(SALT_BYTES) };
  const fits = encoded(password).length <= MAX_PASSWORD_BYTES;
  const derived = await LOGINS.hold(() => derive(fits ? password : "", recipe));
  return known !== null && fits && sameBytes(derived, known.hash);
}

function parse(text: string): (Recipe & { readonly hash: Uint8Array }) | null {
  const [, i = "", r = "", saltText = "", hashText = ""] =
    /^\$pbkdf2-sha256\$i=([0-9]{1,6}),r=([0-9]{1,3})\$([\w-]{1,64})\$([\w-]{1,64})$/.exec(text) ?? [];
  const [iterations, rounds] = [Number(i), Number(r)];
  const [salt, hash] = [portableBase64.decode(saltText), portableBase64.decode(hashText)];
  if (iterations < 1 || iterations > MAX_ITERATIONS || rounds < 1 || rounds > MAX_ROUNDS) return null;
  if (salt === null || salt.length === 0 || hash?.length !== HASH_BYTES) return null;
  return { iterations, rounds, salt, hash };
}

async function derive(password: string, recipe: Recipe): Promise<Uint8Array> {
  // Some platforms refuse an empty key; nobody's password is empty.
  let bytes = password === "" ? new Uint8Array(1) : encoded(password);
  for (let round = 0; round < recipe.rounds; round++) bytes = await deriveRound(bytes, recipe);
  return bytes;
}

async function deriveRound(
  bytes: Uint8Array<ArrayBuffer>,
  { iterations, salt }: Recipe,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey("raw", bytes, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt: salt as Uint8Array<ArrayBuffer>, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, HASH_BYTES * 8));
}

function encoded(password: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(password);
}

export function urlSafe(bytes: Uint8Array): string {
  return portableBase64.encode(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
