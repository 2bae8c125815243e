// Connections that outlast the memory of their server, over the real watch hub.

import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Engine, SavedWatches } from "../../../src/core/node/index.ts";
import { portableBase64 } from "../../../src/runtimes/http/index.ts";
import type { Session } from "../../../src/runtimes/http/etcd/session.ts";
import { SocketSessions } from "../../../src/runtimes/http/etcd/socket-sessions.ts";
import { HubFixture, put } from "../../core/node/watch/hub-fixture.ts";

interface Event {
  readonly kv: { readonly key: string; readonly mod_revision: string };
}

/** What one connection is told, and what is kept of it. */
class Connection {
  readonly texts: string[] = [];
  kept: SavedWatches | null = null;
  closeCode: number | null = null;
  session!: Session;

  readonly socket = {
    send: (text: string): void => void this.texts.push(text),
    close: (code: number): void => {
      this.closeCode = code;
    },
    keep: (saved: SavedWatches): void => {
      this.kept = structuredClone(saved);
    },
    room: (): Promise<void> => Promise.resolve(),
  };

  get told(): string[] {
    const replies = this.texts.map((text) => (JSON.parse(text) as { result: { events?: Event[] } }).result);
    return replies.flatMap(({ events = [] }) => events.map(({ kv }) => `${atob(kv.key)}@${kv.mod_revision}`));
  }
}

function sessionsOf(engine: Partial<Engine>): SocketSessions {
  const guard = (): null => null;
  return new SocketSessions({
    engine: engine as Engine,
    base64: portableBase64,
    guard,
    logger: { log: () => undefined },
  });
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a watch session", () => {
  function open(fixture: HubFixture): Connection {
    const connection = new Connection();
    connection.session = sessionsOf({}).watch(fixture.hub.open({}, true), connection.socket);
    return connection;
  }

  it("keeps what it has sent, whole revisions alone, wherever it is cut off", async () => {
    const page = { maxEvents: 2, maxBytes: 1 << 20, maxScanned: 2, maxWaiting: 3 };
    const fixture = new HubFixture({ page });
    const all = ["a", "b", "c", "d", "e"].map((key) => put(key, "1"));
    const first = open(fixture);
    await first.session.receive(`{"create_request":{"key":"AA==","range_end":"AA==","fragment":true}}`);
    await settled();
    for (let revision = 0; revision < 3; revision++) {
      fixture.apply({ type: "txn", request: { compare: [], success: all, failure: [] } });
    }
    const told: string[] = [];
    let connection = first;
    for (let turn = 0; turn < 200 && told.length < 15; turn++) {
      const before = connection;
      await Promise.resolve();
      // Its memory is gone from one turn to the next.
      const saved = before.kept!;
      told.push(...before.told.splice(0));
      before.session.close();
      connection = new Connection();
      connection.kept = saved;
      const stream = fixture.hub.resume(saved);
      connection.session = sessionsOf({}).watch(stream, connection.socket);
      for (let i = 0; i < turn; i++) await Promise.resolve();
    }
    expect(told).toEqual(
      [2, 3, 4].flatMap((revision) => ["a", "b", "c", "d", "e"].map((key) => `${key}@${revision}`)),
    );
  });

  it("ends with what was wrong with a request", async () => {
    const connection = open(new HubFixture());
    await connection.session.receive("{");
    expect(connection.texts.at(-1)).toContain('"reason":"invalidArgument"');
    expect(connection.closeCode).toBe(1008);
    await connection.session.receive(`{"create_request":{"key":"YQ=="}}`);
    expect(connection.texts).toHaveLength(1);
  });

  it("frees its watches when nobody listens any more", async () => {
    const fixture = new HubFixture();
    const connection = open(fixture);
    await connection.session.receive(`{"create_request":{"key":"YQ=="}}`);
    expect(fixture.hub.stats()).toMatchObject({ streams: 1, watches: 1 });
    connection.session.close();
    expect(fixture.hub.stats()).toMatchObject({ streams: 0, watches: 0 });
  });

  it("ends with its stream", async () => {
    const fixture = new HubFixture();
    const connection = open(fixture);
    fixture.hub.stop();
    await settled();
    expect(connection.texts.at(-1)).toContain('"reason":"stopped"');
    expect(connection.closeCode).toBe(1008);
  });
});

describe("a keep-alive session", () => {
  it("answers in order, and takes no more than it can", async () => {
    const connection = new Connection();
    const asked: { readonly id: bigint; readonly answer: (ttlMs: number) => void }[] = [];
    const leaseKeepAlive = (id: bigint): ReturnType<Engine["leaseKeepAlive"]> =>
      new Promise((resolve) => {
        const header = { clusterId: 1n, memberId: 2n, revision: 3, raftTerm: 4 };
        asked.push({ id, answer: (ttlMs) => resolve({ id, ttlMs, header }) });
      });
    const session = sessionsOf({ leaseKeepAlive }).leaseKeepAlive(connection.socket);
    for (let id = 1; id <= 64; id++) void session.receive(`{"ID":"${id}"}`);
    await settled();
    expect(asked.map(({ id }) => id)).toEqual([1n]);
    asked[0]!.answer(2000);
    await settled();
    expect(asked.map(({ id }) => id)).toEqual([1n, 2n]);
    expect(connection.texts.map((text) => (JSON.parse(text) as { result: object }).result)).toMatchObject([
      { ID: "1", TTL: "2" },
    ]);
    void session.receive(`{"ID":"65"}`);
    await session.receive(`{"ID":"66"}`);
    expect(connection.texts.at(-1)).toContain('"reason":"tooManyRequests"');
    expect(connection.closeCode).toBe(1008);
  });

  it("ends with the error of its engine", async () => {
    const connection = new Connection();
    const leaseKeepAlive = (): Promise<never> => Promise.reject(new EngineError("noLeader"));
    const session = sessionsOf({ leaseKeepAlive }).leaseKeepAlive(connection.socket);
    await session.receive(`{"ID":"1"}`);
    expect(connection.texts.at(-1)).toContain('"reason":"noLeader"');
    expect(connection.closeCode).toBe(1008);
  });
});
