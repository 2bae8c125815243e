// `npm run dev:workers`: a local cluster in the real runtime, workerd, with secrets for development.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const TOKEN = "a-token-for-development";
const PEER_SECRET = "a-secret-for-development";
/** Where wrangler listens unless it is told otherwise. */
const PORT = 8787;

/** What was given after `npm run dev:workers --` goes to wrangler; a port is understood here as well. */
const given = process.argv.slice(2);
const at = given.indexOf("--port");
const port = at === -1 ? ((await isFree(PORT)) ? PORT : await freePort()) : Number(given[at + 1]);
if (at !== -1) given.splice(at, 2);

const url = `http://127.0.0.1:${port}`;
const vars = [`D_ENGINE_CLIENT_TOKEN:${TOKEN}`, `D_ENGINE_PEER_SECRET:${PEER_SECRET}`, "D_ENGINE_GROUPS:*"];
const wrangler = new URL("../node_modules/wrangler/bin/wrangler.js", import.meta.url).pathname;
const args = [
  "dev",
  "--ip",
  "127.0.0.1",
  "--port",
  String(port),
  ...vars.flatMap((each) => ["--var", each]),
  ...given,
];
const child = spawn(process.execPath, [wrangler, ...args], { stdio: ["ignore", "inherit", "inherit"] });
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 0));

await answers();
console.log(`
Three Durable Objects are listening at ${url}. In another terminal:

  curl -H "Authorization: Bearer ${TOKEN}" -X PUT -d hello ${url}/kv/greeting
  curl -H "Authorization: Bearer ${TOKEN}" ${url}/kv/greeting
`);

/** Waits for the Worker: without a token it refuses, which is answer enough and wakes nobody. */
async function answers(): Promise<void> {
  for (;;) {
    const response = await fetch(url).catch(() => null);
    if (response !== null) return await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function isFree(candidate: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(candidate, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : PORT));
    });
  });
}
