import { expect, test } from "vitest";
import { Cluster } from "./world/cluster.ts";
import { History } from "./world/history.ts";

async function run(seed: number): Promise<{ hash: string; events: number; values: string[] }> {
  const cluster = new Cluster({ seed });
  const history = new History(cluster.world);
  cluster.network.conditions = {
    minDelayMs: 1,
    maxDelayMs: 30,
    dropRate: 0.05,
    duplicateRate: 0.05,
    unreachableRate: 0.5,
  };
  for (const node of cluster.nodes.values()) node.disk.latencyMs = () => cluster.world.random.int(5);
  await cluster.startAndElect();
  for (let i = 0; i < 30; i++) {
    void history.write(cluster.node(BigInt(1 + (i % 3))), `k${i % 5}`);
    void history.read(cluster.node(BigInt(1 + ((i + 1) % 3))), `k${i % 5}`);
    await cluster.world.runFor(20);
  }
  cluster.node(1n).crash();
  history.crashed(1n);
  await history.settled();
  await cluster.world.runFor(1000);
  const values = history.reads.map(({ found }) => found?.value ?? "");
  return { hash: cluster.world.hash, events: cluster.world.executed, values };
}

test("the same seed gives the same run, byte for byte", async () => {
  const first = await run(7);
  const second = await run(7);
  expect(second).toEqual(first);
  expect(first.events).toBeGreaterThan(1000);
  const other = await run(8);
  expect(other.hash).not.toBe(first.hash);
});
