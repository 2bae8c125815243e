import { expect, test } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { Cluster } from "./world/cluster.ts";

const VALUE = new Uint8Array(200);

async function put(cluster: Cluster, key: number): Promise<string> {
  try {
    await cluster.leader()!.put({ key: Uint8Array.of(key), value: VALUE });
    return "ok";
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error);
  }
}

test("the limit of uncommitted bytes holds for what comes at once: one proposal may be larger, not a batch", async () => {
  const cluster = new Cluster({ raft: { maxUncommittedBytes: 2000 } });
  await cluster.startAndElect();
  await cluster.world.runFor(1000);
  const outcomes = await cluster.world.complete(
    "the batch",
    Promise.all(Array.from({ length: 100 }, (_, i) => put(cluster, i))),
  );
  const taken = outcomes.filter((outcome) => outcome === "ok").length;
  expect(taken).toBeGreaterThan(5);
  expect(taken).toBeLessThan(10);
  expect(new Set(outcomes)).toEqual(new Set(["ok", "tooManyRequests"]));
});
