import { EngineError } from "../errors/index.ts";
import type { LogStore, StorageEngine, StoreIdentity } from "./ports.ts";

/**
 * The log and the snapshots of one store with the metadata of another: a log on S3, say, with term and vote on
 * DynamoDB. Both were opened before; both are taken over by `log.open`, and closed with what this makes. The identity is
 * in both, so that neither can be exchanged for another's, or for an empty one, unnoticed.
 *
 * @throws EngineError `storageForeign`, `storageCorrupt`: the two do not belong together.
 */
export async function bundleStorage(main: StorageEngine, meta: StorageEngine): Promise<StorageEngine> {
  await refuseMismatch(main, meta);
  const owners = [main, meta].filter(({ confirmOwner }) => confirmOwner !== undefined);
  const confirmOwner = async (): Promise<void> => {
    await Promise.all(owners.map(async (store) => store.confirmOwner?.()));
  };
  return {
    log: takenOver(main.log, meta),
    snapshots: main.snapshots,
    meta: {
      load: () => meta.meta.load(),
      saveIdentity: async (identity) => {
        // What decides whether a node was set up to the end is the second of them.
        await main.meta.saveIdentity(identity);
        await meta.meta.saveIdentity(identity);
      },
      saveHardState: (hardState) => meta.meta.saveHardState(hardState),
    },
    close: async () => {
      await Promise.all([main.close(), meta.close()]);
    },
    ...(owners.length === 0 ? {} : { confirmOwner }),
    ...(main.gathersWrites === true ? { gathersWrites: true } : {}),
  };
}

/** The log of which `open` takes over both stores, as one that were a single store would. */
function takenOver(log: LogStore, beside: StorageEngine): LogStore {
  return {
    open: async () => {
      // Or the process before could go on voting while this one acknowledges entries of an earlier term.
      await beside.log.open();
      const bounds = await log.open();
      // Another may have taken both between the two, and vote: it lost the log to this one, but not the votes. Whoever
      // takes the votes after this goes on to the log, and is not open before this process is fenced there.
      await beside.confirmOwner?.();
      return bounds;
    },
    append: (entries) => log.append(entries),
    read: (from, to, maxBytes) => log.read(from, to, maxBytes),
    term: (index) => log.term(index),
    compact: (to) => log.compact(to),
    reset: (index, term) => log.reset(index, term),
  };
}

async function refuseMismatch(main: StorageEngine, meta: StorageEngine): Promise<void> {
  const { identity: ofLog } = await main.meta.load();
  const { identity: ofMeta, hardState } = await meta.meta.load();
  if (ofLog === null && ofMeta === null) return;
  if (ofLog === null) {
    throw corrupt(
      "the store of the log is empty, but that of the metadata has been used; the log is elsewhere, or lost",
    );
  }
  if (ofMeta === null) {
    // A founder's hard state is written before any identity, and a joiner has no log when it is set up.
    if (hardState === null && (await hasLog(main))) {
      throw corrupt(
        "the store of the metadata is empty, but that of the log has been used; the votes are elsewhere, or lost",
      );
    }
    return await meta.meta.saveIdentity(ofLog);
  }
  if (sameIdentity(ofLog, ofMeta)) return;
  throw new EngineError("storageForeign", {
    detail: `the log is that of node ${ofLog.nodeId.toString(16)}, the metadata that of node ${ofMeta.nodeId.toString(16)}`,
  });
}

async function hasLog({ log, snapshots }: StorageEngine): Promise<boolean> {
  return (await snapshots.list()).length > 0 || (await log.open()).lastIndex > 0;
}

function sameIdentity(a: StoreIdentity, b: StoreIdentity): boolean {
  return a.clusterId === b.clusterId && a.groupId === b.groupId && a.nodeId === b.nodeId;
}

function corrupt(detail: string): EngineError {
  return new EngineError("storageCorrupt", { detail });
}
