import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { bundleStorage, type StorageEngine } from "../../../src/core/node/index.ts";
import { storageConformance } from "../../adapters/conformance.ts";
import { command } from "../../adapters/storage-helpers.ts";

storageConformance("a log here and metadata there", {
  site: () => {
    const [main, meta] = [new MemoryStorage(), new MemoryStorage()];
    return Promise.resolve({
      open: () => bundleStorage(main.reopen(), meta.reopen()),
      remove: () => Promise.resolve(),
    });
  },
  histories: 20,
});

const IDENTITY = { clusterId: 7n, groupId: "g", nodeId: 1n };

/** Two stores that were set up together. */
async function used(): Promise<{ main: MemoryStorage; meta: MemoryStorage }> {
  const [main, meta] = [new MemoryStorage(), new MemoryStorage()];
  const bundle = await bundleStorage(main, meta);
  await bundle.log.append([command(1, 1)]);
  await bundle.meta.saveHardState({ term: 3, vote: 1n, commit: 1 });
  await bundle.meta.saveIdentity(IDENTITY);
  return { main, meta };
}

const refusal = async (main: StorageEngine, meta: StorageEngine): Promise<unknown> =>
  bundleStorage(main, meta).then(
    () => null,
    (error: unknown) => error,
  );

describe("stores that do not belong together", () => {
  it("are told by their identities", async () => {
    const { meta } = await used();
    const other = new MemoryStorage();
    await other.meta.saveIdentity({ ...IDENTITY, nodeId: 2n });
    expect(await refusal(other, meta)).toMatchObject({
      code: "storageForeign",
      detail: "the log is that of node 2, the metadata that of node 1",
    });
  });

  it("are a log without its votes, and votes without their log", async () => {
    const { main, meta } = await used();
    expect(await refusal(main, new MemoryStorage())).toMatchObject({
      code: "storageCorrupt",
      detail: expect.stringContaining("the store of the metadata is empty"),
    });
    expect(await refusal(new MemoryStorage(), meta)).toMatchObject({
      code: "storageCorrupt",
      detail: expect.stringContaining("the store of the log is empty"),
    });
    await bundleStorage(main, meta);
  });
});

it("finishes what a crash broke off between the two identities", async () => {
  const [main, meta] = [new MemoryStorage(), new MemoryStorage()];
  const bundle = await bundleStorage(main, meta);
  await bundle.log.append([command(1, 1)]);
  await bundle.meta.saveHardState({ term: 1, vote: null, commit: 1 });
  await main.meta.saveIdentity(IDENTITY);
  expect(await (await bundleStorage(main, meta)).meta.load()).toMatchObject({ identity: IDENTITY });
});

it("gathers writes if the store of the log does", async () => {
  const gathering = (): StorageEngine => Object.assign(new MemoryStorage(), { gathersWrites: true });
  expect((await bundleStorage(gathering(), new MemoryStorage())).gathersWrites).toBe(true);
  expect((await bundleStorage(new MemoryStorage(), gathering())).gathersWrites).toBeUndefined();
});

it("is owned as long as both stores are", async () => {
  let lost: EngineError | null = null;
  const owned = (): StorageEngine => {
    const store = new MemoryStorage();
    const confirmOwner = (): Promise<void> => (lost === null ? Promise.resolve() : Promise.reject(lost));
    return {
      meta: store.meta,
      log: store.log,
      snapshots: store.snapshots,
      confirmOwner,
      close: () => store.close(),
    };
  };
  expect((await bundleStorage(new MemoryStorage(), new MemoryStorage())).confirmOwner).toBeUndefined();
  const bundles = [
    await bundleStorage(owned(), new MemoryStorage()),
    await bundleStorage(new MemoryStorage(), owned()),
  ];
  for (const { confirmOwner } of bundles) await confirmOwner?.();
  lost = new EngineError("fenced");
  for (const { confirmOwner } of bundles)
    await expect(confirmOwner?.()).rejects.toMatchObject({ code: "fenced" });
});
