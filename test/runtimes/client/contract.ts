// What a client does, whoever is behind it: run over the engine in this process, and over HTTP.

import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Engine } from "../../../src/core/node/index.ts";
import {
  type Change,
  type Client,
  type ClientError,
  jsonCodec,
  type Watch,
} from "../../../src/runtimes/client/index.ts";

/** A group with nothing in it, and a way to make clients of it. */
export interface ContractSite {
  readonly engine: Engine;
  makeClient(): Client;
  stop(): Promise<void>;
}

const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value);

export async function errorOf(work: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await work.then(
    () => new Error("it did not fail"),
    (failure: unknown) => failure,
  );
  if (!(error instanceof EngineError)) throw error;
  return error as ClientError;
}

/** The next so many changes. */
export async function take(watch: Watch, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of watch) {
    changes.push(change);
    if (changes.length === count) break;
  }
  return changes;
}

export function clientContract(name: string, open: () => Promise<ContractSite>): void {
  describe(`Client, ${name}`, () => {
    let site: ContractSite;
    let client: Client;

    beforeEach(async () => {
      site = await open();
      client = site.makeClient();
    });
    afterEach(async () => {
      client.close();
      await site.stop();
    });

    it("puts, gets and deletes text and bytes, under every policy", async () => {
      const revision = await client.put("k", "grüße");
      for (const consistency of ["linearizable", "lease", "eventual"] as const) {
        expect(await client.getText("k", { consistency })).toBe("grüße");
        expect(await client.get("missing", { consistency })).toBeNull();
      }
      await client.put(Uint8Array.of(0, 255), Uint8Array.of(1, 255));
      expect(await client.get(Uint8Array.of(0, 255))).toEqual(Uint8Array.of(1, 255));
      expect(await client.getEntry("k")).toEqual({
        key: new TextEncoder().encode("k"),
        value: new TextEncoder().encode("grüße"),
        createRevision: revision,
        modRevision: revision,
        version: 1,
        lease: 0n,
      });
      expect(await client.put("k", "2")).toBe(revision + 2);
      expect(await client.getText("k", { revision })).toBe("grüße");
      expect([await client.delete("k"), await client.delete("k")]).toEqual([true, false]);
      expect((await client.getMany([Uint8Array.of(0, 255), "k"])).map((value) => value?.length)).toEqual([
        2,
        undefined,
      ]);
    });

    it("runs transactions", async () => {
      await client.put("a", "1");
      const { succeeded, responses, revision } = await client
        .txn()
        .ifValue("a", "equal", "1")
        .ifMissing("b")
        .thenPut("b", "2")
        .thenGet("a")
        .andThen({
          type: "txn",
          request: {
            compare: [],
            success: [{ type: "deleteRange", request: { key: new TextEncoder().encode("a"), prevKv: true } }],
            failure: [],
          },
        })
        .commit();
      expect([succeeded, revision]).toEqual([true, 3]);
      expect(responses).toMatchObject([
        { type: "put", response: { prevKv: null } },
        { type: "range", response: { count: 1, more: false } },
        {
          type: "txn",
          response: { succeeded: true, revision: 3, responses: [{ response: { deleted: 1 } }] },
        },
      ]);
      expect(await client.compareAndSwap("b", "2", "3")).toBe(true);
      expect(await client.compareAndSwap("b", "2", "4")).toBe(false);
      expect(await client.compareAndSwap("b", "3", null)).toBe(true);
      expect(await client.compareAndSwap("b", null, "5")).toBe(true);
    });

    it("scans in pages, all of one revision, and reads ranges in etcd's terms", async () => {
      for (let i = 0; i < 7; i++) await client.put(`s/${i}`, String(i));
      await client.put("t", "outside");
      const pages: string[][] = [];
      for await (const { entries, revision } of client.pages("s/", { pageSize: 3 })) {
        expect(revision).toBe(9);
        pages.push(entries.map(({ key }) => text(key)!));
        await client.put("s/9", "later");
      }
      expect(pages.map((page) => page.length)).toEqual([3, 3, 1]);
      expect((await client.scanPrefix("")).entries.length).toBe(9);
      const { kvs, more, count } = await client.range({
        key: "s/",
        rangeEnd: "s0",
        limit: 2,
        sortTarget: "value",
        sortOrder: "descend",
        keysOnly: true,
      });
      expect(kvs.map(({ key, value }) => [text(key), value.length])).toEqual([
        ["s/9", 0],
        ["s/6", 0],
      ]);
      expect([more, count]).toEqual([true, 8]);
      expect(await client.deletePrefix("s/")).toBe(8);
    });

    it("compacts, and says so as a typed error", async () => {
      for (let i = 0; i < 5; i++) await client.put("k", String(i));
      await client.compact(4);
      expect(await errorOf(client.get("k", { revision: 3 }))).toMatchObject({
        code: "compacted",
        retryable: false,
        maybeApplied: false,
      });
      expect(await errorOf(client.get("k", { revision: 99 }))).toMatchObject({ code: "futureRevision" });
      const watch = client.watch("k", { startRevision: 2 });
      const error = await errorOf(take(watch, 1));
      expect(error.code === "compacted" && error.compactRevision).toBe(4);
    });

    it("does a write under an idempotency key once, and answers it again", async () => {
      const revision = await client.put("k", "v", { idempotencyKey: "put-1" });
      expect(await client.put("k", "v", { idempotencyKey: "put-1" })).toBe(revision);
      expect(await errorOf(client.put("k", "w", { idempotencyKey: "put-1" }))).toMatchObject({
        code: "idempotencyKeyReused",
      });
      const swap = (): Promise<boolean> => client.compareAndSwap("k", "v", "w", { idempotencyKey: "swap-1" });
      expect([await swap(), await swap()]).toEqual([true, true]);
      const remove = (): Promise<number> => client.deletePrefix("", { idempotencyKey: "delete-1" });
      expect([await remove(), await remove()]).toEqual([1, 1]);
      expect(await client.status()).toMatchObject({ revision: 4 });
    });

    it("tells what was wrong with a request, and changes nothing", async () => {
      expect(await errorOf(client.put("", "v"))).toMatchObject({ code: "emptyKey" });
      expect(await errorOf(client.put("k", "v", { lease: 404n }))).toMatchObject({ code: "leaseNotFound" });
      const builder = client.txn();
      for (let i = 0; i < 129; i++) builder.thenGet("k");
      expect(await errorOf(builder.commit())).toMatchObject({ code: "tooManyOps" });
      expect(await errorOf(client.txn().thenPut("k", "1").thenPut("k", "2").commit())).toMatchObject({
        code: "duplicateKey",
      });
      expect(await errorOf(client.removeMember(77n))).toMatchObject({ code: "memberNotFound" });
      expect(await client.status()).toMatchObject({ revision: 1 });
    });

    it("gives up when it is told to, before and after", async () => {
      const given = AbortSignal.abort(new Error("enough"));
      expect(await errorOf(client.get("k", { signal: given }))).toMatchObject({ code: "canceled" });
      expect(() => client.watch("k", { signal: given })).toThrow("etcdserver: request canceled");
      const controller = new AbortController();
      const watch = client.watch("k", { signal: controller.signal });
      await watch.ready();
      const end = errorOf(take(watch, 1));
      controller.abort();
      expect(await end).toMatchObject({ code: "canceled" });
    });

    it("watches what happens after it is ready", async () => {
      const watch = client.watchPrefix("w/", { prevKv: true });
      await watch.ready();
      await client.put("w/a", "1");
      await client.put("elsewhere", "1");
      await client.put("w/a", "2");
      await client.delete("w/a");
      const changes = await take(watch, 3);
      expect(
        changes.map(({ type, key, value, revision, prevKv }) => [
          type,
          key,
          value,
          revision,
          text(prevKv?.value ?? null),
        ]),
      ).toEqual([
        ["put", "w/a", "1", 2, null],
        ["put", "w/a", "2", 4, "1"],
        ["delete", "w/a", "", 5, "2"],
      ]);
      expect((await take(client.watchPrefix("w/", { startRevision: 4 }), 2)).map(({ type }) => type)).toEqual(
        ["put", "delete"],
      );
    });

    it("watches from the present state on, without a gap", async () => {
      const count = 1203;
      for (let from = 0; from < count; from += 100) {
        const txn = client.txn();
        for (let i = from; i < Math.min(count, from + 100); i++)
          txn.thenPut(`i/${String(i).padStart(5, "0")}`, "old");
        await txn.commit();
      }
      const watch = client.watchPrefix("i/", { initialState: true });
      await watch.ready();
      await client.put("i/new", "new");
      const changes = await take(watch, count + 1);
      expect(changes.filter(({ initial }) => initial).length).toBe(count);
      expect(new Set(changes.map(({ key }) => key)).size).toBe(count + 1);
      expect(changes.at(-1)).toMatchObject({ key: "i/new", value: "new", initial: false });
    });

    it("ends its watches when it is closed", async () => {
      const watch = client.watch("k");
      await watch.ready();
      const end = errorOf(take(watch, 1));
      client.close();
      expect(await end).toMatchObject({ code: "canceled" });
    });

    it("grants leases, whose keys go with them", async () => {
      const lease = await client.grantLease({ ttlMs: 60_000 });
      await client.put("with", "1", { lease });
      expect(await lease.info({ keys: true })).toMatchObject({
        ttlMs: 60_000,
        keys: [new TextEncoder().encode("with")],
      });
      expect(lease.remainingMs).toBeGreaterThan(0);
      expect(await client.listLeases()).toEqual([lease.id]);
      expect(await lease.renew()).toBeGreaterThan(50_000);
      await lease.revoke();
      await lease.revoke();
      expect([await client.get("with"), await lease.info()]).toEqual([null, null]);
      expect(await errorOf(lease.renew())).toMatchObject({ code: "leaseLost" });
      expect(lease.lost.reason).toMatchObject({ code: "leaseLost" });
      await client.put("soon", "gone", { ttlMs: 60_000 });
      expect((await client.getEntry("soon"))?.lease).not.toBe(0n);
    });

    it("keeps a lease alive for longer than it would live, and tells of its loss", async () => {
      const lease = (await client.grantLease({ ttlMs: 1000 })).keepAlive();
      onTestFinished(() => lease.stop());
      await client.put("alive", "1", { lease });
      const idle = await client.grantLease({ ttlMs: 1000 });
      await client.put("dead", "1", { lease: idle });
      const gone = client.watch("dead", { startRevision: 1, filters: ["noPut"] });
      expect(await take(gone, 1)).toMatchObject([{ type: "delete" }]);
      expect(await client.getText("alive")).toBe("1");
      expect(lease.lost.aborted).toBe(false);
      const lost = new Promise((resolve) => lease.lost.addEventListener("abort", resolve, { once: true }));
      await site.engine.leaseRevoke({ id: lease.id });
      await lost;
      expect(lease.lost.reason).toMatchObject({ code: "leaseLost" });
      expect(lease.remainingMs).toBe(0);
    });

    it("locks one after the other, with growing tokens", async () => {
      const other = site.makeClient();
      onTestFinished(() => other.close());
      let inside = 0;
      const tokens: number[] = [];
      const work = async (each: Client): Promise<void> => {
        await each.lock("l", async ({ fencingToken, key, signal }) => {
          expect(++inside).toBe(1);
          tokens.push(fencingToken);
          expect((await each.getEntry(key))?.createRevision).toBe(fencingToken);
          expect(await each.tryLock("l", () => "twice")).toEqual({ locked: false });
          expect(signal.aborted).toBe(false);
          inside--;
        });
      };
      await Promise.all([work(client), work(other), work(client), work(other)]);
      expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
      expect(new Set(tokens).size).toBe(4);
      expect(await client.tryLock("l", () => "once")).toEqual({ locked: true, value: "once" });
      expect(await client.listLeases()).toEqual([]);
    });

    it("gives a lock back when the work fails, and gives up waiting in time", async () => {
      await expect(client.lock("l", () => Promise.reject(new Error("no luck")))).rejects.toThrow("no luck");
      await client.lock("l", async () => {
        expect(await errorOf(client.lock("l", () => 1, { timeoutMs: 50 }))).toMatchObject({
          code: "timeout",
        });
        const controller = new AbortController();
        const waiting = errorOf(client.lock("l", () => 1, { signal: controller.signal }));
        controller.abort();
        expect(await waiting).toMatchObject({ code: "canceled" });
      });
      expect(await client.lock("l", () => 7)).toBe(7);
    });

    it("tells the holder when the lock is lost, and lets the next one have it", async () => {
      const lost = client.lock(
        "l",
        async ({ lease, signal }) => {
          await site.engine.leaseRevoke({ id: lease.id });
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
          return "done all the same";
        },
        { ttlMs: 300 },
      );
      expect(await errorOf(lost)).toMatchObject({ code: "leaseLost" });
      expect(await client.lock("l", () => "next")).toBe("next");
    });

    it("elects, proclaims and is observed", async () => {
      const over = new AbortController();
      const seen: string[] = [];
      const observed = (async () => {
        for await (const leader of client.observe("e", { signal: over.signal })) {
          seen.push(leader.text);
          if (leader.text === "third") break;
        }
      })();
      expect(await client.leader("e")).toBeNull();
      const second = Promise.withResolvers<void>();
      const first = client.elect(
        "e",
        async ({ proclaim, fencingToken }) => {
          expect(await client.leader("e")).toMatchObject({ fencingToken, text: "first" });
          await proclaim("second");
          await second.promise;
        },
        { value: "first" },
      );
      const next = client.elect("e", () => observed, { value: "third" });
      while (!seen.includes("second")) await new Promise((resolve) => setTimeout(resolve, 5));
      second.resolve();
      await Promise.all([first, next]);
      expect(seen.at(-1)).toBe("third");
      expect(await client.leader("e")).toBeNull();
    });

    it("reads and writes values of a type", async () => {
      interface Task {
        readonly title: string;
        readonly done: boolean;
      }
      const tasks = client.withCodec(jsonCodec<Task>());
      await tasks.put("task/1", { title: "write", done: false });
      expect(await tasks.get("task/1")).toEqual({ title: "write", done: false });
      expect(await tasks.get("task/2")).toBeNull();
      expect(
        await tasks.compareAndSwap("task/1", { title: "write", done: false }, { title: "write", done: true }),
      ).toBe(true);
      expect((await tasks.scanPrefix("task/")).entries[0]?.value.done).toBe(true);
      const [change] = await (async () => {
        for await (const one of tasks.watchPrefix("task/", { startRevision: 3, prevKv: true })) return [one];
        return [];
      })();
      expect(change).toMatchObject({ key: "task/1", value: { done: true }, previous: { done: false } });
      await client.put("task/3", "no JSON");
      expect(await errorOf(tasks.get("task/3"))).toMatchObject({
        code: "malformed",
        detail: 'the value of "task/3"',
      });
    });

    it("knows the members, and who leads", async () => {
      const [member] = await client.listMembers();
      expect(await client.status()).toMatchObject({ nodeId: member?.id, leaderId: member?.id });
    });
  });
}
