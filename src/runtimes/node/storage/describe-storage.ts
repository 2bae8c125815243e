import type { ServerConfig } from "../config/server-config.ts";
import type { ObjectLocation, StorageLocation } from "../config/storage-url.ts";
import { namespaceOf } from "./namespace.ts";

/** Where a node keeps its log, in words for people. */
export function describeStorage(config: ServerConfig): string {
  const { storage, storageMeta } = config;
  const main = describe(storage, config);
  return storageMeta === null ? main : `${main} with its metadata in ${describe(storageMeta, config)}`;
}

/** The prefix under which a node keeps its objects. */
export function objectPrefix(
  { prefix }: ObjectLocation,
  config: Pick<ServerConfig, "initialClusterToken" | "groupId" | "name">,
): string {
  return prefix === "" ? namespaceOf(config) : `${prefix}/${namespaceOf(config)}`;
}

function describe(location: StorageLocation, config: ServerConfig): string {
  switch (location.type) {
    case "sqlite":
      return location.dir;
    case "memory":
      return "memory";
    default:
      return `${location.type}://${location.container}/${objectPrefix(location, config)}`;
  }
}
