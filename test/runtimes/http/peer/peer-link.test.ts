import { beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../../../src/core/node/index.ts";
import {
  type Batch,
  decodeBatch,
  LimitedLog,
  LINK_LIMITS,
  type LinkLimits,
  PeerLink,
} from "../../../../src/runtimes/http/peer/index.ts";
import { nodePeerMac } from "../../../../src/runtimes/node/peers/node-mac.ts";

/** Time that passes only when told to. */
class ManualClock implements Clock {
  now = 0;
  timers: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.now;
  }

  wallMs(): number {
    return this.now;
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.now + delayMs, callback };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  }

  advance(ms: number): void {
    this.now += ms;
    const due = this.timers.filter((timer) => timer.atMs <= this.now);
    this.timers = this.timers.filter((timer) => timer.atMs > this.now);
    for (const timer of due) timer.callback();
  }
}

interface Post {
  readonly url: string;
  readonly batch: Batch;
  answer(status: number, body?: Uint8Array): Promise<void>;
  fail(error?: Error): Promise<void>;
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("PeerLink", () => {
  let clock: ManualClock;
  let posts: Post[];
  let unreachable: bigint[];

  beforeEach(() => {
    clock = new ManualClock();
    posts = [];
    unreachable = [];
  });

  function makeLink(
    limits: Partial<LinkLimits> = {},
    urls = ["http://a:1", "http://b:1"],
    answered?: (sealed: Uint8Array) => void,
  ): PeerLink {
    const poster = {
      post: (url: string, body: Uint8Array) =>
        new Promise<{ status: number; body: Uint8Array }>((resolve, reject) => {
          posts.push({
            url,
            batch: decodeBatch(body),
            answer: (status, answer = new Uint8Array(0)) => (resolve({ status, body: answer }), settle()),
            fail: (error = new Error("connection refused")) => (reject(error), settle()),
          });
        }),
    };
    return new PeerLink(
      {
        clusterId: 1n,
        groupId: "g",
        self: 1n,
        peer: 2n,
        mac: nodePeerMac(new Uint8Array(0), { type: "batch", clusterId: 1n, groupId: "g" }),
        poster,
        clock,
        random: { next: () => 1, id: () => 77n },
        log: new LimitedLog({ log: () => undefined }, () => clock.now),
        limits: { ...LINK_LIMITS, ...limits },
        unreachable: (node) => unreachable.push(node),
        ...(answered === undefined ? {} : { answered }),
      },
      urls,
    );
  }

  const frame = (n: number, size = 1) => new Uint8Array(size).fill(n);
  const sent = (post: Post | undefined) => post?.batch.frames.map((bytes) => bytes[0]);

  it("sends before anything else that the turn began, where the MAC is made at once", async () => {
    const link = makeLink();
    let sentBefore: number | null = null;
    link.send(frame(1));
    // As a store does that gathers what the turn writes.
    queueMicrotask(() => (sentBefore = posts.length));
    await settle();
    expect(sentBefore).toBe(1);
  });

  it("sends what one turn queued as one batch, and what queued meanwhile as the next", async () => {
    const link = makeLink();
    link.send(frame(1));
    link.send(frame(2));
    await settle();
    link.send(frame(3));
    link.send(frame(4));
    await settle();
    expect(posts.length).toBe(1);
    expect(sent(posts[0])).toEqual([1, 2]);
    await posts[0]!.answer(204);
    expect(sent(posts[1])).toEqual([3, 4]);
    expect(posts.map(({ batch }) => batch.header.sequence)).toEqual([1, 2]);
  });

  it("closes a batch at its bound, but sends a larger frame alone", async () => {
    const link = makeLink({ maxBatchBytes: 10 });
    for (const size of [4, 6, 50, 1]) link.send(frame(size, size));
    await settle();
    await posts[0]!.answer(204);
    await posts[1]!.answer(204);
    expect(posts.map(sent)).toEqual([[4, 6], [50], [1]]);
  });

  describe("answers that travel with a receipt", () => {
    const framesOf = (sealed: Uint8Array | null) =>
      sealed === null ? null : decodeBatch(sealed).frames.map((bytes) => bytes[0]);

    it("take what is queued, as soon as there is as much as was asked for", async () => {
      const link = makeLink();
      const answer = link.answer(2, 100);
      link.send(frame(1));
      await settle();
      link.send(frame(2));
      link.send(frame(3));
      expect(framesOf(await answer)).toEqual([1, 2, 3]);
      await settle();
      expect(posts).toEqual([]);
      link.send(frame(4));
      await settle();
      expect(sent(posts[0])).toEqual([4]);
      // One numbering for both ways, or the receiver would take one for a repetition of the other.
      expect(posts[0]!.batch.header.sequence).toBe(2);
    });

    it("wait no longer than the sender's patience, and leave what is too much to a POST", async () => {
      const link = makeLink({ maxBatchBytes: 10 });
      const answer = link.answer(5, 100);
      for (const n of [6, 7, 8]) link.send(frame(n, n));
      await settle();
      clock.advance(99);
      await settle();
      expect(posts).toEqual([]);
      clock.advance(1);
      expect(framesOf(await answer)).toEqual([6, 7]);
      await settle();
      expect(sent(posts[0])).toEqual([8]);
    });

    it("are nothing where there is nothing, where somebody waits already, and after the end", async () => {
      const link = makeLink();
      expect(await link.answer(0, 100)).toBeNull();
      const first = link.answer(1, 100);
      expect(await link.answer(1, 100)).toBeNull();
      link.close();
      expect(await first).toBeNull();
    });

    it("are handed on by whoever gets them", async () => {
      const answers: number[] = [];
      const link = makeLink({}, undefined, (sealed) => answers.push(sealed.length));
      link.send(frame(1));
      await settle();
      await posts[0]!.answer(200, new Uint8Array(7));
      link.send(frame(2));
      await settle();
      await posts[1]!.answer(204);
      expect(answers).toEqual([7]);
    });
  });

  it("stays away the longest it ever does from a member that has too much to do", async () => {
    const link = makeLink({ minBackoffMs: 20, maxBackoffMs: 400 });
    link.send(frame(1));
    await settle();
    await posts[0]!.fail(Object.assign(new Error("overloaded"), { overloaded: true }));
    link.send(frame(2));
    clock.advance(399);
    await settle();
    expect(posts).toHaveLength(1);
    clock.advance(1);
    await settle();
    expect(posts).toHaveLength(2);
  });

  /** A link that has found its path to be long. */
  async function makeFarLink(): Promise<PeerLink> {
    const link = makeLink({ maxInflight: 2, pipelineAfterMs: 5, minBackoffMs: 20 });
    for (let i = 0; i < 10; i++) {
      link.send(frame(0));
      await settle();
      clock.advance(6);
      await posts.at(-1)!.answer(204);
    }
    posts = [];
    return link;
  }

  it("starts another POST on a long path when one is well under way, up to a bound", async () => {
    const link = await makeFarLink();
    link.send(frame(1));
    await settle();
    link.send(frame(2));
    await settle();
    clock.advance(4);
    await settle();
    expect(posts.length).toBe(1);
    link.send(frame(3));
    clock.advance(1);
    await settle();
    expect(posts.map(sent)).toEqual([[1], [2, 3]]);
    link.send(frame(4));
    clock.advance(100);
    await settle();
    expect(posts.length).toBe(2);
    await posts[1]!.answer(204);
    expect(posts.map(sent)).toEqual([[1], [2, 3], [4]]);
  });

  it("does not start another because one POST on a near path is slow", async () => {
    const link = makeLink({ maxInflight: 2, pipelineAfterMs: 5 });
    link.send(frame(1));
    await settle();
    link.send(frame(2));
    clock.advance(100);
    await settle();
    expect(posts.length).toBe(1);
  });

  it("counts POSTs that fail together as one failure", async () => {
    const link = await makeFarLink();
    link.send(frame(1));
    await settle();
    link.send(frame(2));
    await settle();
    clock.advance(5);
    await settle();
    expect(posts.length).toBe(2);
    await Promise.all(posts.map((post) => post.fail()));
    expect(unreachable).toEqual([2n]);
    expect(clock.timers.map(({ atMs }) => atMs - clock.now)).toEqual([20]);
  });

  it("drops the newest frame when the queue is full, and says so once", async () => {
    const link = makeLink({ maxQueuedFrames: 3 });
    link.send(frame(0));
    await settle();
    for (let i = 1; i <= 6; i++) link.send(frame(i));
    expect(unreachable).toEqual([2n]);
    expect(link.stats.droppedFrames).toBe(3);
    await posts[0]!.answer(204);
    expect(sent(posts[1])).toEqual([1, 2, 3]);
  });

  it("bounds the queue in bytes", async () => {
    const link = makeLink({ maxQueuedBytes: 100 });
    link.send(frame(0));
    await settle();
    for (let i = 1; i <= 4; i++) link.send(frame(i, 40));
    await posts[0]!.answer(204);
    expect(sent(posts[1])).toEqual([1, 2]);
  });

  it("reports a failure once, forgets what was queued, and never sends a batch again", async () => {
    const link = makeLink();
    link.send(frame(1));
    await settle();
    link.send(frame(2));
    await posts[0]!.fail();
    expect(unreachable).toEqual([2n]);
    link.send(frame(3));
    clock.advance(1000);
    await settle();
    expect(posts.map(sent)).toEqual([[1], [3]]);
    expect(posts.map(({ url }) => url)).toEqual(["http://a:1", "http://b:1"]);
  });

  it("takes a refusal for a failure", async () => {
    const link = makeLink();
    link.send(frame(1));
    await settle();
    await posts[0]!.answer(401);
    expect(unreachable).toEqual([2n]);
    expect(link.stats.failures).toBe(1);
  });

  it("waits twice as long after each failure, up to a bound, and starts over after a success", async () => {
    const link = makeLink({ minBackoffMs: 20, maxBackoffMs: 100 });
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      link.send(frame(i));
      await settle();
      await posts.at(-1)!.fail();
      waits.push(clock.timers[0]!.atMs - clock.now);
      clock.advance(100);
    }
    expect(waits).toEqual([20, 40, 80, 100, 100]);
    link.send(frame(9));
    await settle();
    await posts.at(-1)!.answer(204);
    link.send(frame(9));
    await settle();
    await posts.at(-1)!.fail();
    expect(clock.timers[0]!.atMs - clock.now).toBe(20);
  });

  it("keeps only the latest frames while it waits", async () => {
    const link = makeLink();
    link.send(frame(0));
    await settle();
    await posts[0]!.fail();
    for (let i = 0; i < 100; i++) link.send(frame(i));
    clock.advance(1000);
    await settle();
    expect(sent(posts[1])).toEqual(Array.from({ length: 32 }, (_, i) => 68 + i));
  });

  it("tries at once when the peer is heard", async () => {
    const link = makeLink();
    link.send(frame(1));
    await settle();
    await posts[0]!.fail();
    link.send(frame(2));
    await settle();
    expect(posts.length).toBe(1);
    link.heard();
    await settle();
    expect(sent(posts[1])).toEqual([2]);
    expect(clock.timers).toEqual([]);
  });

  it("sends nothing and leaves no timer once closed", async () => {
    const link = makeLink();
    link.send(frame(1));
    await settle();
    link.send(frame(2));
    link.close();
    await posts[0]!.fail();
    link.send(frame(3));
    clock.advance(10_000);
    await settle();
    expect(posts.length).toBe(1);
    expect(unreachable).toEqual([]);
    expect(clock.timers).toEqual([]);
  });
});
