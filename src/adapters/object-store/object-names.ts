import { EngineError } from "../../core/errors/index.ts";

const NAME = /^[a-z0-9/._-]{1,200}$/;
/** S3, GCS and R2 take keys of up to 1,024 bytes. */
const MAX_PREFIX_LENGTH = 800;
const MAX_LOCATION_LENGTH = 1100;

/**
 * The prefix that all keys of a store begin with: "" or something that ends in one "/". Slashes around what was given
 * do not matter. Refuses (`invalidConfig`) what a store, or a URL on the way to it, could take for another key.
 */
export function keyPrefix(prefix: string): string {
  const trimmed = prefix.replace(/^\/+|\/+$/g, "");
  if (trimmed === "") return "";
  const strange = trimmed.split("/").some((part) => part === "" || part === "." || part === "..");
  if (strange || trimmed.length > MAX_PREFIX_LENGTH || !/^[A-Za-z0-9/_.=-]+$/.test(trimmed)) {
    throw new EngineError("invalidConfig", {
      detail: `${JSON.stringify(prefix)} is no prefix: letters, digits, / and -_.=, at most ${MAX_PREFIX_LENGTH}`,
    });
  }
  return `${trimmed}/`;
}

/**
 * The prefix of the neighbour at this location, see `ObjectStore.beside`; null if it is none. What it says comes from
 * outside, so it is compared and never interpreted.
 */
export function prefixBeside(
  own: { readonly location: string; readonly prefix: string },
  location: string,
): string | null {
  if (own.prefix === "" || location.length > MAX_LOCATION_LENGTH) return null;
  const parent = own.prefix.slice(0, own.prefix.lastIndexOf("/", own.prefix.length - 2) + 1);
  const shared = own.location.slice(0, -own.prefix.length) + parent;
  const last = location.slice(shared.length);
  if (!location.startsWith(shared) || !/^[A-Za-z0-9_.=-]+\/$/.test(last)) return null;
  return last === "./" || last === "../" ? null : parent + last;
}

/** The key of a name of the port; refuses others. */
export function keyOf(prefix: string, name: string): string {
  if (!NAME.test(name)) {
    throw new EngineError("invalidArgument", { detail: `${JSON.stringify(name)} is no object name` });
  }
  return prefix + name;
}

/** Refuses a body that is too large for an object. */
export function checkBody(body: Uint8Array, maxBytes: number): void {
  if (body.length > maxBytes) {
    throw new EngineError("invalidArgument", {
      detail: `${body.length} bytes are too many for one object: at most ${maxBytes}`,
    });
  }
}

/**
 * All chunks of a reply in one array. Fails with an ordinary error, after which a request can be repeated, when the
 * reply was cut off, and with `storageCorrupt` as soon as there is more than an object may have.
 *
 * @param size what the reply's header promised; null when it promised nothing.
 */
export async function readBody(
  chunks: AsyncIterable<Uint8Array>,
  size: number | null,
  maxBytes: number,
): Promise<Uint8Array> {
  const tooLarge = (): EngineError =>
    new EngineError("storageCorrupt", { detail: `an object has more than ${maxBytes} bytes` });
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    // Thrown in the loop, which lets go of the connection then.
    if (Math.max(length, size ?? 0) > maxBytes) throw tooLarge();
    parts.push(chunk);
  }
  if (size !== null && length !== size)
    throw new Error(`the reply broke off after ${length} of ${size} bytes`);
  const body = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}
