import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import {
  type DurableObjectStorageEngine,
  openDurableObjectStorage,
} from "../../src/adapters/durable-object/index.ts";
import type { SnapshotInfo, SnapshotWriter } from "../../src/core/node/index.ts";
import type { StorageSite } from "../adapters/conformance.ts";
import type { StorageObject } from "./main.ts";

type Stub = DurableObjectStub<StorageObject>;

/** A Durable Object of its own as the place where a store lives. Closing it ends the object's life. */
export interface ObjectSite extends StorageSite {
  /** A stub that no earlier failure of the object has broken. */
  readonly stub: Stub;
  open(): Promise<DurableObjectStorageEngine>;
  /** Runs in the object, on its storage. */
  run<T>(work: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T>;
}

export async function objectSite(): Promise<ObjectSite> {
  const id = env.STORAGE.newUniqueId();
  const stub = (): Stub => env.STORAGE.get(id);
  const run: ObjectSite["run"] = (work) => runInDurableObject(stub(), (_, state) => work(state.storage));
  return {
    get stub() {
      return stub();
    },
    run,
    open: async () => reach(stub(), await run((storage) => openDurableObjectStorage(storage))),
    remove: () => run((storage) => storage.deleteAll()),
  };
}

/**
 * The engine as somebody outside the object can use it: whatever is called is called in the object, as an event of
 * its own, since storage belongs to the object and nobody else may touch it.
 */
function reach(stub: Stub, engine: DurableObjectStorageEngine): DurableObjectStorageEngine {
  const call = inOrder(stub);
  const { meta, log, snapshots } = engine;
  const reachWriter = (writer: SnapshotWriter): SnapshotWriter => ({
    write: (chunk) => call(() => writer.write(chunk)),
    commit: () => call(() => writer.commit()),
    abort: () => call(() => writer.abort()),
  });
  async function* read(info: SnapshotInfo, offset?: number): AsyncGenerator<Uint8Array> {
    const chunks = snapshots.read(info, offset)[Symbol.asyncIterator]();
    for (;;) {
      const next = await call(() => chunks.next());
      if (next.done === true) return;
      yield next.value;
    }
  }
  return {
    meta: {
      load: () => call(() => meta.load()),
      saveIdentity: (identity) => call(() => meta.saveIdentity(identity)),
      saveHardState: (hardState) => call(() => meta.saveHardState(hardState)),
    },
    log: {
      open: () => call(() => log.open()),
      append: (entries) => call(() => log.append(entries)),
      read: (from, to, maxBytes) => call(() => log.read(from, to, maxBytes)),
      term: (index) => call(() => log.term(index)),
      compact: (to) => call(() => log.compact(to)),
      reset: (index, term) => call(() => log.reset(index, term)),
    },
    snapshots: {
      list: () => call(() => snapshots.list()),
      create: async (meta_, context) => reachWriter(await call(() => snapshots.create(meta_, context))),
      read,
      drop: (info) => call(() => snapshots.drop(info)),
    },
    commit: (hardState, entries) => call(() => engine.commit(hardState, entries)),
    confirmOwner: () => call(() => engine.confirmOwner()),
    touch: () => engine.touch(),
    get rowsRead() {
      return engine.rowsRead;
    },
    get rowsWritten() {
      return engine.rowsWritten;
    },
    close: async () => {
      await call(() => engine.close());
      await evictDurableObject(stub);
    },
  };
}

/**
 * Calls in the object, begun in the order in which they were asked for, which separate events do not promise: what
 * one turn asks for goes into one event, and the next event begins when that is done.
 */
function inOrder(stub: Stub): <T>(work: () => T | Promise<T>) => Promise<T> {
  let waiting: Call[] = [];
  let isRunning = false;
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const calls = waiting;
      waiting = [];
      await runTogether(stub, calls);
    }
    isRunning = false;
  };
  return <T>(work: () => T | Promise<T>) =>
    new Promise<T>((resolve, reject) => {
      const settle = (outcome: PromiseSettledResult<unknown>): void => {
        if (outcome.status === "fulfilled") resolve(outcome.value as T);
        else reject(outcome.reason as Error);
      };
      waiting.push({ work, settle });
      if (isRunning) return;
      isRunning = true;
      queueMicrotask(() => void drain());
    });
}

interface Call {
  readonly work: () => unknown;
  readonly settle: (outcome: PromiseSettledResult<unknown>) => void;
}

async function runTogether(stub: Stub, calls: readonly Call[]): Promise<void> {
  try {
    const outcomes = await runInDurableObject(stub, () =>
      Promise.allSettled(calls.map(async ({ work }) => work())),
    );
    calls.forEach(({ settle }, i) => settle(outcomes[i]!));
  } catch (reason) {
    for (const { settle } of calls) settle({ status: "rejected", reason });
  }
}
