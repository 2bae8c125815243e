import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { checkServerIdentity } from "node:tls";
import { PEER_CONTENT_TYPE, PEER_PATH, type Poster, type PosterReply } from "../../http/peer/index.ts";

/** Certificates for connections to other members' https URLs, in PEM. */
export interface PeerClientTls {
  /** Instead of the well-known authorities. */
  readonly ca?: Uint8Array;
  /** This node's own certificate and key, for members that ask for one. */
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  /** Default: TLS 1.2. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** What the other's certificate must have for a common name, besides its host's name. */
  readonly allowedCn?: string | null;
}

export interface PosterOptions {
  readonly tls?: PeerClientTls;
  /** Gives up when nothing at all moves on the connection for this long. */
  readonly idleTimeoutMs: number;
  /** Gives up after this long whatever happens. */
  readonly totalTimeoutMs: number;
  /** Longest reply that is read. */
  readonly maxReplyBytes: number;
}

interface Target {
  readonly hostname: string;
  readonly port: string;
  readonly path: string;
}

const MAX_TARGETS = 256;

const POOL = { keepAlive: true, maxFreeSockets: 4, scheduling: "lifo" } as const;

/**
 * POSTs to the peer route over connections that are kept. Never repeats a request: when a kept connection turns out
 * to be closed, the request may have arrived all the same, and a forwarded proposal must not be taken twice.
 */
export class PeerPoster implements Poster {
  readonly #options: PosterOptions;
  readonly #targets = new Map<string, Target>();
  readonly #http: HttpAgent;
  #https: HttpsAgent;
  /** Their certificates were replaced; what was asked over them is still to be answered. */
  readonly #retired = new Set<HttpsAgent>();

  constructor(options: PosterOptions) {
    this.#options = options;
    this.#http = new HttpAgent(POOL);
    this.#https = httpsAgent(options.tls ?? {});
  }

  /** New connections show and trust something else. Those that serve a request may finish it. */
  setTls(tls: PeerClientTls): void {
    const old = this.#https;
    this.#https = httpsAgent(tls);
    this.#retired.add(old);
    // By then none of its requests is under way.
    const retire = (): void => {
      old.destroy();
      this.#retired.delete(old);
    };
    setTimeout(retire, this.#options.totalTimeoutMs).unref();
  }

  /** Resolves with whatever status came back; rejects when no answer did. */
  post(peerUrl: string, body: Uint8Array): Promise<PosterReply> {
    const secure = peerUrl.startsWith("https:");
    const options = {
      ...this.#target(peerUrl),
      method: "POST",
      agent: secure ? this.#https : this.#http,
      headers: { "content-type": PEER_CONTENT_TYPE, "content-length": body.length },
    };
    return new Promise((resolve, reject) => {
      const request = secure ? httpsRequest(options) : httpRequest(options);
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${this.#options.totalTimeoutMs} ms`)),
        this.#options.totalTimeoutMs,
      );
      request.setTimeout(this.#options.idleTimeoutMs, () => {
        request.destroy(new Error(`nothing heard for ${this.#options.idleTimeoutMs} ms`));
      });
      request.on("close", () => clearTimeout(timer));
      request.on("error", reject);
      request.on("response", (response) => {
        readReply(response, this.#options.maxReplyBytes).then(resolve, (error: Error) => {
          request.destroy();
          reject(error);
        });
      });
      request.end(body);
    });
  }

  /** Changes a connection over to another protocol; null when the other side answers anything but that it will. */
  upgrade(peerUrl: string, protocol: string): Promise<Socket | null> {
    const secure = peerUrl.startsWith("https:");
    const options = {
      ...this.#target(peerUrl),
      agent: secure ? this.#https : this.#http,
      headers: { connection: "Upgrade", upgrade: protocol },
      timeout: this.#options.idleTimeoutMs,
    };
    return new Promise((resolve, reject) => {
      const request = secure ? httpsRequest(options) : httpRequest(options);
      request.on("upgrade", (_response, socket) => resolve(socket as Socket));
      request.on("response", (response) => {
        response.resume();
        resolve(null);
      });
      request.on("timeout", () => request.destroy(new Error("no answer")));
      request.on("error", reject);
      request.end();
    });
  }

  /** Taken apart once: a peer's URL is the same for thousands of requests a second. */
  #target(peerUrl: string): Target {
    const known = this.#targets.get(peerUrl);
    if (known !== undefined) return known;
    const { hostname, port } = new URL(peerUrl);
    // A URL writes an IPv6 address in brackets, a socket wants it without.
    const target = { hostname: hostname.replace(/^\[(.*)\]$/, "$1"), port, path: PEER_PATH };
    if (this.#targets.size >= MAX_TARGETS) this.#targets.clear();
    this.#targets.set(peerUrl, target);
    return target;
  }

  /** Drops all connections, and with them the requests under way. */
  close(): void {
    this.#http.destroy();
    for (const agent of [this.#https, ...this.#retired]) agent.destroy();
  }
}

function httpsAgent({ ca, cert, key, minVersion, allowedCn = null }: PeerClientTls): HttpsAgent {
  return new HttpsAgent({
    ...POOL,
    minVersion: minVersion ?? "TLSv1.2",
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    ...(allowedCn === null ? {} : { checkServerIdentity: namedAs(allowedCn) }),
  });
}

function namedAs(allowedCn: string): typeof checkServerIdentity {
  return (host, certificate) => {
    const problem = checkServerIdentity(host, certificate);
    const { CN } = certificate.subject;
    if (problem !== undefined || CN === allowedCn) return problem;
    return new Error(
      `the certificate's common name is ${JSON.stringify(CN)}, not ${JSON.stringify(allowedCn)}`,
    );
  };
}

function readReply(response: IncomingMessage, maxBytes: number): Promise<PosterReply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) reject(new Error(`the answer is longer than ${maxBytes} bytes`));
      else chunks.push(chunk);
    });
    response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    response.on("error", reject);
    response.on("aborted", () => reject(new Error("the connection broke off within the answer")));
  });
}
