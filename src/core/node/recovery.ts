import { assert, EngineError } from "../errors/index.ts";
import {
  BOOTSTRAP,
  changeConfig,
  type Entry,
  type HardState,
  type LogIndex,
  type RaftState,
  simpleConfig,
} from "../raft/index.ts";
import { type AppliedAmount, Applier } from "./applier.ts";
import { foundStore } from "./founding.ts";
import { Membership } from "./membership.ts";
import { Meter } from "./observer.ts";
import type { NodeOptions } from "./options.ts";
import type { LogBounds, SnapshotInfo, StorageEngine, StoreIdentity } from "./ports.ts";
import type { StateMachine } from "./state-machine.ts";

/** Entries are read from the store in pages of about this many bytes. */
const PAGE_BYTES = 4 << 20;

/** A node's state as its disk tells it: the state machine has been brought up to `raft.applied`. */
export interface Recovered {
  readonly raft: RaftState;
  readonly membership: Membership;
  /** Where the state machine stands. */
  readonly applied: { readonly index: LogIndex; readonly term: number };
  /** What was applied since the newest snapshot. */
  readonly sinceSnapshot: AppliedAmount;
}

/**
 * Opens the stores, refuses those of another group or node, restores the newest snapshot and applies what is known
 * to be committed after it. A founder's new store first gets the snapshot that every founder begins with.
 */
export async function recover<R>(options: NodeOptions, stateMachine: StateMachine<R>): Promise<Recovered> {
  const { storage, identity } = options;
  const meta = await storage.meta.load();
  if (meta.identity !== null) assertSameIdentity(meta.identity, identity);
  let bounds = await storage.log.open();
  let hardState = meta.hardState;
  if (meta.identity === null) {
    if (bounds.lastIndex > BOOTSTRAP.index)
      corrupt("there is a log, but no identity of the node it belongs to");
    if (options.founders !== null) hardState = await found(options, stateMachine);
    // Last: a store with an identity is a store that was set up to the end.
    await storage.meta.saveIdentity(identity);
    bounds = await storage.log.open();
  }
  const snapshot = (await storage.snapshots.list())[0];
  if (snapshot === undefined) return await awaitSnapshot(hardState, bounds);
  return await restore(options, stateMachine, hardState, bounds, snapshot);
}

function assertSameIdentity(stored: StoreIdentity, given: StoreIdentity): void {
  const same =
    stored.clusterId === given.clusterId &&
    stored.groupId === given.groupId &&
    stored.nodeId === given.nodeId;
  if (same) return;
  const name = (id: StoreIdentity): string =>
    `cluster ${id.clusterId.toString(16)}, group "${id.groupId}", node ${id.nodeId.toString(16)}`;
  throw new EngineError("storageForeign", { detail: `it holds ${name(stored)}; this is ${name(given)}` });
}

/** A founder's store: an empty state at {@link BOOTSTRAP}, as if it had been restored from a snapshot there. */
async function found<R>(options: NodeOptions, stateMachine: StateMachine<R>): Promise<HardState> {
  const { storage, founders } = options;
  assert(founders !== null, "a founder knows the founders");
  const empty = stateMachine.snapshot();
  const hardState = await foundStore(storage, options.identity.nodeId, founders, empty.chunks());
  empty.release();
  return hardState;
}

/** A node that joins a group knows nothing: its first snapshot will tell it who the members are. */
async function awaitSnapshot(stored: HardState | null, bounds: LogBounds): Promise<Recovered> {
  if (bounds.lastIndex > 0) corrupt("there is a log, but no snapshot for it to begin with");
  const config = simpleConfig([]);
  const applied = { index: 0, term: 0 };
  const hardState = stored ?? { term: 0, vote: null, commit: 0 };
  const compacted = { ...applied, config };
  return {
    raft: { hardState, compacted, applied: 0, config, tailPrev: applied, tail: [] },
    membership: new Membership(config, []),
    applied,
    sinceSnapshot: { entries: 0, bytes: 0 },
  };
}

async function restore<R>(
  { storage, clock, applied: observer }: NodeOptions,
  stateMachine: StateMachine<R>,
  stored: HardState | null,
  found: LogBounds,
  snapshot: SnapshotInfo,
): Promise<Recovered> {
  const { meta } = snapshot;
  const bounds = await alignLog(storage, found, snapshot);
  // The snapshot may have become durable a moment before the term in which it was received.
  const behind = stored === null || stored.term < meta.term;
  const hardState: HardState = {
    term: behind ? meta.term : stored.term,
    vote: behind ? null : stored.vote,
    commit: committedIndex(storage, stored, bounds, meta.index),
  };
  // From now on the node speaks in this term, and writes nothing for it that it already has.
  if (behind) await storage.meta.saveHardState(hardState);
  let config = meta.config;
  // What is applied again is not work that anybody waits for.
  const silent = new Meter(clock, null);
  const applier = new Applier(stateMachine, new Membership(config, []), meta, silent, {
    onConfChange: (change) => {
      const next = changeConfig(config, change);
      assert(!("refused" in next), "a committed membership change fits the configuration it meets");
      config = next;
      return next;
    },
    onResult: (id, _index, result) => observer?.onResult(id, result),
    onMembership: () => {},
  });
  await applier.restore(snapshot, storage.snapshots.read(snapshot));
  observer?.onSnapshot(meta.index);
  for await (const page of pages(storage, meta.index + 1, hardState.commit)) await applier.apply(page);
  const tail: Entry[] = [];
  for await (const page of pages(storage, hardState.commit + 1, bounds.lastIndex)) tail.push(...page);
  const applied = { index: applier.appliedIndex, term: applier.appliedTerm };
  const compacted = { index: bounds.firstIndex - 1, term: bounds.prevTerm, config: meta.config };
  return {
    raft: { hardState, compacted, applied: applied.index, config, tailPrev: applied, tail },
    membership: applier.membership,
    applied,
    sinceSnapshot: applier.sinceSnapshot,
  };
}

/**
 * Up to where the log is known to be committed. Stores that write hard state and entries in one step never know of
 * more than they hold; with others a crash may have come between the two writes, and what is missing was never
 * acknowledged.
 */
function committedIndex(
  storage: StorageEngine,
  stored: HardState | null,
  bounds: LogBounds,
  snapshotIndex: LogIndex,
): LogIndex {
  const known = Math.max(stored?.commit ?? 0, snapshotIndex);
  if (known > bounds.lastIndex && storage.commit !== undefined) {
    corrupt(`entries up to ${known} were committed, but the log ends at ${bounds.lastIndex}`);
  }
  return Math.min(known, bounds.lastIndex);
}

/** Makes the log continue the newest snapshot, finishing an installation that a crash broke off. */
async function alignLog(
  storage: StorageEngine,
  bounds: LogBounds,
  { meta }: SnapshotInfo,
): Promise<LogBounds> {
  if (meta.index < bounds.firstIndex - 1) {
    corrupt(`the log begins at ${bounds.firstIndex}, after the newest snapshot, which is at ${meta.index}`);
  }
  const continues = meta.index <= bounds.lastIndex && (await storage.log.term(meta.index)) === meta.term;
  if (continues) return bounds;
  await storage.log.reset(meta.index, meta.term);
  return await storage.log.open();
}

async function* pages(storage: StorageEngine, from: LogIndex, to: LogIndex): AsyncGenerator<Entry[]> {
  for (let next = from; next <= to;) {
    const page = await storage.log.read(next, to, PAGE_BYTES);
    assert(page.length > 0, "the log holds what its bounds promise");
    yield page;
    next += page.length;
  }
}

function corrupt(detail: string): never {
  throw new EngineError("storageCorrupt", { detail });
}
