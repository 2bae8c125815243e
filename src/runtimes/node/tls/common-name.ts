import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { TlsConfig } from "../config/server-config.ts";

/** Read once: a connection that is kept carries thousands of requests. */
const names = new WeakMap<Socket, string | null>();

/** The common name of the other side's certificate once it has been verified; null if there is none, or several. */
export function commonName(socket: Socket): string | null {
  const known = names.get(socket);
  if (known !== undefined) return known;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const said: unknown = socket.getPeerCertificate().subject?.CN;
  const name = typeof said === "string" && said !== "" ? said : null;
  names.set(socket, name);
  return name;
}

/** Who a client is by its certificate, where that says so. */
export function certifiedUser(socket: Socket, { certNamesUser }: TlsConfig): string | null {
  return certNamesUser ? commonName(socket) : null;
}
