import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { until } from "../../blackbox/support/waiting.ts";
import { freePorts } from "../node/free-ports.ts";

const DEV = fileURLToPath(new URL("../../../lambda/dev.ts", import.meta.url));

it("npm run dev:lambda serves a function URL in front of a node of its own", async () => {
  const [port, nodePort] = await freePorts(2);
  const { D_ENGINE_ENDPOINTS: _, D_ENGINE_STORAGE: __, ...env } = process.env;
  const child = spawn(process.execPath, [DEV, `--port=${port}`, `--node-port=${nodePort}`], { env });
  onTestFinished(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until(20, "what to type", async () => said.split("curl").length === 3);
  const token = /Bearer ([^']+)'/.exec(said)![1]!;
  const url = `http://127.0.0.1:${port}/kv/a%20key?consistency=linearizable`;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/octet-stream" };
  const put = await fetch(`http://127.0.0.1:${port}/kv/a%20key`, {
    method: "PUT",
    headers,
    body: new Uint8Array([0, 255, 10]),
  });
  expect([put.status, await put.text()]).toEqual([200, '{"revision":2}']);
  const got = await fetch(url, { headers });
  expect(new Uint8Array(await got.arrayBuffer())).toEqual(new Uint8Array([0, 255, 10]));
  expect((await fetch(url)).status).toBe(401);
});
