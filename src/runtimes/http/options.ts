import type { Engine, Logger } from "../../core/node/index.ts";
import type { Base64 } from "./base64.ts";
import { MAX_BATCH_BYTES, type PeerHandler } from "./peer/index.ts";

/** The name of a user, or null. */
export type CertifiedUser = (request: Request) => string | null;

/** What the app serves, and to whom. */
export interface AppOptions {
  readonly engine: Engine;
  readonly auth: ClientAuth;
  /** d-engine's own version, for `GET /version`. */
  readonly version: string;
  /** Without it there is no `GET /metrics`. */
  readonly metrics?: () => Promise<Metrics>;
  /** Takes what other members POST to `/raft`. Without it there is no such route. */
  readonly peer?: PeerHandler;
  readonly limits?: Partial<AppLimits>;
  /** Who sent a request, as the runtime knows by a certificate: that user's are those that come without a token. */
  readonly certifiedUser?: CertifiedUser;
  /** Absent: browsers on other origins are told nothing, and without a client token they are turned away. */
  readonly cors?: CorsOptions;
  /** A faster base64 than the portable one, where the runtime has it. */
  readonly base64?: Base64;
  readonly logger: Logger;
}

/** Who may call the client routes. */
export interface ClientAuth {
  /** What clients must present: visible ASCII, no spaces. Sent as `Authorization: Bearer <token>`. */
  readonly clientToken?: string;
  /**
   * Without a token, serve everyone who can connect: right on loopback and nowhere else unless someone said so.
   * Otherwise an app without a token refuses every client request.
   */
  readonly allowInsecure: boolean;
  /**
   * Without a token: host names under which this may be called, besides IP addresses and `localhost`. A web page
   * can have its own name point to the reader's machine, and then calls with that. Absent: any name will do.
   */
  readonly hosts?: readonly string[];
  /** Tells the reader of a refusal how this runtime takes a token. */
  readonly howToSetToken?: string;
}

/** What `GET /metrics` answers. */
export interface Metrics {
  readonly contentType: string;
  readonly body: string;
}

/**
 * What a request may cost. A body that is larger is refused as `requestTooLarge`, before it has been read to its end.
 */
export interface AppLimits {
  /**
   * Largest body of a client request, in bytes. The engine has its own limit; since JSON carries keys and values as
   * base64, a third larger, this should be about one and a half times that.
   */
  readonly maxRequestBytes: number;
  /** Largest body on the peer route, in bytes. */
  readonly maxPeerBytes: number;
  /** How long a health check waits for a linearizable read. */
  readonly healthTimeoutMs: number;
}

/** Which web pages may call. */
export interface CorsOptions {
  /** Origins that may call (`https://console.example`), or `*` for all. */
  readonly origins: readonly string[];
}

/** The limits where none are given. */
export const APP_LIMITS: AppLimits = {
  // Room for a request of the engine's 1.5 MiB once base64 has made it a third larger, and some names.
  maxRequestBytes: 2.25 * (1 << 20),
  maxPeerBytes: MAX_BATCH_BYTES,
  healthTimeoutMs: 2000,
};
