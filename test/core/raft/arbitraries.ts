import fc from "fast-check";
import { simpleConfig } from "../../../src/core/raft/cluster-config.ts";
import type { ClusterConfig, ConfChange, ConfChangeStep, NodeId } from "../../../src/core/raft/index.ts";

/** A small population, so that changes meet members as often as strangers. */
export const POPULATION: readonly NodeId[] = [1n, 2n, 3n, 4n, 5n, 6n];

export const someNodes = (minLength: number): fc.Arbitrary<NodeId[]> =>
  fc.subarray([...POPULATION], { minLength });

/** Not joint, with at least one voter. */
export const simple: fc.Arbitrary<ClusterConfig> = fc
  .tuple(someNodes(1), someNodes(0))
  .map(([voters, rest]) =>
    simpleConfig(
      voters,
      rest.filter((node) => !voters.includes(node)),
    ),
  );

export const joint: fc.Arbitrary<ClusterConfig> = fc
  .tuple(someNodes(1), someNodes(1))
  .map(([voters, votersOutgoing]) => ({ ...simpleConfig(voters), votersOutgoing }));

export const step: fc.Arbitrary<ConfChangeStep> = fc.record({
  type: fc.constantFrom("addVoter" as const, "addLearner" as const, "remove" as const),
  node: fc.constantFrom(...POPULATION),
});

export const change: fc.Arbitrary<ConfChange> = fc.record({
  steps: fc.array(step, { maxLength: 4 }),
  transition: fc.constantFrom("auto" as const, "implicit" as const, "explicit" as const),
  context: fc.constant(new Uint8Array(0)),
});

/** Every subset, the empty one included. */
export function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((all, item) => [...all, ...all.map((set) => [...set, item])], [[]]);
}

/** Every smallest-or-larger set of voters that may decide under the configuration: the definition, not the code. */
export function quorumsOf(config: ClusterConfig): NodeId[][] {
  const everyone = [...new Set([...config.voters, ...config.votersOutgoing])];
  const majority = (half: readonly NodeId[], set: readonly NodeId[]): boolean =>
    half.length === 0 || half.filter((node) => set.includes(node)).length * 2 > half.length;
  return subsets(everyone).filter(
    (set) => majority(config.voters, set) && majority(config.votersOutgoing, set),
  );
}
