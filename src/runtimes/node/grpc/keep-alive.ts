import { constants, type ServerHttp2Session } from "node:http2";
import type { GrpcSettings } from "./settings.ts";

/** Pings that come too soon are let pass so often. */
const MAX_STRIKES = 2;
/** With no call under way a client has little to ask for. */
const IDLE_MIN_PING_INTERVAL_MS = 2 * 3_600_000;

/**
 * The two halves of keep-alive on one connection, as Go's gRPC servers have them: clients that ping too often are sent
 * away (`too_many_pings`), and those from whom nothing comes are asked whether they live.
 */
export class KeepAlive {
  readonly #session: ServerHttp2Session;
  readonly #minPingIntervalMs: number;
  #strikes = 0;
  #lastPingMs = -Infinity;
  #calls = 0;
  /** Runs out when the client does not answer. */
  #asked: NodeJS.Timeout | null = null;

  constructor(session: ServerHttp2Session, settings: GrpcSettings) {
    this.#session = session;
    this.#minPingIntervalMs = settings.minPingIntervalMs;
    session.on("ping", () => this.#pinged());
    if (settings.pingIntervalMs > 0) this.#watch(settings);
  }

  callBegun(): void {
    this.#calls++;
  }

  callEnded(): void {
    this.#calls--;
  }

  /** Whoever is being answered has reason to see to the connection. */
  answered(): void {
    this.#strikes = 0;
    this.#lastPingMs = -Infinity;
  }

  #pinged(): void {
    const nowMs = performance.now();
    const minimumMs = this.#calls === 0 ? IDLE_MIN_PING_INTERVAL_MS : this.#minPingIntervalMs;
    if (nowMs - this.#lastPingMs < minimumMs) this.#strikes++;
    this.#lastPingMs = nowMs;
    if (this.#strikes <= MAX_STRIKES) return;
    const session = this.#session;
    if (session.destroyed) return;
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from("too_many_pings"));
    // Not before that is out.
    setImmediate(() => session.destroy());
  }

  /** Looks again and again whether something has come, and asks when nothing has. */
  #watch({ pingIntervalMs, pingTimeoutMs }: GrpcSettings): void {
    const session = this.#session;
    let received = 0;
    const timer = setInterval(() => {
      if (session.destroyed) return;
      const { bytesRead } = session.socket;
      if (bytesRead === received) this.#ask(pingTimeoutMs);
      received = bytesRead;
    }, pingIntervalMs);
    session.once("close", () => clearInterval(timer));
  }

  #ask(timeoutMs: number): void {
    if (this.#asked !== null) return;
    const session = this.#session;
    this.#asked = setTimeout(() => session.destroy(), timeoutMs);
    const answered = (): void => {
      if (this.#asked !== null) clearTimeout(this.#asked);
      this.#asked = null;
    };
    session.ping(answered);
    session.once("close", answered);
  }
}
