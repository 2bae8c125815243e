import { HistoryError, assertTimes } from "./history.ts";
import type { Call, Verdict } from "./history.ts";

export type SetElement = string | number;

/** Each element is added once, and none is ever removed. */
export type SetAdd = Call & { readonly element: SetElement } & (
    | { readonly status: "ok"; readonly returnAt: number }
    | { readonly status: "failed" }
    | { readonly status: "unknown" }
  );

/** A read of the whole set. */
export type SetRead = Call & { readonly returnAt: number; readonly elements: readonly SetElement[] };

export interface SetOptions {
  /** Whether every read must see what was there before it began. Otherwise only the last must. Default true. */
  readonly areReadsLinearizable?: boolean;
}

export interface SetResult {
  readonly verdict: Verdict;
  /** Acknowledged or seen once, and gone for good. */
  readonly lost: readonly SetElement[];
  /** Acknowledged or seen once, absent in a later read, and back again. */
  readonly stale: readonly SetElement[];
  /** Read, though never added, or added only later, or by an operation that failed. */
  readonly unexpected: readonly SetElement[];
  /** More than once in one read. */
  readonly duplicated: readonly SetElement[];
  /** Added by an unknown operation and seen: no fault. */
  readonly recovered: readonly SetElement[];
  /** Acknowledged after the last read had begun, so that nothing says whether they are there. */
  readonly unverified: readonly SetElement[];
  readonly explanation: string;
}

/**
 * Whether a set keeps what it was given: an element that was acknowledged, or read, is in every read that begins
 * later. Elements of unknown adds may be there or not until someone sees them.
 *
 * `unknown` when no read began after an acknowledged add. Throws a HistoryError when an element is added twice.
 */
export function checkSet(
  adds: readonly SetAdd[],
  reads: readonly SetRead[],
  { areReadsLinearizable = true }: SetOptions = {},
): SetResult {
  const byCall = reads
    .map((read) => {
      assertTimes({ ...read, status: "ok" });
      return { ...read, has: new Set(read.elements) };
    })
    .toSorted((a, b) => a.callAt - b.callAt);
  const addOf = addsByElement(adds);
  const firstSeen = new Map<SetElement, number>();
  for (const { has, returnAt } of byCall) {
    for (const element of has) firstSeen.set(element, Math.min(firstSeen.get(element) ?? Infinity, returnAt));
  }

  const lost: SetElement[] = [];
  const stale: SetElement[] = [];
  const unverified: SetElement[] = [];
  for (const [element, add] of addOf) {
    const acknowledgedAt = add.status === "ok" ? add.returnAt : Infinity;
    const knownAt = Math.min(acknowledgedAt, firstSeen.get(element) ?? Infinity);
    if (knownAt === Infinity) continue;
    const after = byCall.filter(({ callAt }) => callAt > knownAt);
    if (after.at(-1)?.has.has(element) === false) lost.push(element);
    else if (areReadsLinearizable && after.some(({ has }) => !has.has(element))) stale.push(element);
    if (after.length === 0 && add.status === "ok" && !firstSeen.has(element)) unverified.push(element);
  }
  const unexpected = [...firstSeen]
    .filter(([element, seenAt]) => {
      const add = addOf.get(element);
      return add === undefined || add.status === "failed" || seenAt < add.callAt;
    })
    .map(([element]) => element);
  const duplicated = [...firstSeen.keys()].filter((element) =>
    byCall.some(({ has, elements }) => elements.length > has.size && isTwiceIn(elements, element)),
  );
  const recovered = [...firstSeen.keys()].filter((element) => addOf.get(element)?.status === "unknown");

  const faults = { lost, stale, unexpected, duplicated };
  const isViolated = Object.values(faults).some((elements) => elements.length > 0);
  return {
    ...faults,
    verdict: isViolated ? "violation" : unverified.length > 0 ? "unknown" : "ok",
    recovered,
    unverified,
    explanation: Object.entries({ ...faults, unverified })
      .filter(([, elements]) => elements.length > 0)
      .map(([fault, elements]) => `${elements.length} ${fault}: ${elements.slice(0, 10).join(", ")}`)
      .join("; "),
  };
}

function addsByElement(adds: readonly SetAdd[]): Map<SetElement, SetAdd> {
  const addOf = new Map<SetElement, SetAdd>();
  for (const add of adds) {
    assertTimes(add);
    if (addOf.has(add.element)) throw new HistoryError(`${add.element} is added twice`);
    addOf.set(add.element, add);
  }
  return addOf;
}

function isTwiceIn(elements: readonly SetElement[], element: SetElement): boolean {
  return elements.indexOf(element) !== elements.lastIndexOf(element);
}
