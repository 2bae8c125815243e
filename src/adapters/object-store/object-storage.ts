import { EngineError } from "../../core/errors/index.ts";
import type { Clock, Logger, Random, StorageEngine, StoreIdentity } from "../../core/node/index.ts";
import type { Entry, HardState } from "../../core/raft/index.ts";
import { Patience } from "./journal/patience.ts";
import type { ObjectStore } from "./object-store.ts";
import { SegmentLog } from "./segment-log.ts";
import { ObjectSnapshotStore } from "./snapshot-store.ts";

/** Where a node's stores are, and how they are written. */
export interface ObjectStorageOptions {
  /** Opened with a prefix that belongs to this node alone. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: nothing is logged. */
  readonly logger?: Logger;
  /**
   * Who is going to use it, if that is known: what belongs to another is then refused here. Without it the identity
   * that `meta.load` tells must be compared before `log.open`, as the driver does.
   */
  readonly identity?: StoreIdentity;
  /**
   * The least time between the beginnings of two writes, in milliseconds; what comes meanwhile goes into the next
   * one. Bounds the price: 100 makes at most ten writes a second. A store that was idle for so long writes at once.
   * Default: 0, as many as come.
   */
  readonly lingerMs?: number;
  /**
   * How often other processes may be quicker before taking ownership is given up with `storageLocked`. Default 8: one
   * that is begun in another's place gets it. 1 for one of many that are each as good, and had better come back later.
   */
  readonly maxRaises?: number;
}

/** Stores of one node in one place: see {@link openObjectStorage}. */
export interface ObjectStorage extends StorageEngine {
  readonly snapshots: ObjectSnapshotStore;
  confirmOwner(): Promise<void>;
}

/**
 * The stores of one node as objects under one prefix: log, metadata and snapshots.
 *
 * Opening reads and writes nothing. The first `log.open`, or the first write, takes ownership: from then on every
 * process that had it open before is `fenced`. Closing closes the object store as well.
 *
 * @throws EngineError `storageForeign` (another node's, another program's, or another version's), `storageCorrupt`
 * (an object is missing or damaged), and what the store itself refuses: nothing has been written then.
 */
export async function openObjectStorage(options: ObjectStorageOptions): Promise<ObjectStorage> {
  const { store, clock, random, logger = SILENT, identity = null, lingerMs = 0, maxRaises } = options;
  if (!(lingerMs >= 0 && lingerMs <= MAX_LINGER_MS)) {
    throw new EngineError("invalidConfig", {
      detail: `lingerMs must be 0 to ${MAX_LINGER_MS}, not ${lingerMs}`,
    });
  }
  const log = await SegmentLog.connect({
    store,
    identity,
    lingerMs,
    ...(maxRaises === undefined ? {} : { maxRaises }),
    clock,
    random,
    logger,
  });
  const confirmOwner = (): Promise<void> => log.confirmOwner();
  const patience = new Patience(clock, random);
  const snapshots = new ObjectSnapshotStore({ store, patience, logger, confirm: confirmOwner });
  return {
    meta: log,
    log,
    snapshots,
    commit: (hardState: HardState, entries: readonly Entry[]) => log.commit(hardState, entries),
    confirmOwner,
    gathersWrites: true,
    close: async () => {
      await snapshots.close();
      await log.close();
      await store.close();
    },
  };
}

const MAX_LINGER_MS = 10_000;
const SILENT: Logger = { log: () => {} };
