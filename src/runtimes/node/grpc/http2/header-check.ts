import type { HeaderList } from "./header-decoder.ts";

const PSEUDO = new Set([":method", ":scheme", ":path", ":authority"]);
/** What HTTP/1.1 says of a connection has no place here. */
const OF_CONNECTIONS = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);
/** A token in small letters, and the colon of those that are no header of HTTP. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// What ends a line elsewhere shall not get there by us.
// oxlint-disable-next-line no-control-regex
const NOT_IN_VALUES = /[\0\r\n]/;

/** Whether a request's headers are well formed (RFC 9113, section 8.2 and 8.3). An authority may be anything. */
export function isRequest(headers: HeaderList): boolean {
  const seen = new Set<string>();
  let regular = false;
  let length: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    if (!isField(name, value)) return false;
    if (!name.startsWith(":")) {
      regular = true;
      if (name !== "content-length") continue;
      if (length !== null && length !== value) return false;
      length = value;
      continue;
    }
    if (regular || seen.has(name) || !PSEUDO.has(name) || value === "") return false;
    seen.add(name);
  }
  return seen.has(":method") && seen.has(":scheme") && seen.has(":path");
}

/** Whether what follows a request is. */
export function areTrailers(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name.startsWith(":") || !isField(name, headers[i + 1]!)) return false;
  }
  return true;
}

function isField(name: string, value: string): boolean {
  if (!NAME.test(name) || NOT_IN_VALUES.test(value) || OF_CONNECTIONS.has(name)) return false;
  // Others would cut it off.
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))) return false;
  if (name === "te") return value === "trailers";
  return name !== "content-length" || /^[0-9]{1,15}$/.test(value);
}

/** A space or a tab; no letter at all is neither. */
function isBlank(letter: number): boolean {
  return letter === 0x20 || letter === 0x09;
}
