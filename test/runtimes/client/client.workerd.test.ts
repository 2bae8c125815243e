// The client where there is no Node: inside workerd, with its fetch, timers and streams.

import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { createClient } from "../../../src/runtimes/client/index.ts";
import { webClock } from "../../../src/runtimes/client/web-clock.ts";
import { testApp } from "../http/test-app.ts";
import { memoryEngine } from "../http/memory-engine.ts";

describe("Client in workerd", () => {
  it("puts, watches and locks", async () => {
    expect(webClock.nowMs()).toBeTypeOf("number");
    const { app } = testApp(memoryEngine(new KvStore()));
    const client = createClient({
      endpoints: "http://app.test",
      token: "a-token",
      // As `fetch` would take it: every field of the init that workerd does not know is an error.
      fetch: async (url, init) => await app.fetch(new Request(url, init)),
    });
    const watch = client.watchPrefix("w/", { initialState: true });
    await watch.ready();
    expect(
      await client.lock("l", ({ key }) => client.txn().ifExists(key).thenPut("w/a", "1").commit()),
    ).toMatchObject({
      succeeded: true,
    });
    for await (const { key, value } of watch) {
      expect([key, value]).toEqual(["w/a", "1"]);
      break;
    }
    client.close();
  });
});
