import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Client } from "../../../src/core/node/index.ts";
import { createClient } from "../../../src/runtimes/client/index.ts";
import { nodeClock, nodeRandom } from "../../../src/runtimes/node/index.ts";
import { startLoneEngine } from "../../core/node/lone-engine.ts";
import { testApp } from "../http/test-app.ts";
import type { ContractSite } from "./contract.ts";

export async function embeddedSite(): Promise<ContractSite> {
  const engine = await startLoneEngine();
  return {
    engine,
    makeClient: () => new Client(engine, { clock: nodeClock, random: nodeRandom }),
    stop: () => engine.stop(),
  };
}

/** By `fetch` in name only: the app is called. */
export async function appSite(): Promise<ContractSite> {
  const engine = await startLoneEngine();
  const { app } = testApp(engine);
  return {
    engine,
    makeClient: () =>
      createClient({
        endpoints: "http://app.test",
        fetch: async (url, init) => await app.request(url, init),
      }),
    stop: () => engine.stop(),
  };
}

/** The app on a socket of this machine. */
export async function socketSite(): Promise<ContractSite> {
  const engine = await startLoneEngine();
  const { app } = testApp(engine);
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    engine,
    makeClient: () => createClient({ endpoints: `http://127.0.0.1:${port}/` }),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await engine.stop();
    },
  };
}
