import { MemoryStorage } from "../../../adapters/memory/index.ts";
import { openObjectStorage } from "../../../adapters/object-store/index.ts";
import { openSqliteStorage } from "../../../adapters/sqlite/index.ts";
import { bundleStorage, type Logger, type StorageEngine } from "../../../core/node/index.ts";
import type { ObjectLocation, StorageLocation } from "../config/storage-url.ts";
import { nodeClock } from "../node-clock.ts";
import { nodeRandom } from "../node-random.ts";
import { objectPrefix, type StorageConfig } from "./describe-storage.ts";
import { openObjectStore } from "./open-object-store.ts";

/**
 * Opens the stores that the configuration names.
 *
 * @throws EngineError what the adapter rejects with; `invalidConfig` when its SDK is not installed.
 */
export async function openStorage(config: StorageConfig, logger: Logger): Promise<StorageEngine> {
  const main = await open(config.storage, config, logger);
  if (config.storageMeta === null) return main;
  let meta: StorageEngine | null = null;
  try {
    meta = await open(config.storageMeta, config, logger);
    return await bundleStorage(main, meta);
  } catch (error) {
    await Promise.all([main.close(), meta?.close()]);
    throw error;
  }
}

async function open(
  location: StorageLocation,
  config: StorageConfig,
  logger: Logger,
): Promise<StorageEngine> {
  switch (location.type) {
    case "sqlite":
      return await openSqliteStorage({ dir: location.dir });
    case "memory":
      logger.log("warn", "storage is in memory: what is written is gone with the process");
      return new MemoryStorage();
    default:
      return await openObjects(location, config, logger);
  }
}

async function openObjects(
  location: ObjectLocation,
  config: StorageConfig,
  logger: Logger,
): Promise<StorageEngine> {
  const { lingerMs } = location;
  const store = await openObjectStore(location, objectPrefix(location, config));
  try {
    return await openObjectStorage({
      store,
      clock: nodeClock,
      random: nodeRandom,
      logger,
      ...(lingerMs === undefined ? {} : { lingerMs }),
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}
