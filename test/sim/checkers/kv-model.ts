import type { Model } from "./models.ts";
import type { ValueTraits } from "./value-flow.ts";

/** What a swap depends on: the value (null: no such key) or the revision of the last change (0: no such key). */
export type KvExpectation = { readonly value: string | null } | { readonly modRevision: number };

export type KvInput =
  | { readonly type: "get"; readonly key: string }
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "delete"; readonly key: string }
  | { readonly type: "cas"; readonly key: string; readonly expected: KvExpectation; readonly value: string };

/** A key's value as a reply shows it. */
export interface SeenValue {
  readonly value: string;
  readonly modRevision: number;
  /** Puts since creation, 1 for the first. */
  readonly version: number;
}

/** `revision`: of the store just after the change, which is the key's new mod revision. */
export type KvOutput =
  | { readonly type: "get"; readonly kv: SeenValue | null }
  | { readonly type: "put"; readonly revision: number }
  | { readonly type: "delete"; readonly deleted: false }
  | { readonly type: "delete"; readonly deleted: true; readonly revision: number }
  | { readonly type: "cas"; readonly swapped: false }
  | { readonly type: "cas"; readonly swapped: true; readonly revision: number };

/** One key. What an unknown change did to the revision stays open until a reply shows it. */
export interface KvState {
  readonly value: string | null;
  readonly version: number;
  /** Whether the revision of the last change is `revision`, or some revision from there on. */
  readonly exact: boolean;
  readonly revision: number;
  /** Revisions that the last change does not have, though they are not below `revision`; ascending. */
  readonly not: readonly number[];
}

/**
 * Keys of an etcd-like store, one by one: the replies carry revisions and versions, which pin an operation's
 * place far better than its value does. Revisions of one key grow with every change, deletion included; those of
 * the whole store are not compared across keys.
 *
 * An empty store is at revision 1.
 */
export function kvModel(): Model<KvState, KvInput, KvOutput> {
  return {
    init: { value: null, version: 0, exact: true, revision: 1, not: [] },
    step: stepKv,
    partitionKey: ({ key }) => key,
    stateKey: (state) =>
      JSON.stringify([state.value, state.version, state.exact, state.revision, ...state.not]),
    inputKey: (input) => JSON.stringify(input),
    observes: (input, output) =>
      input.type === "get" ||
      (output?.type === "delete" && !output.deleted) ||
      (output?.type === "cas" && !output.swapped),
    values: { valueOf: ({ value }) => JSON.stringify(value), traits: kvTraits },
    describeOperation: (input, output) =>
      `${describeInput(input)} → ${output === undefined ? "?" : describeOutput(output)}`,
    describeState,
  };
}

function stepKv(state: KvState, input: KvInput, output: KvOutput | undefined): readonly KvState[] {
  if (output !== undefined && output.type !== input.type) return [];
  switch (input.type) {
    case "get":
      return output?.type === "get" ? afterSeeing(state, output.kv) : [state];
    case "put":
      return changed(state, input.value, output?.type === "put" ? output.revision : undefined);
    case "delete":
      return stepDelete(state, output?.type === "delete" ? output : undefined);
    case "cas":
      return stepCas(state, input, output?.type === "cas" ? output : undefined);
  }
}

function stepDelete(
  state: KvState,
  output: Extract<KvOutput, { type: "delete" }> | undefined,
): readonly KvState[] {
  const deletes = state.value !== null;
  if (output !== undefined && output.deleted !== deletes) return [];
  return deletes ? changed(state, null, output?.deleted === true ? output.revision : undefined) : [state];
}

function stepCas(
  state: KvState,
  { expected, value }: Extract<KvInput, { type: "cas" }>,
  output: Extract<KvOutput, { type: "cas" }> | undefined,
): readonly KvState[] {
  const revision = output?.swapped === true ? output.revision : undefined;
  const swapped = whereMet(state, expected, true).flatMap((met) => changed(met, value, revision));
  const kept = whereMet(state, expected, false);
  if (output === undefined) return [...swapped, ...kept];
  return output.swapped ? swapped : kept;
}

/** The part of the state in which the expectation is met, or is not. */
function whereMet(state: KvState, expected: KvExpectation, met: boolean): readonly KvState[] {
  if ("value" in expected) return (expected.value === state.value) === met ? [state] : [];
  const { modRevision } = expected;
  // A missing key compares as revision 0, whatever the revision of its deletion was.
  if (state.value === null) return (modRevision === 0) === met ? [state] : [];
  const possible = mayHaveRevision(state, modRevision);
  if (met) return possible ? [{ ...state, exact: true, revision: modRevision, not: [] }] : [];
  if (!possible) return [state];
  if (state.exact) return [];
  return [{ ...state, not: [...state.not, modRevision].toSorted((a, b) => a - b) }];
}

function mayHaveRevision(state: KvState, revision: number): boolean {
  if (state.exact) return revision === state.revision;
  return revision >= state.revision && !state.not.includes(revision);
}

function changed(state: KvState, value: string | null, revision: number | undefined): readonly KvState[] {
  if (revision !== undefined && revision <= leastRevision(state)) return [];
  return [
    {
      value,
      version: value === null ? 0 : state.version + 1,
      exact: revision !== undefined,
      revision: revision ?? leastRevision(state) + 1,
      not: [],
    },
  ];
}

/** The least revision that the last change can have had. */
function leastRevision({ revision, not }: KvState): number {
  let least = revision;
  while (not.includes(least)) least++;
  return least;
}

function afterSeeing(state: KvState, kv: SeenValue | null): readonly KvState[] {
  if (kv === null) return state.value === null ? [state] : [];
  if (kv.value !== state.value || kv.version !== state.version) return [];
  if (!mayHaveRevision(state, kv.modRevision)) return [];
  return [{ ...state, exact: true, revision: kv.modRevision, not: [] }];
}

/** A put is not blind: its revision must be above that of what it replaces. */
function kvTraits(input: KvInput, output: KvOutput | undefined): ValueTraits {
  const missing = JSON.stringify(null);
  switch (input.type) {
    case "get":
      return output?.type === "get" ? { needs: JSON.stringify(output.kv?.value ?? null) } : {};
    case "put":
      return { gives: JSON.stringify(input.value) };
    case "delete":
      return output?.type === "delete" && !output.deleted ? { needs: missing } : { gives: missing };
    case "cas": {
      // A refused swap shuns its expectation. Nothing here is blind, so that nobody asks.
      if (output?.type === "cas" && !output.swapped) return {};
      const gives = JSON.stringify(input.value);
      return "value" in input.expected ? { needs: JSON.stringify(input.expected.value), gives } : { gives };
    }
  }
}

function describeInput(input: KvInput): string {
  switch (input.type) {
    case "get":
    case "delete":
      return input.type;
    case "put":
      return `put ${JSON.stringify(input.value)}`;
    case "cas":
      return `cas ${JSON.stringify(input.expected)} to ${JSON.stringify(input.value)}`;
  }
}

function describeOutput(output: KvOutput): string {
  switch (output.type) {
    case "get":
      return output.kv === null
        ? "no key"
        : `${JSON.stringify(output.kv.value)} version ${output.kv.version} at revision ${output.kv.modRevision}`;
    case "put":
      return `revision ${output.revision}`;
    case "delete":
      return output.deleted ? `deleted at revision ${output.revision}` : "no key";
    case "cas":
      return output.swapped ? `swapped at revision ${output.revision}` : "not as expected";
  }
}

function describeState({ value, version, exact, revision }: KvState): string {
  const at = `revision ${exact ? "" : "≥ "}${revision}`;
  return value === null ? `no key, ${at}` : `${JSON.stringify(value)} version ${version}, ${at}`;
}
