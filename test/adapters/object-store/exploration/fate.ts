import type { Prng } from "../../../core/raft/harness/prng.ts";

/**
 * How a request can end. `reply lost`: done, and nobody hears of it. `late or never`: nobody hears of it, and it is
 * done at any later time, or never. `busy`: 429, 409, 503, certainly not done. `late reply`: done, heard of later.
 */
export type RequestEnd = "done" | "reply lost" | "late or never" | "busy" | "late reply";

/** A process, by its place among those that could be met, dies or stands still for a number of steps. */
export type Misfortune =
  | { readonly type: "crash"; readonly process: number }
  | { readonly type: "stall"; readonly process: number; readonly steps: number };

/** Decides everything that is left open. */
export interface Fate {
  /** Before each step. */
  misfortune(processes: number): Misfortune | null;
  /** Which of so many things that could happen next does. They are in the order in which they were asked for. */
  choose(among: number): number;
  end(): RequestEnd;
}

/** Probabilities, of each step or request. */
export interface Hazards {
  readonly replyLost: number;
  readonly lateOrNever: number;
  readonly busy: number;
  readonly lateReply: number;
  readonly stall: number;
  readonly crash: number;
}

export const CALM: Hazards = { replyLost: 0, lateOrNever: 0, busy: 0, lateReply: 0, stall: 0, crash: 0 };

const LONGEST_STALL = 200;

/** A seed is a schedule. */
export class RandomFate implements Fate {
  readonly #prng: Prng;
  readonly #hazards: Hazards;

  constructor(prng: Prng, hazards: Hazards) {
    this.#prng = prng;
    this.#hazards = hazards;
  }

  misfortune(processes: number): Misfortune | null {
    const process = this.#prng.int(processes);
    if (this.#prng.chance(this.#hazards.crash)) return { type: "crash", process };
    if (!this.#prng.chance(this.#hazards.stall)) return null;
    return { type: "stall", process, steps: 1 + this.#prng.int(LONGEST_STALL) };
  }

  choose(among: number): number {
    return this.#prng.int(among);
  }

  end(): RequestEnd {
    const { replyLost, lateOrNever, busy, lateReply } = this.#hazards;
    const luck = this.#prng.next();
    if (luck < replyLost) return "reply lost";
    if (luck < replyLost + lateOrNever) return "late or never";
    if (luck < replyLost + lateOrNever + busy) return "busy";
    return luck < replyLost + lateOrNever + busy + lateReply ? "late reply" : "done";
  }
}
