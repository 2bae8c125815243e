import type { Life } from "../../core/node/world/life.ts";
import type { Operation } from "../checkers/history.ts";
import type { KvInput, KvOutput, SeenValue } from "../checkers/kv-model.ts";
import type { Problem } from "../problem.ts";

/** A read of one key, under any policy, and the revision of the store that answered. */
export interface EventualRead {
  readonly node: bigint;
  /** The run of the node's process that answered. */
  readonly life: Life | null;
  readonly key: string;
  readonly kv: SeenValue | null;
  readonly revision: number;
  readonly callAt: number;
  readonly returnAt: number;
  readonly isFresh: boolean;
}

interface Change {
  readonly revision: number;
  /** Null: deleted. */
  readonly value: string | null;
}

/**
 * What every read promises, stale ones too: it shows the store as it was at one revision. So it holds every
 * acknowledged change of the key up to there and nothing later, nothing that nobody wrote or that definitely
 * failed, and one replica never goes back while it runs.
 */
export function checkEventualReads(
  reads: readonly EventualRead[],
  history: readonly Operation<KvInput, KvOutput>[],
): Problem[] {
  const problems: Problem[] = [];
  const report = (read: EventualRead, what: string): void => {
    const found = read.kv === null ? "nothing" : `${read.kv.value} of ${read.kv.modRevision}`;
    const detail = `node ${read.node} read ${found} at ${read.key}, revision ${read.revision}: ${what}`;
    problems.push({ kind: "checker", rule: "prefix consistency", detail });
  };
  const changes = acknowledgedChanges(history);
  const writers = writersByValue(history);
  const deletable = new Set(
    history.filter(({ input, status }) => input.type === "delete" && status !== "failed").map(keyOf),
  );
  const seenAt = new Map<string, string>();
  for (const read of reads) {
    const { kv, key, revision } = read;
    for (const change of changes.get(key) ?? []) {
      if (change.revision > revision || change.revision <= (kv?.modRevision ?? 0)) continue;
      // Later than what was found, and yet not found: only right if something newer was deleted again.
      if (change.value !== null && (kv !== null || !deletable.has(key)))
        report(read, `${change.value} of ${change.revision} is missing`);
      if (change.value === null && kv !== null) report(read, `it was deleted at ${change.revision}`);
    }
    if (kv === null) continue;
    if (kv.modRevision > revision) report(read, "it comes from a later revision");
    const writer = writers.get(kv.value);
    if (writer === undefined || writer.key !== key) report(read, "nobody wrote it there");
    else if (writer.status === "failed") report(read, "its write had definitely failed");
    else if (writer.callAt > read.returnAt) report(read, "it was not written yet");
    const known = seenAt.get(`${key} ${kv.modRevision}`);
    if (known !== undefined && known !== kv.value) report(read, `another reader found ${known}`);
    seenAt.set(`${key} ${kv.modRevision}`, kv.value);
  }
  checkMonotonic(reads, report);
  return problems;
}

/** Reads of one life that did not overlap never go back. */
function checkMonotonic(
  reads: readonly EventualRead[],
  report: (read: EventualRead, what: string) => void,
): void {
  const newest = new Map<Life | null, { revision: number; returnAt: number }[]>();
  for (const read of reads.toSorted((a, b) => a.returnAt - b.returnAt)) {
    const earlier = newest.get(read.life) ?? [];
    newest.set(read.life, earlier);
    const before = earlier.findLast(({ returnAt }) => returnAt < read.callAt);
    if (before !== undefined && before.revision > read.revision)
      report(read, `the same replica had been at ${before.revision}`);
    const highest = Math.max(read.revision, earlier.at(-1)?.revision ?? 0);
    earlier.push({ revision: highest, returnAt: read.returnAt });
  }
}

function keyOf({ input }: Operation<KvInput, KvOutput>): string {
  return input.key;
}

function acknowledgedChanges(history: readonly Operation<KvInput, KvOutput>[]): Map<string, Change[]> {
  const changes = new Map<string, Change[]>();
  for (const operation of history) {
    if (operation.status !== "ok" || !("revision" in operation.output)) continue;
    const { input, output } = operation;
    const value = "value" in input ? input.value : null;
    const list = changes.get(input.key);
    if (list === undefined) changes.set(input.key, [{ revision: output.revision, value }]);
    else list.push({ revision: output.revision, value });
  }
  return changes;
}

function writersByValue(
  history: readonly Operation<KvInput, KvOutput>[],
): Map<string, { key: string; status: string; callAt: number }> {
  const writers = new Map<string, { key: string; status: string; callAt: number }>();
  for (const { input, status, callAt } of history) {
    if (input.type === "put" || input.type === "cas")
      writers.set(input.value, { key: input.key, status, callAt });
  }
  return writers;
}
