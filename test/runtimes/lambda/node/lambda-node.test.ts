import { describe, expect, it, onTestFinished } from "vitest";
import { type ObjectStore, openObjectStorage } from "../../../../src/adapters/object-store/index.ts";
import { type Clock, KvEngine } from "../../../../src/core/node/index.ts";
import { LambdaEngine } from "../../../../src/runtimes/lambda/node/lambda-engine.ts";
import { LambdaNode, type LambdaNodeOptions } from "../../../../src/runtimes/lambda/node/lambda-node.ts";
import { nodeClock } from "../../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../../src/runtimes/node/node-random.ts";
import { memoryObjectStore, ObjectBucket } from "../../../adapters/object-store/object-bucket.ts";
import { bytesOf, textOf } from "../../../sim/workloads/kv-requests.ts";

const SILENT = { log: () => {} };
const KEY = bytesOf("key");

/** A function with its bucket; requests are counted, and may be made to wait. */
class Site {
  readonly bucket: ObjectBucket = new ObjectBucket();
  asked: string[] = [];
  /** Awaited before each request. */
  before: (request: string) => Promise<void> = async () => {};

  async connect(): Promise<ObjectStore> {
    const store = memoryObjectStore(this.bucket);
    const counted = async <T>(request: string, act: () => Promise<T>): Promise<T> => {
      this.asked.push(request);
      await this.before(request);
      return await act();
    };
    return {
      ...store,
      get: (name) => counted(`get ${name}`, () => store.get(name)),
      list: (prefix, options) => counted(`list ${prefix}`, () => store.list(prefix, options)),
      putIfAbsent: (name, body) => counted(`create ${name}`, () => store.putIfAbsent(name, body)),
      putIfMatch: (name, body, version) =>
        counted(`replace ${name}`, () => store.putIfMatch(name, body, version)),
      delete: (names) => counted(`delete ${names.length}`, () => store.delete(names)),
    };
  }

  environment(options: Partial<LambdaNodeOptions> = {}): LambdaNode {
    const node = new LambdaNode({
      openStore: () => this.connect(),
      groupId: "default",
      name: "n1",
      clock: nodeClock,
      random: nodeRandom,
      logger: SILENT,
      ...options,
    });
    onTestFinished(() => node.close());
    return node;
  }

  async requestsOf(act: () => Promise<unknown>): Promise<string[]> {
    this.asked = [];
    await act();
    return this.asked;
  }
}

function invocation(node: LambdaNode, timeoutMs = 10_000): LambdaEngine {
  return new LambdaEngine(node, nodeRandom, node.clock.nowMs() + timeoutMs);
}

async function get(node: LambdaNode): Promise<string | null> {
  const { kvs } = await invocation(node).range({ key: KEY });
  return kvs[0] === undefined ? null : textOf(kvs[0].value);
}

describe("a function that is the node", () => {
  it("makes one request for a warm write, one for a warm read, and one for many writes at once", async () => {
    const site = new Site();
    const node = site.environment();
    const put = (): Promise<unknown> => invocation(node).put({ key: KEY, value: bytesOf("v") });
    await put();
    expect(await site.requestsOf(put)).toEqual([expect.stringMatching(/^create log\//)]);
    expect(await site.requestsOf(() => get(node))).toEqual(["get log-manifest"]);
    const together = await site.requestsOf(() => Promise.all(Array.from({ length: 20 }, put)));
    expect(together).toEqual([expect.stringMatching(/^create log\//)]);
  });

  it("reads what another owns without taking it away", async () => {
    const site = new Site();
    const [owner, other] = [site.environment(), site.environment()];
    await invocation(owner).put({ key: KEY, value: bytesOf("1") });
    expect(await get(other)).toBe("1");
    const put = (value: string) => () => invocation(owner).put({ key: KEY, value: bytesOf(value) });
    expect(await site.requestsOf(put("2"))).toEqual([expect.stringMatching(/^create log\//)]);
    const reading = await site.requestsOf(async () => expect(await get(other)).toBe("2"));
    expect(reading.every((request) => /^(?:get|list) /.test(request))).toBe(true);
    // Also a swap that would change nothing is only read.
    const compare = [{ key: KEY, result: "equal", target: "version", version: 0 }] as const;
    const swap = {
      compare,
      success: [{ type: "put", request: { key: KEY, value: KEY } }],
      failure: [],
    } as const;
    const swapping = await site.requestsOf(async () =>
      expect((await invocation(other).txn(swap)).succeeded).toBe(false),
    );
    expect(swapping.every((request) => /^(?:get|list) /.test(request))).toBe(true);
    expect(await site.requestsOf(put("3"))).toHaveLength(1);
  });

  it("takes the log over to write, and whoever had it notices before it says anything", async () => {
    const site = new Site();
    const [a, b] = [site.environment(), site.environment()];
    await invocation(a).put({ key: KEY, value: bytesOf("1") });
    await invocation(b).put({ key: KEY, value: bytesOf("2") });
    expect(await get(a)).toBe("2");
    const { prevKv } = await invocation(a).put({ key: KEY, value: bytesOf("3"), prevKv: true });
    expect(textOf(prevKv!.value)).toBe("2");
    expect(await get(b)).toBe("3");
  });

  it("finds its write in the log when it was fenced before it heard that it is there", async () => {
    const site = new Site();
    const [a, b] = [site.environment(), site.environment()];
    await invocation(a).put({ key: KEY, value: bytesOf("0") });
    // The slot is filled, and while its reply is on the way another takes over.
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const real = site.bucket.putIfAbsent.bind(site.bucket);
    site.bucket.putIfAbsent = (name, body) => {
      site.bucket.putIfAbsent = real;
      real(name, body);
      arrived.resolve();
      return { type: "unknown", cause: new Error("no reply") };
    };
    const create = /^get log\/0/;
    site.before = async (request) => {
      if (create.test(request)) await gate.promise;
    };
    const put = invocation(a).put({ key: KEY, value: bytesOf("1") });
    await arrived.promise;
    site.before = async () => {};
    await invocation(b).put({ key: bytesOf("other"), value: KEY });
    gate.resolve();
    const { header } = await put;
    const { kvs } = await invocation(b).range({ key: KEY });
    expect(kvs[0]).toMatchObject({ version: 2, modRevision: header.revision });
  });

  it("ends with a typed error, and without effect, when it does not get the log in time", async () => {
    const site = new Site();
    const node = site.environment();
    const { promise: never, resolve: release } = Promise.withResolvers<void>();
    onTestFinished(() => release());
    site.before = (request) => (request.startsWith("create log/") ? never : Promise.resolve());
    const put = invocation(node, 200).put({ key: KEY, value: KEY });
    await expect(put).rejects.toMatchObject({ code: "tooManyRequests", maybeApplied: false });
  });

  it("takes a snapshot at the end of an invocation, so that a cold start replays little", async () => {
    const site = new Site();
    const node = site.environment({ snapshotEntries: 10 });
    for (let i = 0; i < 12; i++) {
      await invocation(node).put({ key: KEY, value: bytesOf(`${i}`) });
      await node.rest(nodeClock.nowMs() + 5000);
    }
    const { firstIndex, lastIndex } = node.engine!.status();
    expect(lastIndex - firstIndex).toBeLessThan(10);
    expect(firstIndex).toBeGreaterThan(5);
    expect(await get(site.environment())).toBe("11");
  });

  it("ends a lease at the first invocation after its time, and renews it for its whole time before", async () => {
    const site = new Site();
    let aheadMs = 0;
    const timers: { readonly dueMs: number; readonly fire: () => void }[] = [];
    // As after a thaw: time has passed, and what was due fires late.
    const clock: Clock = {
      ...nodeClock,
      nowMs: () => nodeClock.nowMs() + aheadMs,
      setTimer: (delayMs, callback) => {
        if (delayMs < 1000) return nodeClock.setTimer(delayMs, callback);
        const timer = { dueMs: clock.nowMs() + delayMs, fire: callback };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
      },
    };
    const freeze = (ms: number): void => {
      aheadMs += ms;
      for (const timer of timers.filter(({ dueMs }) => dueMs <= clock.nowMs())) {
        timers.splice(timers.indexOf(timer), 1);
        nodeClock.setTimer(0, timer.fire);
      }
    };
    const node = site.environment({ clock });
    const { id } = await invocation(node).leaseGrant({ ttlMs: 60_000 });
    await invocation(node).put({ key: KEY, value: KEY, lease: id });
    freeze(50_000);
    expect(await invocation(node).leaseKeepAlive(id)).toMatchObject({ ttlMs: 60_000 });
    freeze(50_000);
    expect(await get(node)).toBe("key");
    // The end of the lease is slower to be stored than the owner to be confirmed.
    site.before = async (request) => {
      if (request.startsWith("create ")) await new Promise((resolve) => setTimeout(resolve, 30));
    };
    freeze(70_000);
    expect(await get(node)).toBeNull();
    expect(await invocation(node).leaseTimeToLive({ id })).toMatchObject({ remainingMs: -1 });
  });

  it("refuses what needs other members or lasts longer than an invocation", async () => {
    const node = new Site().environment();
    const engine = invocation(node);
    expect(() => engine.watch()).toThrow(/not implemented/);
    await expect(engine.memberAdd()).rejects.toMatchObject({ code: "unimplemented" });
  });

  it("goes on with the log of a node that stayed, and gives it back, but is no member among others", async () => {
    const site = new Site();
    const node = site.environment();
    await invocation(node).put({ key: KEY, value: bytesOf("from a function") });
    const storage = await openObjectStorage({
      store: await site.connect(),
      clock: nodeClock,
      random: nodeRandom,
    });
    const { identity } = await storage.meta.load();
    const engine = await KvEngine.start({
      identity: identity!,
      founders: null,
      self: { name: "n1", clientUrls: ["http://127.0.0.1:1"] },
      storage,
      transport: { send: () => {}, setPeers: () => {}, start: () => {}, stop: async () => {} },
      clock: nodeClock,
      random: nodeRandom,
      logger: SILENT,
    });
    await engine.ready(5000);
    const { kvs } = await engine.range({ key: KEY });
    expect(textOf(kvs[0]!.value)).toBe("from a function");
    await engine.memberAdd({ peerUrls: ["http://127.0.0.1:2"], isLearner: true });
    await engine.stop();
    const put = invocation(site.environment()).put({ key: KEY, value: KEY });
    await expect(put).rejects.toMatchObject({
      code: "invalidConfig",
      detail: expect.stringContaining("2 members"),
    });
  });
});
