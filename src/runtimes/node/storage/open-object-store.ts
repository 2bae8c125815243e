import type { ObjectStore } from "../../../adapters/object-store/index.ts";
import type { ObjectLocation } from "../config/storage-url.ts";

/**
 * Connects to the store that a URL names. Adapters of the cloud, and their SDKs, are loaded only here, when they are
 * asked for.
 *
 * @param options `readOnly`: nothing is to be set up on the way.
 * @throws EngineError `invalidConfig` when the SDK is not installed.
 */
export async function openObjectStore(
  location: ObjectLocation,
  prefix: string,
  { readOnly = false }: { readonly readOnly?: boolean } = {},
): Promise<ObjectStore> {
  const { type, container, endpoint, region, account, shards, createTable } = location;
  const at = {
    prefix,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
  };
  switch (type) {
    case "s3": {
      const { s3ObjectStore } = await import("../../../adapters/s3/index.ts");
      return await s3ObjectStore({ bucket: container, ...at });
    }
    case "r2": {
      // From outside of Workers R2 is reached by its S3 API.
      const { s3ObjectStore } = await import("../../../adapters/s3/index.ts");
      const r2 = { region: "auto", endpoint: `https://${account}.r2.cloudflarestorage.com` };
      return await s3ObjectStore({ bucket: container, ...r2, ...at });
    }
    case "gs": {
      const { gcsObjectStore } = await import("../../../adapters/gcs/index.ts");
      return await gcsObjectStore({ bucket: container, ...at });
    }
    case "dynamodb": {
      const { dynamoDbObjectStore } = await import("../../../adapters/dynamodb/index.ts");
      return await dynamoDbObjectStore({
        table: container,
        ...at,
        ...(shards === undefined ? {} : { shards }),
        ...(createTable === undefined || readOnly ? {} : { createTable }),
        readOnly,
      });
    }
  }
}

/** The name of some object under a prefix, or null. Nothing is set up on the way, but for a table that is to be made. */
export async function someObject(location: ObjectLocation, prefix: string): Promise<string | null> {
  const readOnly = location.createTable !== true;
  let store: ObjectStore;
  try {
    store = await openObjectStore(location, prefix, { readOnly });
  } catch (error) {
    if (location.type !== "dynamodb") throw error;
    const { isNotSetUp } = await import("../../../adapters/dynamodb/index.ts");
    if (isNotSetUp(error)) return null;
    throw error;
  }
  try {
    return (await store.list("", { limit: 1 })).objects[0]?.name ?? null;
  } finally {
    await store.close();
  }
}
