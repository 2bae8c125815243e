import { EngineError } from "../errors/index.ts";
import { type BinaryKey, binaryKey, isSingleKey } from "./key.ts";
import type { RequestOp } from "./types.ts";

/** What a list of operations touches. */
interface Touched {
  readonly puts: Set<BinaryKey>;
  readonly deletes: DeletedKeys;
}

/**
 * Refuses a list of operations that puts a key twice, or puts and deletes it (etcd: checkIntervals, letter by
 * letter, order included). Nested transactions count with both branches, which may share keys with each other. Two
 * things pass, as in etcd: what an earlier nested transaction puts a later one may delete; and a delete with the
 * open end `\0` counts as one of nothing, since that end is taken for an ordinary key.
 *
 * @throws EngineError `duplicateKey`.
 */
export function checkIntervals(ops: readonly RequestOp[]): void {
  touchedBy(ops);
}

function touchedBy(ops: readonly RequestOp[]): Touched {
  const puts = new Set<BinaryKey>();
  const deletes = new DeletedKeys();
  for (const op of ops) {
    if (op.type !== "deleteRange") continue;
    const { key, rangeEnd } = op.request;
    if (isSingleKey(rangeEnd)) deletes.addKey(binaryKey(key));
    else deletes.addRange(binaryKey(key), binaryKey(rangeEnd!));
  }
  for (const op of ops) {
    if (op.type !== "txn") continue;
    const success = touchedBy(op.request.success);
    const failure = touchedBy(op.request.failure);
    for (const key of success.puts) addPut(key, puts, deletes);
    for (const key of failure.puts) {
      if (!success.puts.has(key)) addPut(key, puts, deletes);
    }
    deletes.addAll(success.deletes);
    deletes.addAll(failure.deletes);
  }
  for (const op of ops) {
    if (op.type === "put") addPut(binaryKey(op.request.key), puts, deletes);
  }
  return { puts, deletes };
}

function addPut(key: BinaryKey, puts: Set<BinaryKey>, deletes: DeletedKeys): void {
  if (puts.has(key) || deletes.has(key)) throw new EngineError("duplicateKey");
  puts.add(key);
}

/** A union of single keys and half-open ranges. */
class DeletedKeys {
  readonly #keys = new Set<BinaryKey>();
  readonly #ranges: { readonly from: BinaryKey; readonly to: BinaryKey }[] = [];
  /** The ranges sorted, with each one's furthest end so far; made when first asked for. */
  #sorted: { readonly froms: BinaryKey[]; readonly furthest: BinaryKey[] } | null = null;

  addKey(key: BinaryKey): void {
    this.#keys.add(key);
  }

  addRange(from: BinaryKey, to: BinaryKey): void {
    if (to > from) this.#ranges.push({ from, to });
    this.#sorted = null;
  }

  addAll(other: DeletedKeys): void {
    for (const key of other.#keys) this.#keys.add(key);
    for (const range of other.#ranges) this.#ranges.push(range);
    this.#sorted = null;
  }

  has(key: BinaryKey): boolean {
    if (this.#keys.has(key)) return true;
    if (this.#ranges.length === 0) return false;
    const { froms, furthest } = (this.#sorted ??= this.#sort());
    let low = 0;
    let high = froms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (froms[middle]! <= key) low = middle + 1;
      else high = middle;
    }
    return low > 0 && key < furthest[low - 1]!;
  }

  #sort(): { froms: BinaryKey[]; furthest: BinaryKey[] } {
    const ranges = this.#ranges.toSorted((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
    const froms: BinaryKey[] = [];
    const furthest: BinaryKey[] = [];
    let end = "";
    for (const { from, to } of ranges) {
      if (to > end) end = to;
      froms.push(from);
      furthest.push(end);
    }
    return { froms, furthest };
  }
}
