import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** A method, with another implementation's reader and writer of its messages. */
export type Definition = MethodDefinition<object, object>;

const etcd3 = dirname(createRequire(import.meta.url).resolve("etcd3/package.json"));
const own = join(dirname(fileURLToPath(import.meta.url)), "locks-and-health.proto");
const OPTIONS = { longs: String, enums: String, keepCase: true, oneofs: false, defaults: false };

const loaded = { ...loadSync(join(etcd3, "proto/rpc.proto"), OPTIONS), ...loadSync(own, OPTIONS) };

/** Packages of the real services that stand in our own file. */
const MOVED: Readonly<Record<string, string>> = {
  "/tests.Lock/": "/v3lockpb.Lock/",
  "/tests.Election/": "/v3electionpb.Election/",
  "/tests.KV/": "/etcdserverpb.KV/",
  "/tests.Health/": "/grpc.health.v1.Health/",
};

/** Every method by its path. */
export const DEFINITIONS: ReadonlyMap<string, Definition> = new Map(
  Object.values(loaded)
    .filter((each) => !("format" in each))
    .flatMap((service) => Object.values(service as ServiceDefinition))
    .map((method) => {
      const definition = method as Definition;
      const [prefix = ""] = /^\/[^/]+\//.exec(definition.path) ?? [];
      const path = (MOVED[prefix] ?? prefix) + definition.path.slice(prefix.length);
      return [path, { ...definition, path }];
    }),
);

/** One method: `KV/Range`, `Health/Check`. */
export function definition(name: string): Definition {
  const found = [...DEFINITIONS.values()].find(({ path }) => path.endsWith(`.${name}`));
  if (found === undefined) throw new Error(`no definition of ${name}`);
  return found;
}
