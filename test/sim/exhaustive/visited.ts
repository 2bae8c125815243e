import { isWithin } from "./spent.ts";
import { MESSAGES_AT, SPENT_AT, type State } from "./symmetry.ts";

/** How {@link Visited.add} found a state. */
export type Novelty = "new" | "seen" | "covered";

const CHUNK_INTS = 1 << 22;
/** Before the state's own numbers: the next record of the bucket, and how many numbers follow. */
const HEADER = 2;

/**
 * Every state that was reached, whole (no fingerprints, so no two are ever taken for the same), in the order in
 * which they were reached, with the step that led there.
 *
 * A state is *covered* by another with the same nodes and the same history that has at least its messages under way
 * and no more of the bounds spent: messages may be lost at any time, so whatever can come of the first can come of
 * the second, and no invariant looks at the network. Covered states are not visited.
 */
export class Visited {
  readonly #chunks: Int32Array[] = [];
  /** Where the next record goes. */
  #end = 0;
  #buckets: Int32Array = new Int32Array(1 << 16).fill(-1);
  #at: Float64Array = new Float64Array(1 << 16);
  #parent: Int32Array = new Int32Array(1 << 16);
  #action: Float64Array = new Float64Array(1 << 16);
  /** Covered by a state of the same depth that was found after it. */
  #covered: Uint8Array = new Uint8Array(1 << 16);
  size = 0;

  /** @param level the first state of the depth that the state is on: only those are covered in retrospect. */
  add(state: State, parent: number, action: number, level: number): Novelty {
    if (this.size * 2 > this.#buckets.length) this.#rehash();
    const bucket = hashOf(state) & (this.#buckets.length - 1);
    for (let other = this.#buckets[bucket]!; other >= 0; other = this.#next(other)) {
      const novelty = this.#compare(state, other, level);
      if (novelty !== "new") return novelty;
    }
    this.#append(state, parent, action, bucket);
    return "new";
  }

  #compare(state: State, other: number, level: number): Novelty {
    const chunk = this.#chunkOf(other);
    const at = this.#offsetOf(other);
    for (let i = 0; i < SPENT_AT; i++) if (chunk[at + HEADER + i] !== state[i]) return "new";
    const [mine, theirs] = [state.length, chunk[at + 1]!];
    const [mySpent, theirSpent] = [state[SPENT_AT]!, chunk[at + HEADER + SPENT_AT]!];
    if (mine <= theirs && isWithin(theirSpent, mySpent) && isSubset(state, chunk, at + HEADER, theirs)) {
      return mine === theirs && mySpent === theirSpent ? "seen" : "covered";
    }
    const later = mine >= theirs && other >= level && isWithin(mySpent, theirSpent);
    if (later && isSuperset(state, chunk, at + HEADER, theirs)) this.#covered[other] = 1;
    return "new";
  }

  isCovered(id: number): boolean {
    return this.#covered[id] === 1;
  }

  get(id: number): State {
    const chunk = this.#chunkOf(id);
    const at = this.#offsetOf(id);
    return Array.from(chunk.subarray(at + HEADER, at + HEADER + chunk[at + 1]!));
  }

  parentOf(id: number): number {
    return this.#parent[id]!;
  }

  actionOf(id: number): number {
    return this.#action[id]!;
  }

  #append(state: State, parent: number, action: number, bucket: number): void {
    const need = HEADER + state.length;
    if ((this.#end % CHUNK_INTS) + need > CHUNK_INTS) this.#end += CHUNK_INTS - (this.#end % CHUNK_INTS);
    const chunk = (this.#chunks[Math.floor(this.#end / CHUNK_INTS)] ??= new Int32Array(CHUNK_INTS));
    const at = this.#end % CHUNK_INTS;
    const id = this.size++;
    if (id === this.#at.length) this.#grow();
    chunk[at] = this.#buckets[bucket]!;
    chunk[at + 1] = state.length;
    for (let i = 0; i < state.length; i++) chunk[at + HEADER + i] = state[i]!;
    this.#buckets[bucket] = id;
    this.#at[id] = this.#end;
    this.#parent[id] = parent;
    this.#action[id] = action;
    this.#end += need;
  }

  #next(id: number): number {
    return this.#chunkOf(id)[this.#offsetOf(id)]!;
  }

  #chunkOf(id: number): Int32Array {
    return this.#chunks[Math.floor(this.#at[id]! / CHUNK_INTS)]!;
  }

  #offsetOf(id: number): number {
    return this.#at[id]! % CHUNK_INTS;
  }

  #grow(): void {
    const size = this.#at.length * 2;
    const at = new Float64Array(size);
    at.set(this.#at);
    this.#at = at;
    const parent = new Int32Array(size);
    parent.set(this.#parent);
    this.#parent = parent;
    const action = new Float64Array(size);
    action.set(this.#action);
    this.#action = action;
    const covered = new Uint8Array(size);
    covered.set(this.#covered);
    this.#covered = covered;
  }

  #rehash(): void {
    this.#buckets = new Int32Array(this.#buckets.length * 2).fill(-1);
    for (let id = 0; id < this.size; id++) {
      const chunk = this.#chunkOf(id);
      const at = this.#offsetOf(id);
      const bucket = hashAt(chunk, at + HEADER) & (this.#buckets.length - 1);
      chunk[at] = this.#buckets[bucket]!;
      this.#buckets[bucket] = id;
    }
  }
}

/** Of what must be equal for one state to cover another. */
function hashOf(state: State): number {
  let hash = 0;
  for (let i = 0; i < SPENT_AT; i++) hash = mixed(hash, state[i]!);
  return hash >>> 0;
}

function hashAt(numbers: Int32Array, at: number): number {
  let hash = 0;
  for (let i = 0; i < SPENT_AT; i++) hash = mixed(hash, numbers[at + i]!);
  return hash >>> 0;
}

function mixed(hash: number, number: number): number {
  let mix = Math.imul(hash ^ number, 0x9e3779b1);
  mix = Math.imul(mix ^ (mix >>> 15), 0x85ebca6b);
  return mix ^ (mix >>> 13);
}

/** Whether the state's messages are all among the record's. Both ascend. */
function isSubset(state: State, chunk: Int32Array, at: number, theirs: number): boolean {
  let j = MESSAGES_AT;
  for (let i = MESSAGES_AT; i < state.length; i++) {
    const wanted = state[i]!;
    while (j < theirs && chunk[at + j]! < wanted) j++;
    if (j === theirs || chunk[at + j] !== wanted) return false;
    j++;
  }
  return true;
}

function isSuperset(state: State, chunk: Int32Array, at: number, theirs: number): boolean {
  let i = MESSAGES_AT;
  for (let j = MESSAGES_AT; j < theirs; j++) {
    const wanted = chunk[at + j]!;
    while (i < state.length && state[i]! < wanted) i++;
    if (i === state.length || state[i] !== wanted) return false;
    i++;
  }
  return true;
}
