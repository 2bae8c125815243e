import type { GrpcSettings } from "./settings.ts";

/** Pings that come too soon are let pass so often. */
const MAX_STRIKES = 2;
/** With no call under way a client has little to ask for. */
const IDLE_MIN_PING_INTERVAL_MS = 2 * 3_600_000;

/** What can be done about a connection. */
export interface KeptConnection {
  /** Bytes that have come. */
  received(): number;
  ping(): void;
  sendAway(why: string): void;
  hangUp(): void;
}

/**
 * The two halves of keep-alive on one connection, as Go's gRPC servers have them: clients that ping too often are sent
 * away (`too_many_pings`), and those from whom nothing comes are asked whether they live.
 */
export class KeepAlive {
  readonly #connection: KeptConnection;
  readonly #settings: GrpcSettings;
  #strikes = 0;
  #lastPingMs = -Infinity;
  #calls = 0;
  readonly #watching: NodeJS.Timeout | null;
  /** Runs out when the client does not answer. */
  #asked: NodeJS.Timeout | null = null;

  constructor(connection: KeptConnection, settings: GrpcSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#watching = settings.pingIntervalMs > 0 ? this.#watch(settings.pingIntervalMs) : null;
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

  /** The client asks. */
  pinged(): void {
    const nowMs = performance.now();
    const minimumMs = this.#calls === 0 ? IDLE_MIN_PING_INTERVAL_MS : this.#settings.minPingIntervalMs;
    if (nowMs - this.#lastPingMs < minimumMs) this.#strikes++;
    this.#lastPingMs = nowMs;
    if (this.#strikes > MAX_STRIKES) this.#connection.sendAway("too_many_pings");
  }

  /** The client lives. */
  pingAnswered(): void {
    if (this.#asked !== null) clearTimeout(this.#asked);
    this.#asked = null;
  }

  stop(): void {
    if (this.#watching !== null) clearInterval(this.#watching);
    this.pingAnswered();
  }

  /** Looks again and again whether something has come, and asks when nothing has. */
  #watch(intervalMs: number): NodeJS.Timeout {
    let before = 0;
    return setInterval(() => {
      const received = this.#connection.received();
      if (received === before && this.#asked === null) {
        this.#asked = setTimeout(() => this.#judge(received), this.#settings.pingTimeoutMs);
        this.#connection.ping();
      }
      before = received;
    }, intervalMs);
  }

  /** An answer may stand behind much else that the client sends: whatever has come will do. */
  #judge(before: number): void {
    this.#asked = null;
    if (this.#connection.received() === before) this.#connection.hangUp();
  }
}
