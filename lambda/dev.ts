// `npm run dev:lambda`: a function URL on this machine, and the function behind it in this process. Variables say what it
// does, as on Lambda. Without D_ENGINE_ENDPOINTS, and with D_ENGINE_STORAGE, it is the node itself (index.node); with
// D_ENGINE_ENDPOINTS it stands in front of those (index.handler); with neither, in front of a node that is started here
// and keeps nothing.
//
// --port=N: where it listens on loopback, default 9000. --node-port=N: where that node does, default 2379.
// --timeout=SECONDS: of an invocation, default 10.

import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { frontHandler, nodeHandler } from "../src/runtimes/lambda/index.ts";
import { EmbeddedEngine } from "../src/runtimes/node/index.ts";
import { functionUrl } from "./function-url.ts";

const DEV_TOKEN = "dev-token-of-this-machine";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "9000" },
    "node-port": { type: "string", default: "2379" },
    timeout: { type: "string", default: "10" },
  },
});
const timeoutMs = Number(values.timeout) * 1000;

const env: Record<string, string | undefined> = { ...process.env };
env["ETCD_NAME"] ??= "n1";
env["D_ENGINE_CLIENT_TOKEN"] ??= DEV_TOKEN;
const token = env["D_ENGINE_CLIENT_TOKEN"];

const isNode = env["D_ENGINE_ENDPOINTS"] === undefined && env["D_ENGINE_STORAGE"] !== undefined;
if (!isNode) env["D_ENGINE_ENDPOINTS"] ??= await startNode();
type Handler = (event: object, context: object) => Promise<unknown>;
const handler = (isNode ? nodeHandler(env) : frontHandler(env)) as unknown as Handler;

const server = functionUrl((event) => {
  const endMs = performance.now() + timeoutMs;
  return handler(event, { getRemainingTimeInMillis: () => endMs - performance.now() });
});
server.listen(Number(values.port), "127.0.0.1", () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(
    [
      isNode
        ? `the function is the node; its log is in ${env["D_ENGINE_STORAGE"]}`
        : "the function is in front",
      `  curl -X PUT ${url}/kv/greeting -H 'Authorization: Bearer ${token}' -d hello`,
      `  curl ${url}/kv/greeting -H 'Authorization: Bearer ${token}'`,
    ].join("\n"),
  );
});

/** A member in this process, for as long as it runs. */
async function startNode(): Promise<string> {
  const listenClientUrls = `http://127.0.0.1:${values["node-port"]}`;
  const settings = { listenClientUrls, clientToken: token, storage: "memory:", env: {} };
  const engine = await EmbeddedEngine.start("./unused", settings);
  await engine.waitReady(5000);
  console.log(`a node at ${listenClientUrls} that keeps nothing`);
  return listenClientUrls;
}
