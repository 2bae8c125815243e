import { describe, expect, it } from "vitest";
import type { Lease } from "../../../src/core/node/index.ts";
import { broken, hang, HEADER, json, type Script, scripted } from "./scripted.ts";

const A = "http://a";

/** A server that grants nine seconds, and then renews as it is told. */
function granting(renew: (count: number, signal: AbortSignal) => Response | Promise<Response>): Script {
  let renewals = 0;
  return ({ path }, signal) => {
    if (path !== "/v3/lease/keepalive") return json({ header: HEADER, ID: "77", TTL: "9" });
    return renew(++renewals, signal);
  };
}

const renewed = (): Response => json({ result: { header: HEADER, ID: "77", TTL: "9" } });

const lost = (lease: Lease): Promise<void> =>
  new Promise((resolve) => lease.lost.addEventListener("abort", () => resolve(), { once: true }));

describe("a lease that is kept alive", () => {
  it("is renewed whenever a third of its time is over, until it is stopped", async () => {
    const times: number[] = [];
    const { client, clock } = scripted({
      [A]: granting(() => {
        times.push(clock.nowMs());
        return renewed();
      }),
    });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    await clock.run(new Promise<void>((resolve) => clock.setTimer(31_000, resolve)));
    expect(times.length).toBe(10);
    expect(times.map((each, i) => each - (times[i - 1] ?? 0))).toEqual(times.map(() => 3000));
    expect(lease.remainingMs).toBe(8000);
    lease.stop();
    await clock.run(new Promise<void>((resolve) => clock.setTimer(31_000, resolve)));
    expect([times.length, lease.remainingMs, lease.lost.aborted]).toEqual([10, 0, false]);
    expect(clock.timers).toBe(0);
  });

  it.each([
    ["breaks", broken],
    ["hangs", hang],
    ["talks nonsense", () => json({})],
    ["refuses", () => json({ message: "etcdserver: permission denied", code: 7 }, 403)],
  ])("is lost when its server %s: not before its time is over, and not after", async (_, fail) => {
    const { client, clock, asked } = scripted({
      [A]: granting((count) => (count <= 2 ? renewed() : fail())),
    });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    await clock.run(lost(lease));
    // The last renewal that worked was sent after two thirds.
    expect(clock.nowMs()).toBe(6000 + 9000);
    expect(lease.lost.reason).toMatchObject({ code: "leaseLost" });
    expect([lease.remainingMs, clock.timers]).toEqual([0, 0]);
    // It was tried again, and not in a hurry.
    expect(asked.length).toBeGreaterThanOrEqual(4);
    expect(asked.length).toBeLessThan(200);
  });

  it("lives from when its renewal was sent, not from when the answer came", async () => {
    const { client, clock } = scripted({
      [A]: granting(async (count) => {
        if (count > 1) return await hang();
        await new Promise<void>((resolve) => clock.setTimer(2000, resolve));
        return renewed();
      }),
    });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    await clock.run(lost(lease));
    expect(clock.nowMs()).toBe(3000 + 9000);
  });

  it("is lost at once when it is gone", async () => {
    const gone = (): Response => json({ result: { header: HEADER, ID: "77" } });
    const { client, clock } = scripted({ [A]: granting((count) => (count === 1 ? renewed() : gone())) });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    await clock.run(lost(lease));
    expect([clock.nowMs(), clock.timers]).toEqual([6000, 0]);
  });

  it("is lost when the process was paused for longer than it lives, before anything else is done", async () => {
    const { client, clock } = scripted({ [A]: granting(renewed) });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    clock.pause(60_000);
    expect(lease.remainingMs).toBe(0);
    await clock.run(lost(lease));
    expect(clock.nowMs()).toBe(60_000);
  });

  it("is no more renewed when the client is closed", async () => {
    const { client, clock, asked } = scripted({ [A]: granting(renewed) });
    const lease = (await clock.run(client.grantLease({ ttlMs: 9000 }))).keepAlive();
    client.close();
    await clock.run(new Promise<void>((resolve) => clock.setTimer(31_000, resolve)));
    expect([asked.length, lease.remainingMs, clock.timers]).toEqual([1, 0, 0]);
  });

  it("is given back although nobody knows whether it has been", async () => {
    let revokes = 0;
    const { client, clock } = scripted({
      [A]: ({ path }) => {
        if (path === "/v3/lease/grant") return json({ header: HEADER, ID: "77", TTL: "9" });
        revokes++;
        return revokes === 1
          ? broken()
          : json({ message: "etcdserver: requested lease not found", code: 5 }, 404);
      },
    });
    const lease = await clock.run(client.grantLease());
    await clock.run(lease.revoke());
    expect(revokes).toBe(2);
  });
});
