import { CLIENT_TOKEN, type Vars } from "../../runtimes/workers/local-cluster.ts";
import type { Endpoint } from "../support/api.ts";

/** The Worker of harmed-worker.ts on this machine, however it is made to run there. Its storage is kept throughout. */
export interface Deployment {
  readonly url: string;
  /** Ends the runtime, without letting anybody finish, and starts it again. */
  restart(): Promise<void>;
  /** Other variables, as by `wrangler deploy`: every object is restarted at once. */
  deploy(vars: Vars): Promise<void>;
}

export const SETTINGS: Vars = {
  DEPLOYMENT: "first",
  D_ENGINE_NODES: "n1,n2,n3",
  // The machine may be busy; between regions they would be higher still.
  ETCD_HEARTBEAT_INTERVAL: "100",
  ETCD_ELECTION_TIMEOUT: "1000",
  D_ENGINE_REQUEST_TIMEOUT: "4000",
  ETCD_SNAPSHOT_COUNT: "1000",
  ETCD_LOG_LEVEL: "warn",
};

const AUTHORIZATION = { Authorization: `Bearer ${CLIENT_TOKEN}` };

/** The Worker, as clients reach it. */
export function front({ url }: Deployment): Endpoint {
  return { name: "the Worker", url, headers: AUTHORIZATION };
}

/** One object, asked by itself. */
export function object({ url }: Deployment, node: string): Endpoint {
  return { name: node, url, headers: { ...AUTHORIZATION, "X-Ask-Object": `default/${node}` } };
}

/** See `LocalCluster.harm`; and `abort-when=written|durable`: in its next write to the log. */
export async function harm({ url }: Deployment, node: string, what: string): Promise<void> {
  try {
    const headers = { "X-Harm-Object": `default/${node}`, "X-Harm": what };
    await (await fetch(url, { headers, signal: AbortSignal.timeout(5000) })).text();
  } catch {
    // Whoever is aborted cannot say so.
  }
}

/** Which deployment answers: the variable of that name. */
export async function deployed({ url }: Deployment): Promise<string | null> {
  try {
    const response = await fetch(url, {
      headers: { "X-Ask-Deployment": "?" },
      signal: AbortSignal.timeout(5000),
    });
    return await response.text();
  } catch {
    return null;
  }
}
