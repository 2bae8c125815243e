import { join } from "node:path";
import { freePorts } from "../../runtimes/node/free-ports.ts";
import {
  bundle,
  type ClusterOptions,
  LocalCluster,
  type Vars,
} from "../../runtimes/workers/local-cluster.ts";
import type { Run } from "../support/program.ts";
import { type Deployment, SETTINGS } from "./deployment.ts";

/** In workerd, started by Miniflare from this process. */
export async function inMiniflare(
  run: Run,
  dir: string,
  { port, sockets = [], vars }: Pick<ClusterOptions, "port" | "sockets"> & { readonly vars?: Vars } = {},
): Promise<Deployment> {
  const script = await bundle("test/blackbox/workers/harmed-worker.ts");
  let current = {
    script,
    dir: join(dir, "objects"),
    port: port ?? (await freePorts(1))[0]!,
    sockets,
    vars: { ...SETTINGS, ...vars },
  };
  let cluster = await LocalCluster.start(current);
  run.cleanUp(() => cluster.stop());
  return {
    url: cluster.url,
    async restart() {
      await cluster.stop();
      cluster = await LocalCluster.start(current);
    },
    async deploy(changed) {
      current = { ...current, vars: { ...current.vars, ...changed } };
      await cluster.redeploy(current);
    },
  };
}
