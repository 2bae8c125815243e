import { EngineError, GrpcCode } from "../errors/index.ts";
import type { ExpiredLease, Lease } from "../kv/index.ts";
import type { Term } from "../raft/index.ts";
import { Alarm } from "./alarm.ts";
import { DeadlineHeap } from "./deadline-heap.ts";
import type { Clock } from "./ports.ts";

/** Leases that one log entry ends at most. */
const MAX_EXPIRED_AT_ONCE = 1000;
/** When the log took no expiry, it is tried again after this long. */
const RETRY_MS = 500;
const MAX_SLEEP_MS = 86_400_000;
/** Dead entries of the heap that are not worth sweeping out. */
const TOLERATED_DEAD = 1024;

/** While a group rests, how much later than its leader the others wake, which would do it for nothing. */
const ROUSE_GRACE_MS = 10_000;
/** How far apart the wall clocks may be on which a node was when it saved its leases and when it goes on. */
const WALL_CLOCK_BOUND_MS = 1000;
/** Leases that can be saved. */
const MAX_SAVED = 50_000;

/** What the leader of a term knew of its leases when it came to rest. */
export interface SavedLeases {
  readonly term: Term;
  readonly leases: readonly SavedLease[];
}

export interface SavedLease extends ExpiredLease {
  /** On the wall clock. */
  readonly endsAtMs: number;
}

/** What the lessor asks of the node around it. */
export interface LessorHost {
  /** The term in which this node leads and has applied an entry; null while it does not. */
  readonly leadingTerm: () => Term | null;
  /** The term of the last entry before those of that term; 0: not known. */
  readonly priorTerm: () => Term;
  readonly leases: () => Iterable<Lease>;
  readonly lease: (id: bigint) => Lease | undefined;
  /**
   * Makes a group that sleeps look whether its leader is there; null where groups do not sleep. A leader that dies in
   * its sleep would otherwise never be replaced, and no lease end.
   */
  readonly rouse: (() => void) | null;
  /** Has it committed that these leases ended. Resolves when it has been applied; fails as a proposal does. */
  readonly expire: (term: Term, leases: readonly ExpiredLease[]) => Promise<unknown>;
}

/** When a lease ends, unless it is renewed. */
interface Held {
  readonly lease: Lease;
  deadlineMs: number;
  /** How much later that is than it would be if wall clocks could be trusted. */
  graceMs: number;
  /** Its end has been proposed: whatever comes of that, it is not renewed any more in this term. */
  ending: boolean;
}

interface Due {
  readonly atMs: number;
  readonly held: Held;
}

/** What the leader knows of a lease. */
export type LeaseState =
  | { readonly type: "alive"; readonly lease: Lease; readonly remainingMs: number }
  /** It is about to go, or this node to lose its lead: ask again a little later. */
  | { readonly type: "ending" }
  | { readonly type: "gone" };

/**
 * Decides, on the leader, when leases end; etcd's primary lessor. Deadlines are on its monotonic clock and in its
 * memory alone: renewals do not go through the log. A new leader knows of none, and gives every lease its whole time
 * anew. DESIGN.md says why no lease ends early.
 */
export class Lessor {
  readonly #clock: Clock;
  readonly #slack: number;
  readonly #host: LessorHost;
  readonly #alarm: Alarm;
  /** When this node, which does not lead, is to rouse the group. */
  #rouseAtMs: number | null = null;
  /** Whose deadlines these are. Null: this node does not lead. Undefined: it has not looked yet. */
  #term: Term | null | undefined;
  readonly #held: Map<bigint, Held> = new Map();
  /** One entry for each held lease at or before its deadline, and dead ones. */
  readonly #due: DeadlineHeap<Due> = new DeadlineHeap();
  #stopped = false;
  #resting = false;
  #saved: SavedLeases | null;
  /** Counts what makes an earlier `save` wrong. */
  version = 0;

  /**
   * @param driftRatio by how much this clock may run faster than a client's, as a fraction.
   * @param saved of an earlier life of this node, which has renewed no lease since.
   */
  constructor(clock: Clock, driftRatio: number, host: LessorHost, saved: SavedLeases | null = null) {
    this.#saved = saved;
    this.#clock = clock;
    this.#slack = 1 + driftRatio;
    this.#host = host;
    this.#alarm = new Alarm(clock, () => this.#ring());
  }

  get #leads(): boolean {
    return typeof this.#term === "number";
  }

  /** When there is something to do next, on the clock's scale: a lease to end, or a group to rouse. */
  get nextDeadlineMs(): number | null {
    return this.#leads ? (this.#soonest()?.atMs ?? null) : this.#rouseAtMs;
  }

  /** The entry that is due next; what has gone or was renewed makes room before it is asked for. */
  #soonest(): Due | null {
    for (let next = this.#due.first; next !== undefined && next !== null; next = this.#due.first) {
      const { atMs, held } = next;
      const isCurrent = this.#held.get(held.lease.id) === held && !held.ending;
      if (isCurrent && held.deadlineMs === atMs) return next;
      this.#due.pop();
      if (isCurrent && held.deadlineMs > atMs) this.#due.push({ atMs: held.deadlineMs, held });
    }
    return null;
  }

  /** Follows a change of leaders. To be called when one may have happened, and before anything is decided. */
  sync(): void {
    const term = this.#stopped ? null : this.#host.leadingTerm();
    if (term === this.#term) return;
    this.#term = term;
    this.#held.clear();
    this.#due.clear();
    this.#rouseAtMs = null;
    this.version++;
    if (!this.#stopped) for (const lease of this.#host.leases()) this.#begin(lease);
    if (term !== null) this.#takeUp(term);
    this.#setAlarm();
  }

  /** A lease has come or gone. */
  changed(id: bigint): void {
    if (this.#stopped) return;
    const lease = this.#host.lease(id);
    if (lease !== undefined && lease.serial === this.#held.get(id)?.lease.serial) return;
    this.#held.delete(id);
    this.version++;
    if (lease !== undefined) this.#begin(lease);
    this.#sweep();
    this.#setAlarm();
  }

  /** What is left of a lease. Leadership must have been confirmed since the question came. */
  look(id: bigint): LeaseState {
    this.sync();
    if (!this.#leads) return { type: "ending" };
    const held = this.#held.get(id);
    if (held === undefined) return { type: "gone" };
    if (held.ending) return { type: "ending" };
    const { lease, deadlineMs } = held;
    const slackMs = this.#lifeMs(lease) - lease.ttlMs;
    return { type: "alive", lease, remainingMs: Math.max(0, deadlineMs - slackMs - this.#clock.nowMs()) };
  }

  /** Gives a lease its whole time from now on. Leadership must have been confirmed since the request came. */
  renew(id: bigint): LeaseState {
    const state = this.look(id);
    if (state.type !== "alive") return state;
    this.version++;
    // The heap finds out when the old deadline comes.
    const held = this.#held.get(id)!;
    held.deadlineMs = this.#clock.nowMs() + this.#lifeMs(state.lease);
    held.graceMs = 0;
    return { ...state, remainingMs: state.lease.ttlMs };
  }

  /** What is needed to go on with these leases in another life; null: this node does not lead, or has too many. */
  save(): SavedLeases | null {
    const term = this.#term;
    if (typeof term !== "number" || this.#held.size > MAX_SAVED) return null;
    const offsetMs = this.#clock.wallMs() - this.#clock.nowMs();
    const leases = Array.from(this.#held.values(), ({ lease: { id, serial }, deadlineMs, graceMs }) => {
      return { id, serial, endsAtMs: Math.ceil(deadlineMs - graceMs + offsetMs) };
    });
    return { term, leases };
  }

  /** Timers would keep the memory of a node that rests: until it does no more, it is to be rung at the deadline. */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (resting && !this.#leads) {
      // The leader looks after them. Only if it is lost is somebody else needed.
      const deadlinesMs = Array.from(this.#host.leases(), (lease) => this.#lifeMs(lease));
      const soonestMs = deadlinesMs.reduce((soonest, each) => Math.min(soonest, each), Infinity);
      this.#rouseAtMs = deadlinesMs.length === 0 ? null : this.#clock.nowMs() + soonestMs + ROUSE_GRACE_MS;
    }
    this.#setAlarm();
  }

  /** A deadline may have passed. */
  ring(): void {
    if (!this.#stopped) this.#ring();
  }

  stop(): void {
    this.#stopped = true;
    this.sync();
  }

  /** Its whole time begins: here, or as far as this node can tell, with the leader. */
  #begin(lease: Lease): void {
    const deadlineMs = this.#clock.nowMs() + this.#lifeMs(lease);
    if (this.#leads) this.#hold(lease, deadlineMs);
    else if (this.#host.rouse !== null) this.#rouseAtMs = Math.min(this.#rouseAtMs ?? Infinity, deadlineMs);
  }

  #hold(lease: Lease, deadlineMs: number, graceMs = 0): void {
    const held = { lease, deadlineMs, graceMs, ending: false };
    this.#held.set(lease.id, held);
    this.#due.push({ atMs: deadlineMs, held });
  }

  /**
   * A leader that has lost its memory in its sleep goes on with what it had written down, if nobody else led since: a
   * leader that renews leases has committed an entry of its own term before.
   */
  #takeUp(term: Term): void {
    const saved = this.#saved;
    this.#saved = null;
    if (saved === null || saved.term >= term || saved.term !== this.#host.priorTerm()) return;
    const clock = this.#clock;
    const nowMs = clock.nowMs();
    const offsetMs = nowMs - clock.wallMs() + WALL_CLOCK_BOUND_MS;
    for (const { id, serial, endsAtMs } of saved.leases) {
      const held = this.#held.get(id);
      if (held === undefined || held.lease.serial !== serial) continue;
      // A clock that was set back makes nothing longer than it was.
      const deadlineMs = Math.max(nowMs, endsAtMs + offsetMs);
      if (deadlineMs <= held.deadlineMs) this.#hold(held.lease, deadlineMs, WALL_CLOCK_BOUND_MS);
    }
  }

  /** Long enough that a client whose clock runs slower than this one has had the whole TTL. */
  #lifeMs({ ttlMs }: Lease): number {
    return ttlMs * this.#slack;
  }

  #setAlarm(): void {
    const nextDeadlineMs = this.#resting ? null : this.nextDeadlineMs;
    // Not every timer takes a span of years.
    this.#alarm.set(
      nextDeadlineMs === null ? null : Math.min(nextDeadlineMs, this.#clock.nowMs() + MAX_SLEEP_MS),
    );
  }

  #ring(): void {
    this.sync();
    const nowMs = this.#clock.nowMs();
    if (!this.#leads) return this.#rouse(nowMs);
    const ended: Held[] = [];
    while (ended.length < MAX_EXPIRED_AT_ONCE && (this.#soonest()?.atMs ?? Infinity) <= nowMs) {
      ended.push(this.#due.pop()!.held);
    }
    if (ended.length > 0) this.#end(ended);
    this.#setAlarm();
  }

  #rouse(nowMs: number): void {
    if (nowMs >= (this.#rouseAtMs ?? Infinity)) {
      this.#rouseAtMs = null;
      this.#host.rouse?.();
      for (const lease of this.#host.leases()) this.#begin(lease);
    }
    this.#setAlarm();
  }

  #end(ended: readonly Held[]): void {
    const term = this.#term!;
    for (const held of ended) held.ending = true;
    const leases = ended.map(({ lease: { id, serial } }) => ({ id, serial }));
    this.#host.expire(term, leases).catch((error: unknown) => {
      // Unknown is not refused: as long as it may still be applied, nothing else may be decided about these leases.
      const refused = error instanceof EngineError && error.grpcCode !== GrpcCode.unavailable;
      if (!refused || term !== this.#term) return;
      const deadlineMs = this.#clock.nowMs() + RETRY_MS;
      for (const held of ended) {
        if (this.#held.get(held.lease.id) === held) this.#hold(held.lease, deadlineMs);
      }
      this.#setAlarm();
    });
  }

  /** Leases that went before their time leave entries behind. */
  #sweep(): void {
    if (this.#due.size < 2 * this.#held.size + TOLERATED_DEAD) return;
    this.#due.clear();
    for (const held of this.#held.values()) {
      if (!held.ending) this.#due.push({ atMs: held.deadlineMs, held });
    }
  }
}
