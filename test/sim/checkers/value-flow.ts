import { hasBit, type BitSet } from "./visited-configurations.ts";

/**
 * What an operation has to do with the value of an object that holds one value at a time. For an unknown
 * operation: if it has effect at all.
 */
export interface ValueTraits {
  /** It can only happen while the object has this value. */
  readonly needs?: string;
  /** It leaves this value behind. */
  readonly gives?: string;
  /** It is legal, and leaves the same, whatever came before. */
  readonly isBlind?: boolean;
  /** It can only happen while the object does not have this value. */
  readonly shuns?: string;
}

const NONE = -1;

/**
 * Who still gives and who still needs each value, while a search places operations. Values and operations are
 * numbers; completed operations and unknown ones are numbered apart.
 */
export class ValueFlow {
  readonly #ids: Map<string, number> = new Map();
  readonly #needs: Int32Array;
  readonly #gives: Int32Array;
  readonly #isBlind: Uint8Array;
  readonly #shuns: Int32Array;
  readonly #unknownGives: Int32Array;
  readonly #unknownIsBlind: Uint8Array;
  /** Unknown operations by the value that they give or need. */
  readonly #unknownGiving: number[][] = [];
  readonly #unknownNeeding: number[][] = [];
  /** Completed operations, not yet placed, by the value that they give or need. */
  readonly #supply: number[] = [];
  readonly #demand: number[] = [];
  /** Completed operations, not yet placed, by the value that they shun; and the values that any shuns at all. */
  readonly #aversion: number[] = [];
  readonly #shunned: readonly number[];

  constructor(completed: readonly ValueTraits[], unknown: readonly ValueTraits[]) {
    this.#needs = Int32Array.from(completed, ({ needs }) => this.#optionalId(needs));
    this.#gives = Int32Array.from(completed, ({ gives }) => this.#optionalId(gives));
    this.#isBlind = Uint8Array.from(completed, ({ isBlind }) => (isBlind === true ? 1 : 0));
    this.#shuns = Int32Array.from(completed, ({ shuns }) => this.#optionalId(shuns));
    this.#shunned = [...new Set(this.#shuns)].filter((value) => value !== NONE);
    this.#unknownGives = Int32Array.from(unknown, ({ gives }) => this.#optionalId(gives));
    this.#unknownIsBlind = Uint8Array.from(unknown, ({ isBlind }) => (isBlind === true ? 1 : 0));
    for (const [index, { needs, gives }] of unknown.entries()) {
      if (needs !== undefined) this.#unknownNeeding[this.id(needs)]!.push(index);
      if (gives !== undefined) this.#unknownGiving[this.id(gives)]!.push(index);
    }
    for (const index of completed.keys()) this.putBack(index);
  }

  /** The number of a value. */
  id(value: string): number {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(value, id);
      this.#supply.push(0);
      this.#demand.push(0);
      this.#aversion.push(0);
      this.#unknownGiving.push([]);
      this.#unknownNeeding.push([]);
    }
    return id;
  }

  /** A completed operation is placed. */
  take(completed: number): void {
    this.#count(completed, -1);
  }

  /** Undoes `take`. */
  putBack(completed: number): void {
    this.#count(completed, 1);
  }

  /** The value that a completed operation needs; -1 for none. */
  needOf(completed: number): number {
    return this.#needs[completed]!;
  }

  /** The value that a completed operation gives, when it does so blindly; otherwise -1. */
  blindGiftOf(completed: number): number {
    return this.#isBlind[completed] === 1 ? this.#gives[completed]! : NONE;
  }

  /** Likewise for an unknown operation. */
  unknownBlindGiftOf(unknown: number): number {
    return this.#unknownIsBlind[unknown] === 1 ? this.#unknownGives[unknown]! : NONE;
  }

  /** Completed operations that are still to be placed and need the value. */
  demand(value: number): number {
    return this.#demand[value]!;
  }

  /** Whether an operation still to be placed shuns a value that the object may come to have. */
  isAnyShunned(used: BitSet): boolean {
    return this.#shunned.some((value) => this.#aversion[value]! > 0 && this.#canCome(value, used));
  }

  /** Whether an operation may still need the value. */
  isWanted(value: number, used: BitSet): boolean {
    return this.#demand[value]! > 0 || this.mayUnknownNeed(value, used);
  }

  mayUnknownNeed(value: number, used: BitSet): boolean {
    return this.#unknownNeeding[value]!.some((unknown) => !hasBit(used, unknown));
  }

  /** Whether a completed operation needs the value and nothing can give it, unless the object has it. */
  isMissing(value: number, used: BitSet): boolean {
    return this.#demand[value]! > 0 && !this.#canCome(value, used);
  }

  /** Whether any value but the given one is missing. */
  isAnyMissingBut(value: number, used: BitSet): boolean {
    return this.#demand.some((_, other) => other !== value && this.isMissing(other, used));
  }

  #canCome(value: number, used: BitSet): boolean {
    return this.#supply[value]! > 0 || this.#unknownGiving[value]!.some((unknown) => !hasBit(used, unknown));
  }

  #optionalId(value: string | undefined): number {
    return value === undefined ? NONE : this.id(value);
  }

  #count(completed: number, by: 1 | -1): void {
    const needs = this.#needs[completed]!;
    const gives = this.#gives[completed]!;
    const shuns = this.#shuns[completed]!;
    if (needs !== NONE) this.#demand[needs]! += by;
    if (gives !== NONE) this.#supply[gives]! += by;
    if (shuns !== NONE) this.#aversion[shuns]! += by;
  }
}
