import { EngineError } from "../errors/index.ts";
import { BOOTSTRAP, type HardState, type NodeId, simpleConfig } from "../raft/index.ts";
import { requireStorable } from "./codec/index.ts";
import type { Member } from "./engine.ts";
import { Membership } from "./membership.ts";
import type { StorageEngine, StoreIdentity } from "./ports.ts";

/**
 * Sets up a founder's store, but for its identity: a state at {@link BOOTSTRAP}, as if it had been restored from a
 * snapshot there. It must be the same on every founder.
 *
 * @param chunks the state machine's snapshot.
 */
export async function foundStore(
  storage: StorageEngine,
  nodeId: NodeId,
  founders: readonly Member[],
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<HardState> {
  const voters = founders.filter((member) => !member.isLearner).map((member) => member.id);
  const learners = founders.filter((member) => member.isLearner).map((member) => member.id);
  if (!voters.includes(nodeId)) {
    throw new EngineError("invalidConfig", { detail: "this node is not a voter among the founding members" });
  }
  for (const member of founders) requireStorable(member);
  const membership = new Membership(simpleConfig(voters, learners), founders);
  const writer = await storage.snapshots.create(
    { ...BOOTSTRAP, config: membership.config },
    membership.encode(),
  );
  try {
    for await (const chunk of chunks) await writer.write(chunk);
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.commit();
  await storage.log.reset(BOOTSTRAP.index, BOOTSTRAP.term);
  const hardState: HardState = { term: BOOTSTRAP.term, vote: null, commit: BOOTSTRAP.index };
  await storage.meta.saveHardState(hardState);
  return hardState;
}

/**
 * Sets up the store of one founder of a new cluster, which begins with a state that is not empty. Every founder needs
 * the same state.
 *
 * @throws EngineError `storageForeign` when the store has been used before.
 */
export async function foundFrom(
  storage: StorageEngine,
  identity: StoreIdentity,
  founders: readonly Member[],
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const bounds = await storage.log.open();
  if ((await storage.meta.load()).identity !== null || bounds.lastIndex > 0) {
    throw new EngineError("storageForeign", { detail: "it has been used before" });
  }
  await foundStore(storage, identity.nodeId, founders, chunks);
  // Last: a store with an identity is a store that was set up to the end.
  await storage.meta.saveIdentity(identity);
}
