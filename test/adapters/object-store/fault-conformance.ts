import { describe, expect, it, type TestContext } from "vitest";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { rejection } from "../storage-helpers.ts";
import type { DoubleReply, Fault, ProtocolDouble } from "./protocol-double.ts";

export interface FaultConformanceOptions {
  readonly start: () => Promise<ProtocolDouble>;
  readonly open: (endpoint: string, timeoutMs: number) => Promise<ObjectStore>;
  /** How this store says these things. */
  readonly replies: {
    /** Nothing was done, come again: some ways to say so. */
    readonly busy: readonly DoubleReply[];
    /** Something went wrong in there. */
    readonly broken: readonly DoubleReply[];
    /** A put was done, but which version is it? */
    readonly withoutVersion: DoubleReply;
    /** Refused for good, with what the message must say. */
    readonly refused: readonly (readonly [DoubleReply, RegExp])[];
  };
  /** Answers a GET with an object of that many bytes, in its header at least. */
  readonly huge: (bytes: number) => DoubleReply;
}

const key = "faults/key";
const CONTENT = new TextEncoder().encode("content");
/** Long enough for this machine at its busiest, short enough to wait for. */
const TIMEOUT_MS = 1500;
const FOREVER = 1000;

/** What each fault of the network and each refusal must end as. */
export function objectStoreFaultConformance(name: string, options: FaultConformanceOptions): void {
  const { busy, broken, withoutVersion, refused } = options.replies;

  /** A server and a store for one test, so that tests which wait can wait together. */
  async function fixture({ onTestFinished }: TestContext): Promise<{
    readonly double: ProtocolDouble;
    readonly store: ObjectStore;
    readonly isThere: () => Promise<boolean>;
  }> {
    const double = await options.start();
    const store = await options.open(double.endpoint, TIMEOUT_MS);
    onTestFinished(async () => {
      await store.close();
      await double.stop();
    });
    const isThere = async (): Promise<boolean> => {
      double.fault = () => null;
      return (await store.get(key)) !== null;
    };
    return { double, store, isThere };
  }

  describe.concurrent(`object store faults: ${name}`, () => {
    it.for<[string, Fault, boolean]>([
      ["the connection breaks before the put is done", { type: "drop", done: false }, false],
      ["the connection breaks after the put is done", { type: "drop", done: true }, true],
      ["no reply comes", { type: "hang", done: false }, false],
      ["no reply comes, but the put is done", { type: "hang", done: true }, true],
      ["the reply names no version", { type: "reply", reply: withoutVersion, done: true }, true],
      ...broken.flatMap((reply): [string, Fault, boolean][] => [
        [`the store is broken (${reply.status})`, { type: "reply", reply }, false],
        [
          `the store is broken (${reply.status}), but the put is done`,
          { type: "reply", reply, done: true },
          true,
        ],
      ]),
    ])("does not know, and asks once: %s", async ([, fault, done], context) => {
      const { double, store, isThere } = await fixture(context);
      double.failNext(fault, FOREVER);
      const outcome = await store.putIfAbsent(key, CONTENT);
      expect(outcome.type).toBe("unknown");
      expect(double.requests).toBe(1);
      expect(await isThere()).toBe(done);
      const repeated = await store.putIfAbsent(key, CONTENT);
      expect(repeated.type).toBe(done ? "refused" : "written");
    });

    it.for(busy.map((reply) => [replyName(reply), reply] as const))(
      "asks again after being told to: %s",
      async ([, reply], context) => {
        const { double, store } = await fixture(context);
        double.failNext({ type: "reply", reply }, 2);
        const created = await store.putIfAbsent(key, CONTENT);
        expect(created.type).toBe("written");
        expect(double.requests).toBe(3);
        double.failNext({ type: "reply", reply });
        const version = created.type === "written" ? created.version : "";
        expect((await store.putIfMatch(key, new Uint8Array(1), version)).type).toBe("written");
        double.failNext({ type: "reply", reply });
        expect(await store.putIfMatch(key, CONTENT, version)).toEqual({ type: "refused" });
        double.failNext({ type: "reply", reply });
        expect((await store.get(key))?.body).toEqual(new Uint8Array(1));
      },
    );

    it("says when a store goes on asking for fewer requests", async (context) => {
      const { double, store, isThere } = await fixture(context);
      double.failNext({ type: "reply", reply: busy[0]! }, FOREVER);
      const put = await store.putIfAbsent(key, CONTENT).catch((error: unknown) => error);
      expect(put).toMatchObject({ code: "storageThrottled", retryAfterMs: expect.any(Number) });
      expect(await isThere()).toBe(false);
    });

    it("gives up a put that waits to be repeated", async (context) => {
      const { double, store } = await fixture(context);
      double.failNext({ type: "reply", reply: busy[0]! }, FOREVER);
      const giveUp = new AbortController();
      const put = store.putIfAbsent(key, CONTENT, { signal: giveUp.signal });
      while (double.requests === 0) await new Promise((resolve) => setImmediate(resolve));
      giveUp.abort();
      expect((await put).type).toBe("unknown");
    });

    it("repeats reads and deletions", async (context) => {
      const { double, store, isThere } = await fixture(context);
      await store.putIfAbsent(key, CONTENT);
      const faults: Fault[] = [
        { type: "drop", done: false },
        { type: "cut" },
        ...broken.map((reply): Fault => ({ type: "reply", reply })),
      ];
      for (const fault of faults) {
        double.failNext(fault);
        expect((await store.get(key))?.body).toEqual(CONTENT);
        double.failNext(fault);
        expect((await store.list(key)).objects).toEqual([{ name: key, size: CONTENT.length }]);
        double.failNext(fault);
        expect(await store.get(`${key}-absent`)).toBeNull();
      }
      double.failNext({ type: "drop", done: true });
      await store.delete([key]);
      expect(await isThere()).toBe(false);
    });

    it("says when no read is answered", async (context) => {
      const { double, store } = await fixture(context);
      double.failNext({ type: "drop", done: false }, FOREVER);
      expect(await rejection(store.get(key))).toBe("storageUnavailable");
      expect(double.requests).toBeGreaterThan(3);
    });

    it.for(refused.map(([reply, message]) => [replyName(reply), reply, message] as const))(
      "names the fix, and asks once: %s",
      async ([, reply, message], context) => {
        const { double, store } = await fixture(context);
        for (const ask of [
          () => store.putIfAbsent(key, CONTENT),
          () => store.get(key),
          () => store.list("faults/"),
          () => store.delete([key]),
        ]) {
          double.requests = 0;
          double.failNext({ type: "reply", reply }, FOREVER);
          const error = await ask().catch((thrown: unknown) => thrown);
          expect(error).toMatchObject({ code: "storageFailed", detail: expect.stringMatching(message) });
          expect((error as Error).message).toContain(store.location);
          expect(double.requests).toBe(1);
        }
      },
    );

    it("takes no object that is larger than any it writes", async (context) => {
      const { double, store } = await fixture(context);
      double.failNext({ type: "reply", reply: options.huge(store.maxObjectBytes + 1) }, FOREVER);
      expect(await rejection(store.get(key))).toBe("storageCorrupt");
    });

    it("ends what is under way when it is closed", async (context) => {
      const { double } = await fixture(context);
      const closing = await options.open(double.endpoint, TIMEOUT_MS * 100);
      double.failNext({ type: "hang", done: true }, FOREVER);
      const put = closing.putIfAbsent(key, CONTENT);
      const got = rejection(closing.get(key));
      while (double.requests < 2) await new Promise((resolve) => setImmediate(resolve));
      await closing.close();
      expect((await put).type).toBe("unknown");
      expect(await got).toBe("storageFailed");
    });
  });
}

function replyName({ status, body = "" }: DoubleReply): string {
  const text = typeof body === "string" ? body : "";
  return `${status} ${/<Code>(\w+)/.exec(text)?.[1] ?? /"reason":"(\w+)"/.exec(text)?.[1] ?? ""}`;
}
