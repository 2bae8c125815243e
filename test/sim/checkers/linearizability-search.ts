import type { CompletedOperation, Operation } from "./history.ts";
import type { Model } from "./models.ts";
import { ValueFlow } from "./value-flow.ts";
import { VisitedConfigurations, flipBit, hasBit, mix, type BitSet } from "./visited-configurations.ts";

/** An operation at its place in a sequential order, with the state that it leaves. */
export interface PlacedOperation<State, Input, Output> {
  readonly operation: Operation<Input, Output>;
  readonly state: State;
}

/** A state that can be reached without placing another completed operation, and how. */
interface Reached {
  readonly state: number;
  /** Unknown operations that had effect. */
  readonly used: BitSet;
  /** The last of them, and the `Reached` before it in the frame; -1 where the frame begins. */
  readonly unknown: number;
  readonly from: number;
}

/** One completed operation placed, and all that can follow it. */
interface Frame {
  /** Completed operation whose placing led here; -1 at the root. */
  readonly placed: number;
  /** First return in the list: only what was called before it may be placed next. */
  readonly firstReturn: number;
  readonly reached: Reached[];
  /** Where the work on this frame stands: the Reached, the next call in the list, states still to enter. */
  at: number;
  cursor: number;
  candidate: number;
  nextStates: readonly number[];
  nextAt: number;
  /** A candidate was found that can only be placed here, so that the others need no trying. */
  decided: boolean;
}

const HEAD = 0;
const NO_STATES: readonly number[] = [];

/**
 * The search for a sequential order of one partition: Wing and Gong's, with Lowe's list of pending calls and
 * memory of configurations, as in Porcupine. It can be paused and resumed, so that many share a budget.
 *
 * Calls and returns of completed operations stand in a doubly linked list in the order of time. Whatever is
 * called before the first return in the list may be placed next: its two events leave the list, and come back
 * when the attempt fails. Unknown operations have no return and stay out of the list; they are tried, fewest
 * first, between two completed ones. What keeps that affordable, and the verdict exact:
 *
 * - of two configurations that differ only in the unknown operations used, the one that used fewer can do all
 *   that the other can (`VisitedConfigurations`);
 * - of unknown operations with equal inputs, the one called first is used first;
 * - an observer that is legal where it stands and changes nothing is placed at once: taking it out of any order
 *   that works and putting it here leaves an order that works;
 * - leaving a value that a completed operation still needs, and that nothing can give again, is a dead end;
 * - a blind write is placed at once when nothing can need the value that it replaces, and all that can need its
 *   own value are observers that may follow it now: again, taking write and observers out of any order that works
 *   and putting them here leaves one that works, if nothing shuns a value that can come.
 */
export class PartitionSearch<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #completed: readonly CompletedOperation<Input, Output>[];
  readonly #unknown: readonly Operation<Input, Output>[];

  /** The list of events, by position in the order of time; position 0 is its head. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Completed operation of the event at a position. */
  readonly #operationAt: Int32Array;
  readonly #callOf: Int32Array;
  readonly #returnOf: Int32Array;
  readonly #unknownCallOf: Int32Array;
  /** Whether the unknown operation before this one has the same input. */
  readonly #followsEqual: Uint8Array;
  readonly #observes: Uint8Array;

  readonly #states: State[] = [];
  readonly #stateIds: Map<string | number, number> = new Map();
  readonly #transitions: Map<number, readonly number[]> = new Map();

  readonly #flow: ValueFlow;
  /** Value of each state; -1 where the model knows no values. */
  readonly #valueOf: number[] = [];
  /** Scratch: observers by the value that they need, of those that may be placed next. */
  readonly #ready: Map<number, number> = new Map();

  readonly #visited: VisitedConfigurations;
  readonly #placed: BitSet;
  #placedHash = 0;
  readonly #stack: Frame[] = [];
  #order: readonly PlacedOperation<State, Input, Output>[] = [];
  #status: "ok" | "violation" | "open" = "open";
  #steps = 0;

  /** `history`: operations of one partition, none of them failed. */
  constructor(model: Model<State, Input, Output>, history: readonly Operation<Input, Output>[]) {
    this.#model = model;
    this.#completed = history
      .filter((operation) => operation.status === "ok")
      .toSorted((a, b) => a.returnAt - b.returnAt);
    const lastReturnAt = this.#completed.at(-1)?.returnAt ?? -Infinity;
    this.#unknown = history
      .filter(
        (operation) =>
          operation.status === "unknown" &&
          // What is called after the last return explains nothing, and neither does what changes nothing.
          operation.callAt <= lastReturnAt &&
          !model.observes(operation.input, undefined),
      )
      .map((operation) => ({ operation, inputKey: model.inputKey(operation.input) }))
      .toSorted((a, b) => compareText(a.inputKey, b.inputKey) || a.operation.callAt - b.operation.callAt)
      .map(({ operation }) => operation);
    this.#followsEqual = Uint8Array.from(this.#unknown, ({ input }, index) =>
      index > 0 && model.inputKey(this.#unknown[index - 1]!.input) === model.inputKey(input) ? 1 : 0,
    );
    this.#observes = Uint8Array.from(this.#completed, ({ input, output }) =>
      model.observes(input, output) ? 1 : 0,
    );

    const { values } = model;
    this.#flow = new ValueFlow(
      this.#completed.map(({ input, output }) => values?.traits(input, output) ?? {}),
      this.#unknown.map(({ input }) => values?.traits(input, undefined) ?? {}),
    );

    const positions = this.#completed.length * 2 + this.#unknown.length + 1;
    this.#next = new Int32Array(positions);
    this.#previous = new Int32Array(positions);
    this.#operationAt = new Int32Array(positions);
    this.#callOf = new Int32Array(this.#completed.length);
    this.#returnOf = new Int32Array(this.#completed.length);
    this.#unknownCallOf = new Int32Array(this.#unknown.length);
    this.#link();

    this.#placed = new Int32Array((this.#completed.length + 31) >> 5);
    const usedWords = (this.#unknown.length + 31) >> 5;
    this.#visited = new VisitedConfigurations(usedWords);
    const root = { state: this.#stateId(model.init), used: new Int32Array(usedWords) };
    if (this.#completed.length === 0) this.#status = "ok";
    else if (this.#flow.isAnyMissingBut(this.#valueOf[root.state]!, root.used)) this.#status = "violation";
    else this.#push(-1, root.state, root.used);
  }

  /** Attempts to place an operation so far: the measure of the budget. */
  get steps(): number {
    return this.#steps;
  }

  /** Works for about `steps` more steps. `open`: no verdict yet. */
  run(steps: number): "ok" | "violation" | "open" {
    const until = this.#steps + steps;
    while (this.#status === "open" && this.#steps < until) this.#advance();
    return this.#status;
  }

  /** The order that was found, when the verdict is `ok`. */
  get order(): readonly PlacedOperation<State, Input, Output>[] {
    return this.#order;
  }

  #link(): void {
    const events = [
      ...this.#completed.flatMap(({ callAt, returnAt }, index) => [
        { time: callAt, isReturn: 0, of: this.#callOf, index },
        { time: returnAt, isReturn: 1, of: this.#returnOf, index },
      ]),
      ...this.#unknown.map(({ callAt }, index) => ({
        time: callAt,
        isReturn: 0,
        of: this.#unknownCallOf,
        index,
      })),
    ].toSorted((a, b) => a.time - b.time || a.isReturn - b.isReturn);
    let last = HEAD;
    for (const [order, { of, index }] of events.entries()) {
      const position = order + 1;
      of[index] = position;
      if (of === this.#unknownCallOf) continue;
      this.#operationAt[position] = index;
      this.#next[last] = position;
      this.#previous[position] = last;
      last = position;
    }
  }

  /** One small piece of work on the innermost frame. */
  #advance(): void {
    this.#steps++;
    const frame = this.#stack.at(-1)!;
    if (frame.nextAt < frame.nextStates.length) {
      const state = frame.nextStates[frame.nextAt++]!;
      const from = frame.reached[frame.at]!;
      this.#place(frame.candidate, from.state, state, from.used);
    } else if (frame.cursor !== frame.firstReturn) {
      frame.candidate = this.#operationAt[frame.cursor]!;
      frame.nextStates = this.#transition(frame.reached[frame.at]!.state, frame.candidate);
      frame.nextAt = 0;
      frame.cursor = this.#next[frame.cursor]!;
    } else {
      if (!frame.decided) this.#tryUnknown(frame);
      frame.at++;
      if (frame.at < frame.reached.length) this.#begin(frame);
      else this.#giveUp(frame);
    }
  }

  /** Begins the work on the Reached that the frame stands at. */
  #begin(frame: Frame): void {
    frame.cursor = this.#next[HEAD]!;
    frame.nextStates = NO_STATES;
    frame.nextAt = 0;
    frame.decided = this.#decideObserver(frame) || this.#decideWrite(frame);
    if (frame.decided) frame.cursor = frame.firstReturn;
  }

  #decideObserver(frame: Frame): boolean {
    const { state } = frame.reached[frame.at]!;
    for (let call = frame.cursor; call !== frame.firstReturn; call = this.#next[call]!) {
      const candidate = this.#operationAt[call]!;
      if (this.#observes[candidate] === 0) continue;
      this.#steps++;
      const after = this.#transition(state, candidate);
      if (after.length !== 1 || after[0] !== state) continue;
      frame.candidate = candidate;
      frame.nextStates = after;
      return true;
    }
    return false;
  }

  #decideWrite(frame: Frame): boolean {
    const flow = this.#flow;
    const { state, used } = frame.reached[frame.at]!;
    const value = this.#valueOf[state]!;
    if (value === -1 || flow.isWanted(value, used) || flow.isAnyShunned(used)) return false;
    this.#tallyReady(frame);
    const isSatisfied = (gift: number): boolean =>
      flow.demand(gift) === (this.#ready.get(gift) ?? 0) && !flow.mayUnknownNeed(gift, used);
    for (let call = frame.cursor; call !== frame.firstReturn; call = this.#next[call]!) {
      const candidate = this.#operationAt[call]!;
      const gift = flow.blindGiftOf(candidate);
      if (gift === -1 || !isSatisfied(gift)) continue;
      frame.candidate = candidate;
      frame.nextStates = this.#transition(state, candidate);
      return true;
    }
    for (let unknown = 0; unknown < this.#unknown.length; unknown++) {
      const gift = flow.unknownBlindGiftOf(unknown);
      if (gift === -1 || !this.#ready.has(gift) || !this.#mayUse(unknown, frame) || !isSatisfied(gift))
        continue;
      this.#use(unknown, frame);
      return true;
    }
    return false;
  }

  #tallyReady(frame: Frame): void {
    this.#ready.clear();
    for (let call = frame.cursor; call !== frame.firstReturn; call = this.#next[call]!) {
      const candidate = this.#operationAt[call]!;
      const need = this.#flow.needOf(candidate);
      if (need === -1 || this.#observes[candidate] === 0) continue;
      this.#ready.set(need, (this.#ready.get(need) ?? 0) + 1);
    }
  }

  /** Places a completed operation, unless that cannot lead anywhere new. */
  #place(operation: number, from: number, state: number, used: BitSet): void {
    this.#lift(operation);
    if (
      !this.#losesNeeded(from, state, used) &&
      this.#visited.add(this.#placedHash, this.#placed, state, used)
    ) {
      this.#push(operation, state, used);
    } else {
      this.#unlift(operation);
    }
  }

  #losesNeeded(from: number, to: number, used: BitSet): boolean {
    const value = this.#valueOf[from]!;
    return value !== this.#valueOf[to] && this.#flow.isMissing(value, used);
  }

  #push(placed: number, state: number, used: BitSet): void {
    let firstReturn = this.#next[HEAD]!;
    while (firstReturn !== HEAD && this.#returnOf[this.#operationAt[firstReturn]!] !== firstReturn) {
      firstReturn = this.#next[firstReturn]!;
    }
    const frame: Frame = {
      placed,
      firstReturn,
      reached: [{ state, used, unknown: -1, from: -1 }],
      at: 0,
      cursor: firstReturn,
      candidate: -1,
      nextStates: NO_STATES,
      nextAt: 0,
      decided: false,
    };
    this.#stack.push(frame);
    if (this.#stack.length > this.#completed.length) {
      this.#status = "ok";
      this.#order = this.#path();
    } else {
      this.#begin(frame);
    }
  }

  #giveUp(frame: Frame): void {
    this.#stack.pop();
    if (frame.placed === -1) this.#status = "violation";
    else this.#unlift(frame.placed);
  }

  /** Adds to the frame what one more unknown operation makes of the Reached that it stands at. */
  #tryUnknown(frame: Frame): void {
    for (let unknown = 0; unknown < this.#unknown.length; unknown++) {
      if (this.#mayUse(unknown, frame)) this.#use(unknown, frame);
    }
  }

  #mayUse(unknown: number, frame: Frame): boolean {
    const { used } = frame.reached[frame.at]!;
    if (this.#unknownCallOf[unknown]! > frame.firstReturn || hasBit(used, unknown)) return false;
    return this.#followsEqual[unknown] === 0 || hasBit(used, unknown - 1);
  }

  #use(unknown: number, frame: Frame): void {
    this.#steps++;
    const { state, used } = frame.reached[frame.at]!;
    for (const after of this.#transition(state, this.#completed.length + unknown)) {
      const usedAfter = used.slice();
      flipBit(usedAfter, unknown);
      if (this.#losesNeeded(state, after, usedAfter)) continue;
      if (!this.#visited.add(this.#placedHash, this.#placed, after, usedAfter)) continue;
      frame.reached.push({ state: after, used: usedAfter, unknown, from: frame.at });
    }
  }

  #lift(operation: number): void {
    for (const event of [this.#callOf[operation]!, this.#returnOf[operation]!]) {
      const next = this.#next[event]!;
      const previous = this.#previous[event]!;
      this.#next[previous] = next;
      if (next !== HEAD) this.#previous[next] = previous;
    }
    this.#flow.take(operation);
    this.#flipPlaced(operation);
  }

  /** Undoes the latest `#lift`: an event still knows its neighbours of then. */
  #unlift(operation: number): void {
    for (const event of [this.#returnOf[operation]!, this.#callOf[operation]!]) {
      const next = this.#next[event]!;
      this.#next[this.#previous[event]!] = event;
      if (next !== HEAD) this.#previous[next] = event;
    }
    this.#flow.putBack(operation);
    this.#flipPlaced(operation);
  }

  #flipPlaced(operation: number): void {
    flipBit(this.#placed, operation);
    this.#placedHash ^= mix(operation + 1);
  }

  /** States after an operation: a completed one by its number, an unknown one by its number after those. */
  #transition(state: number, operation: number): readonly number[] {
    const key = state * (this.#completed.length + this.#unknown.length) + operation;
    const known = this.#transitions.get(key);
    if (known !== undefined) return known;
    const completed = this.#completed[operation];
    const { input } = completed ?? this.#unknown[operation - this.#completed.length]!;
    const after = this.#model
      .step(this.#states[state]!, input, completed?.output)
      .map((next) => this.#stateId(next));
    this.#transitions.set(key, after);
    return after;
  }

  #stateId(state: State): number {
    const key = this.#model.stateKey(state);
    let id = this.#stateIds.get(key);
    if (id === undefined) {
      id = this.#states.push(state) - 1;
      this.#stateIds.set(key, id);
      const { values } = this.#model;
      this.#valueOf.push(values === undefined ? -1 : this.#flow.id(values.valueOf(state)));
    }
    return id;
  }

  /** The operations placed on the way to the innermost frame. */
  #path(): PlacedOperation<State, Input, Output>[] {
    const path: PlacedOperation<State, Input, Output>[] = [];
    for (const [depth, frame] of this.#stack.entries()) {
      if (frame.placed !== -1) {
        path.push({
          operation: this.#completed[frame.placed]!,
          state: this.#states[frame.reached[0]!.state]!,
        });
      }
      if (depth + 1 < this.#stack.length) path.push(...this.#unknownPath(frame));
    }
    return path;
  }

  #unknownPath(frame: Frame): PlacedOperation<State, Input, Output>[] {
    const path: PlacedOperation<State, Input, Output>[] = [];
    for (let at = frame.at; at > 0; at = frame.reached[at]!.from) {
      const { unknown, state } = frame.reached[at]!;
      path.push({ operation: this.#unknown[unknown]!, state: this.#states[state]! });
    }
    return path.toReversed();
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
