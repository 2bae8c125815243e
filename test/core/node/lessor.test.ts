import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Lease } from "../../../src/core/kv/index.ts";
import type { Clock } from "../../../src/core/node/index.ts";
import { DeadlineHeap } from "../../../src/core/node/deadline-heap.ts";
import { Lessor, type SavedLeases } from "../../../src/core/node/lessor.ts";

const DRIFT = 0.1;

/** A clock that stands still until it is moved. */
class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; ring: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  /** Ahead of `nowMs` by this much. */
  wallOffsetMs = 1_000_000;

  wallMs(): number {
    return this.#nowMs + this.wallOffsetMs;
  }

  setTimer(delayMs: number, ring: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, ring };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get nextMs(): number | null {
    return this.#timers.length === 0 ? null : Math.min(...this.#timers.map(({ atMs }) => atMs));
  }

  moveTo(nowMs: number): void {
    for (let next = this.nextMs; next !== null && next <= nowMs; next = this.nextMs) {
      this.#nowMs = Math.max(this.#nowMs, next);
      const due = this.#timers.find(({ atMs }) => atMs === next)!;
      this.#timers = this.#timers.filter((other) => other !== due);
      due.ring();
    }
    this.#nowMs = nowMs;
  }
}

interface Proposal {
  readonly term: number;
  readonly ids: readonly bigint[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

let clock: ManualClock;
let term: number | null;
let priorTerm: number;
let leases: Map<bigint, Lease>;
let proposals: Proposal[];
let lessor: Lessor;
let serial: number;
let roused: number;

/** Another life of the node. */
function nextLife(saved: SavedLeases | null): Lessor {
  return new Lessor(
    clock,
    DRIFT,
    {
      leadingTerm: () => term,
      priorTerm: () => priorTerm,
      leases: () => leases.values(),
      lease: (id) => leases.get(id),
      rouse: () => {
        roused++;
      },
      expire: async (of, ended) => {
        await new Promise<void>((resolve, reject) => {
          proposals.push({ term: of, ids: ended.map(({ id }) => id), resolve, reject });
        });
      },
    },
    saved,
  );
}

beforeEach(() => {
  clock = new ManualClock();
  term = 1;
  priorTerm = 0;
  leases = new Map();
  proposals = [];
  serial = 0;
  roused = 0;
  lessor = nextLife(null);
  lessor.sync();
});

function grant(id: bigint, ttlMs: number): void {
  leases.set(id, { id, ttlMs, serial: ++serial, isPrivate: false });
  lessor.changed(id);
}

function remove(id: bigint): void {
  leases.delete(id);
  lessor.changed(id);
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("the lessor", () => {
  it("ends a lease once its time and the drift bound's share of it have passed", () => {
    grant(1n, 1000);
    expect(lessor.nextDeadlineMs).toBe(1100);
    clock.moveTo(1099);
    expect(proposals).toEqual([]);
    expect(lessor.look(1n)).toMatchObject({ type: "alive", remainingMs: 0 });
    clock.moveTo(1100);
    expect(proposals).toMatchObject([{ term: 1, ids: [1n] }]);
    expect([lessor.look(1n).type, lessor.renew(1n).type]).toEqual(["ending", "ending"]);
    remove(1n);
    expect(lessor.look(1n).type).toBe("gone");
  });

  it("gives the whole time again with each renewal", () => {
    grant(1n, 1000);
    for (const at of [1000, 2000, 3000]) {
      clock.moveTo(at);
      expect(lessor.renew(1n)).toMatchObject({ type: "alive", remainingMs: 1000 });
    }
    clock.moveTo(4099);
    expect(proposals).toEqual([]);
    clock.moveTo(4100);
    expect(proposals).toHaveLength(1);
  });

  it("says nothing and ends nothing while it does not lead, and gives everything anew when it does", () => {
    grant(1n, 1000);
    clock.moveTo(900);
    term = null;
    lessor.sync();
    expect(lessor.look(1n).type).toBe("ending");
    clock.moveTo(5000);
    term = 3;
    lessor.sync();
    clock.moveTo(6099);
    expect(proposals).toEqual([]);
    clock.moveTo(6100);
    expect(proposals).toMatchObject([{ term: 3, ids: [1n] }]);
  });

  it("notices a change of leaders by itself before it ends anything", () => {
    grant(1n, 1000);
    term = 2;
    clock.moveTo(1100);
    expect(proposals).toEqual([]);
    clock.moveTo(2200);
    expect(proposals).toMatchObject([{ term: 2, ids: [1n] }]);
  });

  it("looks after leases that were there before it", () => {
    grant(1n, 1000);
    term = null;
    const later = new Lessor(clock, DRIFT, {
      leadingTerm: () => term,
      priorTerm: () => 0,
      leases: () => leases.values(),
      lease: (id) => leases.get(id),
      rouse: () => {},
      expire: () => Promise.resolve(),
    });
    later.sync();
    expect(later.nextDeadlineMs).toBe(1100);
  });

  it("rouses a group whose leader may have died in its sleep, as often as its shortest lease lives", () => {
    term = null;
    lessor.sync();
    expect(lessor.nextDeadlineMs).toBeNull();
    grant(1n, 1000);
    grant(2n, 5000);
    expect(lessor.nextDeadlineMs).toBe(1100);
    clock.moveTo(1099);
    expect(roused).toBe(0);
    clock.moveTo(1100);
    expect([roused, lessor.nextDeadlineMs]).toEqual([1, 2200]);
    remove(1n);
    clock.moveTo(2200);
    expect([roused, lessor.nextDeadlineMs]).toEqual([2, 7700]);
    remove(2n);
    clock.moveTo(20_000);
    expect([roused, lessor.nextDeadlineMs, clock.nextMs]).toEqual([3, null, null]);
    expect(proposals).toEqual([]);
  });

  it("has no timer while the node rests, and is rung instead", () => {
    grant(1n, 1000);
    lessor.rest(true);
    expect([clock.nextMs, lessor.nextDeadlineMs]).toEqual([null, 1100]);
    clock.moveTo(1099);
    lessor.ring();
    expect(proposals).toEqual([]);
    clock.moveTo(1100);
    lessor.ring();
    expect(proposals).toMatchObject([{ term: 1, ids: [1n] }]);
    grant(2n, 1000);
    lessor.rest(false);
    expect(clock.nextMs).toBe(2200);
    // Whoever does not lead need not be there before whoever does.
    term = null;
    lessor.sync();
    lessor.rest(true);
    expect([clock.nextMs, lessor.nextDeadlineMs]).toEqual([null, 1100 + 1100 + 10_000]);
  });

  it("goes on in another life with the deadlines that it saved, a second later at most", () => {
    grant(1n, 1000);
    grant(2n, 60_000);
    clock.moveTo(900);
    lessor.renew(1n);
    const saved = lessor.save();
    // The next life has another monotonic clock; what both have is the wall clock.
    clock = new ManualClock();
    clock.wallOffsetMs = 1_000_000 + 1000;
    leases.set(3n, { id: 3n, ttlMs: 1000, serial: ++serial, isPrivate: false });
    term = null;
    const later = nextLife(saved);
    later.sync();
    term = 2;
    priorTerm = 1;
    later.sync();
    expect(later.look(1n)).toMatchObject({ type: "alive", remainingMs: 1000 });
    // The second is not added again with each life.
    expect(later.save()).toMatchObject({ term: 2, leases: [{}, saved!.leases[1], {}] });
    clock.moveTo(2001);
    expect(proposals.flatMap(({ ids }) => ids)).toEqual([1n, 3n]);
    expect(later.look(2n)).toMatchObject({ remainingMs: 60_000 + 1000 - 1000 - 2001 });
  });

  it("gives every lease its whole time where what was saved may be wrong", () => {
    grant(1n, 60_000);
    const saved = lessor.save()!;
    clock.moveTo(30_000);
    const look = (): unknown => {
      const later = nextLife(saved);
      later.sync();
      return later.look(1n);
    };
    term = 3;
    priorTerm = 1;
    expect(look()).toMatchObject({ remainingMs: 31_000 });
    for (const other of [0, 2]) {
      priorTerm = other;
      expect(look()).toMatchObject({ remainingMs: 60_000 });
    }
    priorTerm = 1;
    // A clock that was set back.
    clock.wallOffsetMs -= 3_600_000;
    expect(look()).toMatchObject({ remainingMs: 60_000 });
    clock.wallOffsetMs += 3_600_000;
    // Another lease of the same id.
    remove(1n);
    grant(1n, 60_000);
    expect(look()).toMatchObject({ remainingMs: 60_000 });
  });

  it("says when what was saved is wrong", () => {
    const changes = [
      () => grant(1n, 1000),
      () => lessor.renew(1n),
      () => remove(1n),
      () => ((term = 5), lessor.sync()),
    ];
    for (const change of changes) {
      const { version } = lessor;
      change();
      expect(lessor.version).not.toBe(version);
    }
    term = null;
    lessor.sync();
    expect(lessor.save()).toBeNull();
  });

  it("tries again what the log refused, and only that", async () => {
    grant(1n, 1000);
    grant(2n, 2000);
    clock.moveTo(1100);
    proposals[0]!.reject(new EngineError("tooManyRequests"));
    await settled();
    // It was never going to end, so it may be renewed.
    expect(lessor.look(1n).type).toBe("alive");
    clock.moveTo(1600);
    expect(proposals[1]).toMatchObject({ ids: [1n] });
    proposals[1]!.reject(new EngineError("leaderChanged"));
    await settled();
    clock.moveTo(10_000);
    expect(proposals.map(({ ids }) => ids)).toEqual([[1n], [1n], [2n]]);
    expect(lessor.renew(1n).type).toBe("ending");
  });

  it("does not take a later lease for one of the same id", async () => {
    grant(1n, 1000);
    clock.moveTo(1100);
    remove(1n);
    grant(1n, 1000);
    proposals[0]!.reject(new EngineError("tooManyRequests"));
    await settled();
    clock.moveTo(2199);
    expect(proposals).toHaveLength(1);
    clock.moveTo(2200);
    expect(proposals).toHaveLength(2);
  });

  it("ends many at once in several entries", () => {
    for (let id = 1n; id <= 2500n; id++) grant(id, 1000);
    clock.moveTo(1100);
    expect(proposals.map(({ ids }) => ids.length)).toEqual([1000, 1000, 500]);
  });

  it("asks no timer for years", () => {
    grant(1n, 9_000_000_000_000);
    expect(clock.nextMs).toBe(86_400_000);
    clock.moveTo(86_400_000);
    expect([proposals.length, clock.nextMs]).toEqual([0, 2 * 86_400_000]);
  });

  it("leaves no timer behind when it stops", () => {
    grant(1n, 1000);
    lessor.stop();
    expect(clock.nextMs).toBeNull();
    grant(2n, 1000);
    expect(clock.nextMs).toBeNull();
  });

  it("ends each lease at its own time, whatever comes and goes meanwhile", () => {
    const step = fc.record({
      id: fc.bigInt({ min: 1n, max: 8n }),
      what: fc.constantFrom("grant", "renew", "remove", "nothing"),
      ttlMs: fc.integer({ min: 1, max: 500 }),
      waitMs: fc.integer({ min: 0, max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        for (const id of leases.keys()) remove(id);
        proposals.length = 0;
        const deadlines = new Map<bigint, number>();
        const life = (ttlMs: number): number => clock.nowMs() + ttlMs * (1 + DRIFT);
        for (const { id, what, ttlMs, waitMs } of steps) {
          if (what === "grant" && !leases.has(id)) {
            grant(id, ttlMs);
            deadlines.set(id, life(ttlMs));
          } else if (what === "renew") {
            const state = lessor.renew(id);
            const known = deadlines.has(id) ? "alive" : "gone";
            if (state.type !== known) throw new Error(`lease ${id} is ${state.type}, not ${known}`);
            if (state.type === "alive") deadlines.set(id, life(state.lease.ttlMs));
          } else if (what === "remove") {
            remove(id);
            deadlines.delete(id);
          }
          clock.moveTo(clock.nowMs() + waitMs);
          const ended = new Set(proposals.splice(0).flatMap(({ ids }) => ids));
          const due = [...deadlines].filter(([, at]) => at <= clock.nowMs()).map(([due]) => due);
          expect(ended).toEqual(new Set(due));
          for (const gone of due) {
            deadlines.delete(gone);
            remove(gone);
          }
        }
      }),
    );
  });
});

describe("the heap of deadlines", () => {
  it("gives what is due first first", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 50 })), { maxLength: 80 }), (steps) => {
        const heap = new DeadlineHeap<{ readonly atMs: number }>();
        let model: number[] = [];
        for (const step of steps) {
          if (step !== null) {
            heap.push({ atMs: step });
            model.push(step);
            continue;
          }
          model = model.toSorted((a, b) => a - b);
          expect(heap.first?.atMs).toBe(model[0]);
          expect(heap.pop()?.atMs).toBe(model.shift());
        }
        expect(heap.size).toBe(model.length);
      }),
    );
  });
});
