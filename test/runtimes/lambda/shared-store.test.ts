import { expect, it, onTestFinished } from "vitest";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { s3ObjectStore } from "../../../src/adapters/s3/index.ts";
import type { Clock } from "../../../src/core/node/index.ts";
import { LambdaEngine } from "../../../src/runtimes/lambda/node/lambda-engine.ts";
import { LambdaNode } from "../../../src/runtimes/lambda/node/lambda-node.ts";
import { SharedStore } from "../../../src/runtimes/lambda/shared-store.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { S3_DOUBLE_BUCKET, startS3Double } from "../../adapters/object-store/s3-double.ts";
import { bytesOf } from "../../sim/workloads/kv-requests.ts";
import { AWS_ENV } from "./group.ts";

const KEY = bytesOf("key");

/** A bucket whose server can be made silent, and how to connect to it: its own time-outs are no help here. */
async function site(): Promise<{
  readonly silence: (silent: boolean) => void;
  readonly open: () => Promise<ObjectStore>;
  readonly opened: () => number;
}> {
  Object.assign(process.env, AWS_ENV);
  const server = await startS3Double();
  onTestFinished(() => server.stop());
  let silent = false;
  let opened = 0;
  server.fault = () => (silent ? { type: "hang", done: false } : null);
  return {
    silence: (wanted) => (silent = wanted),
    open: () => {
      opened++;
      return s3ObjectStore({ bucket: S3_DOUBLE_BUCKET, endpoint: server.endpoint, timeoutMs: 1e8 });
    },
    opened: () => opened,
  };
}

it("what is asked of a silent store ends with the invocation, and the next one is answered", async () => {
  const { silence, open } = await site();
  const shared = new SharedStore(open, nodeClock);
  onTestFinished(() => shared.close());
  const store = await shared.lend();
  silence(true);
  shared.invoked(nodeClock.nowMs() + 100);
  const asked = [store.get("a"), store.list("a"), store.delete(["a"])];
  const put = store.putIfAbsent("a", KEY);
  for (const request of asked) {
    await expect(request).rejects.toMatchObject({ code: "storageUnavailable" });
  }
  expect(await put).toMatchObject({ type: "unknown" });
  // Nobody has time for it now.
  await expect(store.get("a")).rejects.toMatchObject({ code: "storageUnavailable" });
  silence(false);
  shared.invoked(nodeClock.nowMs() + 60_000);
  expect(await store.putIfAbsent("b", KEY)).toMatchObject({ type: "written" });
});

it("of several invocations the last counts", async () => {
  const { silence, open } = await site();
  const shared = new SharedStore(open, nodeClock);
  onTestFinished(() => shared.close());
  const store = await shared.lend();
  silence(true);
  shared.invoked(nodeClock.nowMs() + 10);
  shared.invoked(nodeClock.nowMs() + 60_000);
  let isOver = false;
  const request = store.get("a").finally(() => (isOver = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(isOver).toBe(false);
  const aborter = new AbortController();
  const given = store.get("a", { signal: aborter.signal });
  aborter.abort();
  await expect(given).rejects.toMatchObject({ code: "canceled" });
  silence(false);
  request.catch(() => undefined);
});

it("a connection that does not come about ends with the invocation as well", async () => {
  let tries = 0;
  const { open } = await site();
  let aheadMs = 0;
  const clock: Clock = { ...nodeClock, wallMs: () => nodeClock.wallMs() + aheadMs };
  const shared = new SharedStore(() => (tries++ === 0 ? open() : new Promise(() => {})), clock);
  const store = await shared.lend();
  aheadMs = 60_000;
  shared.invoked(nodeClock.nowMs() + 100);
  await expect(store.get("a")).rejects.toMatchObject({ code: "storageUnavailable" });
});

it("a connection that was idle through a freeze is not used again", async () => {
  const { open, opened } = await site();
  let aheadMs = 0;
  const clock: Clock = { ...nodeClock, wallMs: () => nodeClock.wallMs() + aheadMs };
  const shared = new SharedStore(open, clock);
  onTestFinished(() => shared.close());
  const store = await shared.lend();
  await store.get("a");
  await store.get("a");
  expect(opened()).toBe(1);
  aheadMs = 60_000;
  expect(await Promise.all([store.get("a"), store.get("a")])).toEqual([null, null]);
  expect(opened()).toBe(2);
});

it("a function that is the node says in time that its store is silent, and goes on when it is not", async () => {
  const { silence, open } = await site();
  const node = new LambdaNode({
    openStore: open,
    groupId: "default",
    name: "n1",
    clock: nodeClock,
    random: nodeRandom,
    logger: { log: () => {} },
  });
  onTestFinished(() => node.close());
  const put = (timeoutMs: number): ReturnType<LambdaEngine["put"]> =>
    new LambdaEngine(node, nodeRandom, nodeClock.nowMs() + timeoutMs).put({ key: KEY, value: KEY });
  await put(60_000);
  silence(true);
  await expect(put(200)).rejects.toMatchObject({ code: "timeout", maybeApplied: true });
  silence(false);
  // The one that may have been done, may have.
  expect((await put(60_000)).header.revision).toBeGreaterThan(2);
});
