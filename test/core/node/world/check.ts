import type { KvEngine } from "../../../../src/core/node/index.ts";
import type { History, ReadRecord, WriteRecord } from "./history.ts";

const DECODER = new TextDecoder();
const ALL = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/**
 * Whether single-key registers behaved: writes that were acknowledged took effect in an order that agrees with real
 * time, nobody saw a value that definitely was not written, and linearizable reads never looked back. Revisions
 * stand in for the order of writes, so no search is needed. Gives what is wrong, or nothing.
 */
export function checkRegisters(history: History): string[] {
  const wrong: string[] = [];
  const byValue = new Map(history.writes.map((write) => [write.value, write]));
  const acknowledged = history.writes.filter(({ outcome }) => outcome === "ok");
  checkWriteOrder(acknowledged, wrong);
  const revisionOf = new Map<string, number>();
  for (const { value, revision } of acknowledged) revisionOf.set(value, revision);
  for (const read of history.reads) {
    if (read.outcome === "ok") checkValue(read, byValue, revisionOf, wrong);
  }
  checkFreshness(history, acknowledged, wrong);
  return wrong;
}

/** Acknowledged before another began: a smaller revision. And no revision twice. */
function checkWriteOrder(acknowledged: readonly WriteRecord[], wrong: string[]): void {
  const seen = new Map<number, WriteRecord>();
  for (const write of acknowledged) {
    const twin = seen.get(write.revision);
    if (twin !== undefined) wrong.push(`${name(write)} and ${name(twin)} share revision ${write.revision}`);
    seen.set(write.revision, write);
  }
  const floor = new Floor(
    acknowledged.map(({ completed, revision }) => ({ completed: completed!, revision })),
  );
  for (const write of acknowledged) {
    const before = floor.before(write.invoked);
    if (write.revision <= before)
      wrong.push(`${name(write)} got revision ${write.revision}, after ${before} was acknowledged`);
  }
}

/** What a read found was written by somebody who may have written it, at one revision only. */
function checkValue(
  read: ReadRecord,
  byValue: ReadonlyMap<string, WriteRecord>,
  revisionOf: Map<string, number>,
  wrong: string[],
): void {
  if (read.found === null) return;
  const { value, modRevision } = read.found;
  const write = byValue.get(value);
  if (write === undefined || write.key !== read.key)
    return void wrong.push(`${name(read)} found ${value}, which nobody wrote there`);
  if (write.outcome === "failed") wrong.push(`${name(read)} found ${value}, whose write definitely failed`);
  if (write.invoked > read.completed!) wrong.push(`${name(read)} found ${value} before it was written`);
  const known = revisionOf.get(value);
  if (known !== undefined && known !== modRevision)
    wrong.push(`${value} was applied twice: at revision ${known} and at ${modRevision}`);
  revisionOf.set(value, modRevision);
}

/** A linearizable read sees what was acknowledged, and what others had read, before it began (S12). */
function checkFreshness(history: History, acknowledged: readonly WriteRecord[], wrong: string[]): void {
  const fresh = history.reads.filter(
    ({ outcome, consistency }) => outcome === "ok" && consistency !== "eventual",
  );
  const facts = [
    ...acknowledged.map(({ completed, revision }) => ({ completed: completed!, revision })),
    ...fresh.map(({ completed, revision }) => ({ completed: completed!, revision })),
  ];
  const floor = new Floor(facts);
  const keys = new Map<string, Floor>();
  for (const read of fresh) {
    const before = floor.before(read.invoked);
    if (read.revision < before)
      wrong.push(`${name(read)} saw revision ${read.revision}, after ${before} was known`);
    let ofKey = keys.get(read.key);
    if (ofKey === undefined) {
      ofKey = new Floor(
        acknowledged
          .filter(({ key }) => key === read.key)
          .map(({ completed, revision }) => ({ completed: completed!, revision })),
      );
      keys.set(read.key, ofKey);
    }
    const known = ofKey.before(read.invoked);
    if ((read.found?.modRevision ?? 0) < known)
      wrong.push(`${name(read)} found revision ${read.found?.modRevision ?? 0} of the key, not ${known}`);
  }
}

/** The highest revision that somebody had been told of by a given moment. */
class Floor {
  readonly #facts: { completed: number; highest: number }[] = [];

  constructor(facts: readonly { completed: number; revision: number }[]) {
    let highest = 0;
    for (const { completed, revision } of facts.toSorted((a, b) => a.completed - b.completed)) {
      highest = Math.max(highest, revision);
      this.#facts.push({ completed, highest });
    }
  }

  before(moment: number): number {
    let low = 0;
    let high = this.#facts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#facts[middle]!.completed < moment) low = middle + 1;
      else high = middle;
    }
    return this.#facts[low - 1]?.highest ?? 0;
  }
}

/**
 * Whether the state at the end agrees with what callers were told: every acknowledged write is there or was
 * overwritten, what definitely failed is not, and no write to a key of its own was applied twice.
 */
export async function checkFinalState(history: History, engine: KvEngine): Promise<string[]> {
  const wrong: string[] = [];
  const { kvs } = await engine.range(ALL, { consistency: "eventual" });
  const state = new Map(kvs.map((kv) => [DECODER.decode(kv.key), kv]));
  const writers = new Map<string, number>();
  for (const { key } of history.writes) writers.set(key, (writers.get(key) ?? 0) + 1);
  for (const write of history.writes) {
    const kv = state.get(write.key);
    const value = kv === undefined ? null : DECODER.decode(kv.value);
    if (write.outcome === "ok" && (kv === undefined || kv.modRevision < write.revision))
      wrong.push(`${name(write)} was acknowledged at revision ${write.revision} and is lost`);
    if (write.outcome === "failed" && value === write.value)
      wrong.push(`${name(write)} definitely failed (${write.error?.code}) and was applied`);
    if (kv !== undefined && kv.version > writers.get(write.key)!)
      wrong.push(`${write.key} was put ${kv.version} times by ${writers.get(write.key)} writes`);
  }
  return wrong;
}

function name(record: ReadRecord | WriteRecord): string {
  const what = record.type === "read" ? `${record.consistency} read` : `write of ${record.value}`;
  return `${what} of ${record.key} on node ${record.node} (#${record.invoked}-${record.completed})`;
}
