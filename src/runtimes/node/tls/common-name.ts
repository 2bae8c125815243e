import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** The common name of the other side's certificate once it has been verified; null if there is none, or several. */
export function commonName(socket: Socket): string | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" && name !== "" ? name : null;
}
