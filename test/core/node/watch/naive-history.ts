import type { KvCommand, RequestOp, WatchEvent } from "../../../../src/core/kv/index.ts";
import { text } from "../../kv/support.ts";

/** A change as text: easy to compare. */
export interface NaiveChange {
  readonly revision: number;
  readonly key: string;
  /** Null: deleted. */
  readonly value: string | null;
  /** As of the revision before; null: was not there. */
  readonly previous: string | null;
}

/** Every change there ever was, worked out from the commands by the simplest means. */
export class NaiveHistory {
  readonly changes: NaiveChange[] = [];
  readonly #states: ReadonlyMap<string, string>[] = [new Map(), new Map()];

  get revision(): number {
    return this.#states.length - 1;
  }

  stateAt(revision: number): [key: string, value: string][] {
    return [...this.#states[revision]!].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }

  apply(command: KvCommand): void {
    const ops: readonly RequestOp[] =
      command.type === "txn"
        ? command.request.success
        : command.type === "put" || command.type === "deleteRange"
          ? [command]
          : [];
    const before = this.#states.at(-1)!;
    const state = new Map(before);
    const made = ops.flatMap((op) => this.#run(op, state, before));
    if (made.length === 0) return;
    this.changes.push(...made);
    this.#states.push(state);
  }

  #run(op: RequestOp, state: Map<string, string>, before: ReadonlyMap<string, string>): NaiveChange[] {
    const revision = this.#states.length;
    if (op.type === "put") {
      const [key, value] = [text(op.request.key), text(op.request.value!)];
      state.set(key, value);
      return [{ revision, key, value, previous: before.get(key) ?? null }];
    }
    if (op.type !== "deleteRange") return [];
    const matches = inRange(text(op.request.key), text(op.request.rangeEnd ?? new Uint8Array(0)));
    return [...state.keys()]
      .toSorted()
      .filter(matches)
      .map((key) => {
        state.delete(key);
        return { revision, key, value: null, previous: before.get(key) ?? null };
      });
  }
}

export function inRange(key: string, rangeEnd: string): (candidate: string) => boolean {
  if (rangeEnd === "") return (candidate) => candidate === key;
  return (candidate) => candidate >= key && (rangeEnd === "\0" || candidate < rangeEnd);
}

export function naive({ type, kv, prevKv }: WatchEvent): NaiveChange {
  return {
    revision: kv.modRevision,
    key: text(kv.key),
    value: type === "put" ? text(kv.value) : null,
    previous: prevKv === null ? null : text(prevKv.value),
  };
}
