interface Promised {
  readonly ttlMs: number;
  /** When the last grant or renewal was sent that was answered: from then on it lives for its whole time. */
  renewedMs: number;
  /** When somebody was first told that it is over. */
  goneMs: number;
  /** Its key is there as long as it lives. */
  attached: boolean;
}

/** What clients were told of leases, by the one clock of the world. */
export class LeaseLedger {
  readonly ttlMs: number;
  readonly #leases: Map<bigint, Promised> = new Map();
  #last = 0n;
  /** The first promise that was broken. */
  problem: string | null = null;

  constructor(ttlMs: number) {
    this.ttlMs = ttlMs;
  }

  /** Those that nobody has seen end. */
  get living(): readonly bigint[] {
    return [...this.#leases].flatMap(([id, { goneMs }]) => (goneMs === Infinity ? [id] : []));
  }

  get all(): readonly bigint[] {
    return [...this.#leases.keys()];
  }

  newId(): bigint {
    return ++this.#last;
  }

  granted(id: bigint, sentMs: number): void {
    this.#leases.set(id, { ttlMs: this.ttlMs, renewedMs: sentMs, goneMs: Infinity, attached: false });
  }

  attached(id: bigint): void {
    this.#leases.get(id)!.attached = true;
  }

  hasKey(id: bigint): boolean {
    return this.#leases.get(id)!.attached;
  }

  renewed(id: bigint, sentMs: number): void {
    const lease = this.#leases.get(id)!;
    lease.renewedMs = Math.max(lease.renewedMs, sentMs);
    this.#check(id, lease);
  }

  /** It was there, by an answer to a question of `sentMs`. */
  alive(id: bigint, sentMs: number): void {
    const { goneMs } = this.#leases.get(id)!;
    if (sentMs <= goneMs) return;
    this.problem ??= `lease ${id} was over at ${goneMs}, and is there for a question of ${sentMs}`;
  }

  gone(id: bigint, atMs: number): void {
    const lease = this.#leases.get(id)!;
    lease.goneMs = Math.min(lease.goneMs, atMs);
    this.#check(id, lease);
  }

  /**
   * Whichever of the two came first: a lease that is over is not renewed, and one that was renewed is not over before
   * its time.
   */
  #check(id: bigint, { renewedMs, ttlMs, goneMs }: Promised): void {
    if (goneMs >= renewedMs + ttlMs) return;
    this.problem ??= `lease ${id} of ${ttlMs} ms was over at ${goneMs}, and renewed by a request of ${renewedMs}`;
  }
}

/** The key that goes with a lease. */
export function keyOf(id: bigint): string {
  return `lease/${id}`;
}
