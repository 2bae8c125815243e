import { afterEach, describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../../src/adapters/memory/index.ts";
import { EngineError, ERRORS } from "../../../../src/core/errors/index.ts";
import type { LogStore, StorageEngine } from "../../../../src/core/node/index.ts";
import type { EmbeddedOptions } from "../../../../src/runtimes/node/index.ts";
import { sameOverGrpc } from "../grpc/same-over-grpc.ts";
import { b, expectRefusal, expectRefusedInVain, key, post, serve, type Served } from "./refusal.ts";

/* What requests are refused with when the disk is slow or fails, as JSON and over gRPC. */

/** In memory, and as slow as a test wants it to be. */
class SlowStorage implements StorageEngine {
  readonly #inner = new MemoryStorage();
  readonly meta = this.#inner.meta;
  readonly snapshots = this.#inner.snapshots;
  readonly log: LogStore;
  #held: Promise<void> = Promise.resolve();

  constructor() {
    const { log } = this.#inner;
    const append = async (...[entries]: Parameters<LogStore["append"]>): Promise<void> => {
      await this.#held;
      await log.append(entries);
    };
    this.log = new Proxy(log, {
      get: (_target, name) => {
        if (name === "append") return append;
        const value: unknown = Reflect.get(log, name, log);
        return typeof value === "function" ? (value.bind(log) as unknown) : value;
      },
    });
  }

  /** From now on writes wait; the way to end that, well or badly. */
  hold(): { readonly release: () => void; readonly fail: () => void } {
    let release: () => void = () => undefined;
    let fail: () => void = () => undefined;
    this.#held = new Promise((resolve, reject) => {
      release = resolve;
      fail = () => reject(new EngineError("storageFailed"));
    });
    return { release, fail };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

const write = ["/v3/kv/put", { key }] as const;
let end: () => Promise<unknown> = async () => undefined;
afterEach(() => end());

async function held(options: EmbeddedOptions): Promise<Served & ReturnType<SlowStorage["hold"]>> {
  const storage = new SlowStorage();
  const member = await serve({ storage, logger: { log: () => undefined }, ...options });
  await member.engine.waitReady(30_000);
  const hold = storage.hold();
  end = () => {
    hold.release();
    return member.engine.stop();
  };
  return { ...member, ...hold };
}

describe("a member whose disk", () => {
  it("is slow cannot say what became of a write: timeout", async () => {
    const member = await held({ requestTimeout: 300 });
    const [json, grpc] = await Promise.all([
      post(member, ...write),
      sameOverGrpc(new URL(member.url).host, ...write),
    ]);
    expectRefusal(json, "timeout");
    const [code, message] = ERRORS.timeout;
    expect(grpc).toEqual({ code, message });
  });

  it("is slow takes no more than it may have under way: tooManyRequests, and nothing has changed", async () => {
    const member = await held({ requestTimeout: 60_000 });
    const value = new Uint8Array(1 << 20);
    // Until the 64 MiB that may be uncommitted are there.
    const full = Promise.race(
      Array.from({ length: 80 }, () => member.engine.engine.put({ key: new Uint8Array([1]), value })),
    );
    await expect(full).rejects.toMatchObject({ code: "tooManyRequests" });
    const path = "/v3/kv/put";
    const body = { key, value: b("x".repeat(1 << 20)) };
    expect(await expectRefusedInVain(member, { name: "", path, body, code: "tooManyRequests" })).toBe("both");
  });

  it("fails says that it is gone: stopped", async () => {
    const member = await held({ requestTimeout: 60_000 });
    const writes = Promise.all([post(member, ...write), sameOverGrpc(new URL(member.url).host, ...write)]);
    await expect.poll(() => member.engine.engine.status().pendingProposals).toBe(2);
    member.fail();
    const [json, grpc] = await writes;
    expectRefusal(json, "stopped");
    const [code, message] = ERRORS.stopped;
    expect(grpc).toEqual({ code, message });
  });
});
