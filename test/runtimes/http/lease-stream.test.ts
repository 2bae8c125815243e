import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Engine } from "../../../src/core/node/index.ts";
import { fakeEngine, HEADER } from "./fake-engine.ts";
import { post, testApp } from "./test-app.ts";

const renewing: Partial<Engine> = {
  leaseKeepAlive: (id) => Promise.resolve({ header: HEADER, id, ttlMs: id === 7n ? 5000 : 0 }),
};

interface Line {
  readonly result?: { readonly ID?: string; readonly TTL?: string };
  readonly error?: object;
}

function linesOf(text: string): Line[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** Sends a body that ends only when it is told to; the reply's lines as they come. */
function open(engine: Partial<Engine>): {
  readonly send: (text: string) => void;
  readonly end: () => void;
  readonly reply: Promise<Response>;
} {
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  const init = { method: "POST", body: body.readable, duplex: "half" as const };
  return {
    send: (text) => void writer.write(new TextEncoder().encode(text)).catch(() => undefined),
    end: () => void writer.close().catch(() => undefined),
    reply: Promise.resolve(testApp(fakeEngine(engine)).app.request("/v3/lease/keepalive", init)),
  };
}

describe("POST /v3/lease/keepalive", () => {
  it("answers each of several requests, that for a dead lease without a TTL", async () => {
    const response = await post(
      testApp(fakeEngine(renewing)).app,
      "/v3beta/lease/keepalive",
      '{"ID":"7"}\n{"ID":8}{"ID":7}',
    );
    expect(response.status).toBe(200);
    expect(linesOf(await response.text()).map(({ result }) => [result?.ID, result?.TTL])).toEqual([
      ["7", "5"],
      ["8", undefined],
      ["7", "5"],
    ]);
  });

  it("answers each as it comes, on a request that goes on", async () => {
    const { send, end, reply } = open(renewing);
    send('{"ID":"7"}');
    const reader = (await reply).body!.pipeThrough(new TextDecoderStream()).getReader();
    const next = async (): Promise<string | undefined> =>
      linesOf((await reader.read()).value ?? "")[0]?.result?.ID;
    expect(await next()).toBe("7");
    send('{"I');
    send('D":"9"}');
    expect(await next()).toBe("9");
    end();
    expect((await reader.read()).done).toBe(true);
  });

  it("gives an ordinary error before the first reply, and a last line after it", async () => {
    const { app } = testApp(fakeEngine(renewing));
    const at_once = await post(app, "/v3/lease/keepalive", '{"ID":"x"}');
    expect([at_once.status, ((await at_once.json()) as { code: number }).code]).toEqual([400, 3]);
    const later = await post(app, "/v3/lease/keepalive", '{"ID":"7"} x');
    const lines = linesOf(await later.text());
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatchObject({ error: { grpc_code: 3, http_code: 400, reason: "invalidArgument" } });
    const nothing = await post(app, "/v3/lease/keepalive", "");
    expect([nothing.status, await nothing.text()]).toEqual([200, ""]);
  });

  it("says what a failing engine says", async () => {
    const engine = fakeEngine({ leaseKeepAlive: () => Promise.reject(new EngineError("noLeader")) });
    const response = await post(testApp(engine).app, "/v3/lease/keepalive", '{"ID":"7"}');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: 14, message: "etcdserver: no leader" });
  });

  it("gives up what it waits for when the client goes away", async () => {
    let aborted = false;
    const { send, reply } = open({
      leaseKeepAlive: (id, options) => {
        if (id === 7n) return Promise.resolve({ header: HEADER, id, ttlMs: 5000 });
        return new Promise((_, reject) => {
          const { signal } = options!;
          const giveUp = (): void => {
            aborted = true;
            reject(new EngineError("canceled"));
          };
          if (signal!.aborted) giveUp();
          else signal!.addEventListener("abort", giveUp);
        });
      },
    });
    send('{"ID":7}{"ID":8}');
    const reader = (await reply).body!.getReader();
    await reader.read();
    const second = reader.read();
    await reader.cancel();
    expect((await second).done).toBe(true);
    expect(aborted).toBe(true);
  });
});
