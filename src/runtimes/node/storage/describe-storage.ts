import type { ServerConfig } from "../config/server-config.ts";
import type { ObjectLocation, StorageLocation } from "../config/storage-url.ts";
import { namespaceOf } from "./namespace.ts";

/** What decides where a node's stores are. */
export type StorageConfig = Pick<
  ServerConfig,
  "storage" | "storageMeta" | "initialClusterToken" | "groupId" | "name"
>;

/** Where a node keeps its log, in words for people. */
export function describeStorage(config: StorageConfig): string {
  const { storage, storageMeta } = config;
  const main = describeLocation(storage, config);
  return storageMeta === null
    ? main
    : `${main} with its metadata in ${describeLocation(storageMeta, config)}`;
}

/** The prefix under which a node keeps its objects. */
export function objectPrefix(
  { prefix }: ObjectLocation,
  config: Pick<ServerConfig, "initialClusterToken" | "groupId" | "name">,
): string {
  return prefix === "" ? namespaceOf(config) : `${prefix}/${namespaceOf(config)}`;
}

export function describeLocation(location: StorageLocation, config: StorageConfig): string {
  switch (location.type) {
    case "sqlite":
      return location.dir;
    case "memory":
      return "memory";
    default:
      return `${location.type}://${location.container}/${objectPrefix(location, config)}`;
  }
}
