import type { Socket } from "node:net";

/** How a client begins that knows that it is spoken to over HTTP/2; no method of HTTP/1.1 begins like this. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
/** After so many bytes there is no doubt left. */
const TELLING_BYTES = 4;
/** Who connects has something to say. */
const PATIENCE_MS = 20_000;

/**
 * Finds out by its first bytes what a connection speaks, and hands it over with nothing read.
 *
 * @param told called before that, or when it has gone without a word.
 */
export function tellProtocols(
  socket: Socket,
  takers: { readonly http1: (socket: Socket) => void; readonly http2: (socket: Socket) => void },
  told: () => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const patience = setTimeout(() => socket.destroy(), PATIENCE_MS);
  const stop = (): void => {
    clearTimeout(patience);
    socket.off("readable", look);
    socket.off("error", stop);
    socket.off("close", stop);
    told();
  };
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, TELLING_BYTES);
    const isHttp2 = seen.compare(PREFACE, 0, compared, 0, compared) === 0;
    if (isHttp2 && compared < TELLING_BYTES) return;
    stop();
    socket.unshift(seen);
    if (isHttp2) takers.http2(socket);
    else takers.http1(socket);
  };
  socket.on("readable", look);
  socket.on("error", stop);
  socket.on("close", stop);
}
