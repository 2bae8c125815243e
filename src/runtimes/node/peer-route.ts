import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { PEER_PATH, type PeerHandler } from "../http/peer/index.ts";

/**
 * The peer route without the app around it. Members post thousands of small batches a second, and the app is quick
 * only with Request and Response classes that replace the process's global ones, which an embedded engine must not
 * do to its host.
 *
 * @param otherwise takes every other request; absent on listeners that serve members alone.
 */
export function peerListener(
  receive: PeerHandler,
  maxBodyBytes: number,
  otherwise: RequestListener = notFound,
): RequestListener {
  return (request, response) => {
    if (request.url !== PEER_PATH || request.method !== "POST") return otherwise(request, response);
    readBody(request, maxBodyBytes).then(
      async (body) => {
        if (body === null) return reply(response, 413, ENCODER.encode("the body is too large"));
        // As plain bytes: a Buffer's `slice` means something else.
        const bytes = new Uint8Array(body.buffer, body.byteOffset, body.length);
        const { status, body: answer } = await receive(bytes);
        return reply(response, status, answer);
      },
      // The sender went away; nobody is left to be answered.
      () => response.destroy(),
    );
  };
}

/** Null when it is larger than allowed. */
function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        request.removeAllListeners("data");
        resolve(null);
      } else {
        chunks.push(chunk);
      }
    });
    request.on("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    request.on("error", reject);
    request.on("aborted", () => reject(new Error("the connection broke off")));
  });
}

function reply(response: ServerResponse, status: number, body: Uint8Array | null): void {
  if (body === null) {
    response.writeHead(status).end();
    return;
  }
  // After a body that was not read to its end the connection is of no more use.
  const headers = status === 413 ? { connection: "close" } : {};
  response.writeHead(status, { ...headers, "content-length": body.length }).end(body);
}

const notFound: RequestListener = (_request, response) => {
  response.writeHead(404, { "content-type": "text/plain" });
  response.end(`this address is for other members; clients are served on the client URLs\n`);
};

const ENCODER = new TextEncoder();
