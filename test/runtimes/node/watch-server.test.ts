import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const MAIN = fileURLToPath(new URL("../../../src/runtimes/node/cli/main.ts", import.meta.url));
const NOTHING = { streams: 0, watches: 0, slowWatches: 0 };

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

describe("a server's watches", () => {
  let url: string;
  let child: ChildProcess;

  beforeAll(async () => {
    const [port, peerPort] = await freePorts(2);
    url = `http://127.0.0.1:${port}`;
    const flags = [
      `--listen-client-urls=${url}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      `--data-dir=${await tempDir()}`,
    ];
    child = spawn(process.execPath, [MAIN, "serve", ...flags], {
      env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1" },
      stdio: "ignore",
    });
    await vi.waitUntil(async () => (await fetch(`${url}/health`).catch(() => null))?.status === 200, {
      timeout: 30_000,
      interval: 50,
    });
  });
  afterAll(async () => {
    child.kill("SIGKILL");
    await removeTempDirs();
  });

  async function counts(): Promise<object> {
    const { watches } = (await (await fetch(`${url}/status`)).json()) as { readonly watches: object };
    return watches;
  }

  async function put(key: string, value: string): Promise<void> {
    await fetch(`${url}/kv/${key}`, { method: "PUT", body: value });
  }

  it.each<[string, string, RequestInit]>([
    [
      "a JSON stream",
      "/v3/watch",
      { method: "POST", body: JSON.stringify({ create_request: { key: base64("k") } }) },
    ],
    ["server-sent events", "/watch?key=k", {}],
  ])(
    "%s: told at once, flushed one by one, and free when the client goes away",
    async (_what, path, init) => {
      const controller = new AbortController();
      const response = await fetch(url + path, { ...init, signal: controller.signal });
      expect(response.status).toBe(200);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      expect((await reader.read()).value).toContain(
        path === "/v3/watch" ? '"created":true' : "event: watching",
      );
      for (const value of ["one", "two"]) {
        await put("k", value);
        const text = (await reader.read()).value!;
        expect(text).toContain(path === "/v3/watch" ? base64(value) : value);
      }
      expect(await counts()).toEqual({ streams: 1, watches: 1, slowWatches: 0 });
      controller.abort();
      await reader.cancel().catch(() => undefined);
      await vi.waitFor(async () => expect(await counts()).toEqual(NOTHING), { timeout: 30_000 });
    },
  );

  it("a long poll: free when the client goes away, and when it was answered", async () => {
    const controller = new AbortController();
    const polling = fetch(`${url}/watch?key=k&wait=60s`, { signal: controller.signal });
    await vi.waitFor(async () => expect(await counts()).toMatchObject({ watches: 1 }), { timeout: 30_000 });
    controller.abort();
    await expect(polling).rejects.toThrow("aborted");
    await vi.waitFor(async () => expect(await counts()).toEqual(NOTHING), { timeout: 30_000 });
    const answered = fetch(`${url}/watch?key=k&wait=60s`);
    await vi.waitFor(async () => expect(await counts()).toMatchObject({ watches: 1 }), { timeout: 30_000 });
    await put("k", "three");
    expect(await (await answered).json()).toMatchObject({ events: [{ value: "three" }] });
    await vi.waitFor(async () => expect(await counts()).toEqual(NOTHING), { timeout: 30_000 });
  });

  it("a client that does not read costs no memory, and gets everything once it does", async () => {
    const body = JSON.stringify({ create_request: { key: base64("big") } });
    const response = await fetch(`${url}/v3/watch`, { method: "POST", body });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toContain("created");
    const value = "x".repeat(200_000);
    for (let i = 0; i < 100; i++) await put("big", `${i}:${value}`);
    // 20 MB are more than the sockets between us hold.
    expect(await counts()).toMatchObject({ watches: 1 });
    let rest = "";
    const versions: string[] = [];
    while (versions.length < 100) {
      const lines = (rest + (await reader.read()).value!).split("\n");
      rest = lines.pop()!;
      for (const line of lines) versions.push(...(line.match(/"version":"\d+"/g) ?? []));
    }
    expect(versions).toEqual(Array.from({ length: 100 }, (_, i) => `"version":"${i + 1}"`));
    await reader.cancel();
    await vi.waitFor(async () => expect(await counts()).toEqual(NOTHING), { timeout: 30_000 });
  });

  it("are counted in the metrics", async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const name of ["watch_streams", "watches", "slow_watches"])
      expect(text).toContain(`\nd_engine_${name} 0`);
  });

  it("do not hold the server up when it stops", async () => {
    const body = JSON.stringify({ create_request: { key: base64("k") } });
    const response = await fetch(`${url}/v3/watch`, { method: "POST", body });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await reader.read();
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    expect((await reader.read()).value).toContain("server stopped");
    expect((await reader.read()).done).toBe(true);
    expect(await exited).toBe(0);
  });
});
