import { describe, expect, test } from "vitest";
import type { EngineError } from "../../../src/core/errors/index.ts";
import {
  decodeFrame,
  encodeFrame,
  FRAME_LIMITS,
  MAX_COMMAND_BYTES,
} from "../../../src/core/node/codec/index.ts";
import { errorOf, FAST, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

/* What would be committed and then could not be read, or not be sent, stops every node, at every start. */

async function begin(): Promise<Cluster> {
  const cluster = new Cluster({ seed: 1, raft: FAST });
  await cluster.startAndElect();
  await cluster.announced();
  return cluster;
}

async function stillWorks(cluster: Cluster): Promise<void> {
  await cluster.world.runFor(500);
  expect(cluster.up()).toHaveLength(3);
  await putNow(cluster, cluster.leader()!, "k", "v");
}

describe("a member's addresses", () => {
  test.each([
    ["one that is too long", ["http://" + "a".repeat(5000) + ":2380"]],
    ["too many", Array.from({ length: 10_000 }, (_, i) => `http://a${i}:2380`)],
  ])("%s: refused, whoever is asked", async (_what, peerUrls) => {
    const cluster = await begin();
    for (const engine of cluster.up()) {
      const refusals: EngineError[] = [
        await errorOf(cluster, engine.memberAdd({ peerUrls, isLearner: true })),
        await errorOf(cluster, engine.memberUpdate(engine.nodeId, peerUrls)),
      ];
      for (const { code } of refusals) expect(code).toBe("badMemberUrls");
    }
    await stillWorks(cluster);
  });
});

test("a change of members with a context that nobody can read is refused by the leader it is forwarded to", async () => {
  const cluster = await begin();
  let forged = 0;
  cluster.network.onFrame = ({ frame }) => {
    const { header, body } = decodeFrame(frame);
    if (body.type !== "forward" || body.payload.type !== "confChange") return "pass";
    forged++;
    const change = { ...body.payload.change, context: new Uint8Array(40) };
    return encodeFrame(header, { ...body, payload: { type: "confChange", change } });
  };
  const adding = cluster.followers()[0]!.memberAdd({ peerUrls: ["http://n9:2380"], isLearner: true });
  expect((await errorOf(cluster, adding)).code).toBe("malformed");
  expect(forged).toBe(1);
  await stillWorks(cluster);
});

test("of two members added with the same address, the second before the first is known, one is refused", async () => {
  const cluster = await begin();
  const second = cluster.followers()[1]!.nodeId;
  cluster.network.onFrame = ({ from, frame }) =>
    from === second && decodeFrame(frame).body.type === "forward" ? [100] : "pass";
  const adding = cluster
    .followers()
    .map((engine) => engine.memberAdd({ peerUrls: ["http://n9:2380"], isLearner: true }));
  const outcomes = await cluster.world.complete("both", Promise.allSettled(adding));
  const reasons = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
  expect(reasons).toMatchObject([{ code: "peerUrlExists" }]);
  await stillWorks(cluster);
});

describe("a command that fits into no frame", () => {
  const { maxFrameBytes } = FRAME_LIMITS;

  test("is refused, however large requests may be", async () => {
    const cluster = new Cluster({ seed: 1, raft: FAST, tuning: { maxRequestBytes: 4 * maxFrameBytes } });
    await cluster.startAndElect();
    const value = new Uint8Array(maxFrameBytes);
    for (const engine of cluster.up()) {
      const { code } = await errorOf(cluster, engine.put({ key: Uint8Array.of(1), value }));
      expect(code).toBe("requestTooLarge");
    }
    await stillWorks(cluster);
  });

  test("and the largest that does fit is written", async () => {
    const cluster = new Cluster({ seed: 1, raft: FAST, tuning: { maxRequestBytes: 4 * maxFrameBytes } });
    await cluster.startAndElect();
    const largest = MAX_COMMAND_BYTES - 16;
    const value = new Uint8Array(largest);
    for (const engine of [cluster.leader()!, cluster.followers()[0]!])
      await cluster.world.complete("a large put", engine.put({ key: Uint8Array.of(1), value }));
    await cluster.converged();
    await stillWorks(cluster);
  });
});
