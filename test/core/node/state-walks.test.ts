import { expect, test } from "vitest";
import { encodeCommand, type KvCommand, KvStore } from "../../../src/core/kv/index.ts";
import type { Clock } from "../../../src/core/node/index.ts";
import { backupOf } from "../../../src/core/node/backup/index.ts";
import { StateWalks } from "../../../src/core/node/state-walks.ts";
import { bytes } from "./support.ts";

/** Gives turns at once, and counts them. */
class CountingClock implements Clock {
  turns = 0;
  nowMs = (): number => 0;
  wallMs = (): number => 0;

  setTimer(delayMs: number, callback: () => void): () => void {
    if (delayMs > 0) return () => {};
    this.turns++;
    queueMicrotask(callback);
    return () => {};
  }
}

function storeOf(keys: number, valueBytes: number): KvStore {
  const store = new KvStore();
  for (let i = 0; i < keys; i++) {
    const request = { key: bytes(`k${i}`), value: new Uint8Array(valueBytes).fill(i) };
    store.applyChunk([{ command: encodeCommand({ type: "put", request }), term: 1 }]);
  }
  return store;
}

const HEADER = { clusterId: 1n, memberId: 2n, raftTerm: 3 };
const ORIGIN = { clusterId: 1n, memberId: 2n, groupId: "group", term: 3, createdMs: 4 };

test.each([
  ["many keys", 10_000, 10, 9, 3],
  ["large values", 40, 500_000, 19, 300],
])(
  "others have their turn while %s are hashed and backed up",
  async (_what, keys, size, whileHashing, whileCopying) => {
    const clock = new CountingClock();
    const store = storeOf(keys, size);
    const walks = new StateWalks(store, clock, () => {});
    expect((await walks.hash(0)).hash).toBe(store.hash());
    expect(clock.turns).toBeGreaterThanOrEqual(whileHashing);
    clock.turns = 0;
    const headerAt = (revision: number) => ({ ...HEADER, revision });
    for await (const piece of backupOf(walks, () => ORIGIN, headerAt))
      expect(piece.bytes.length).toBeGreaterThan(0);
    expect(clock.turns).toBeGreaterThanOrEqual(whileCopying);
  },
);

test("others have their turn while leases, named writes, users and roles are hashed", async () => {
  const clock = new CountingClock();
  const fingerprint = "0123456789abcdef";
  const put = { type: "put", request: { key: bytes("k") } } as const;
  const permission = { access: "read", key: bytes("a"), rangeEnd: bytes("b") } as const;
  const commandsOf: ((i: number) => KvCommand[])[] = [
    () => [],
    (i) => [{ type: "leaseGrant", request: { id: BigInt(i + 1), ttlMs: 1000 } }],
    (i) => [{ type: "once", request: { key: `n${i}`, fingerprint, forgetTo: 0, command: put } }],
    (i) => [{ type: "auth", request: { op: "userAdd", name: `u${i}`, passwordHash: null } }],
    (i) => [
      { type: "auth", request: { op: "roleAdd", role: `r${i}` } },
      { type: "auth", request: { op: "roleGrantPermission", role: `r${i}`, permission } },
    ],
  ];
  const turns: number[] = [];
  for (const commands of commandsOf) {
    const store = new KvStore();
    for (let i = 0; i < 3000; i++) {
      for (const command of commands(i)) store.applyChunk([{ command: encodeCommand(command), term: 1 }]);
    }
    const walks = new StateWalks(store, clock, () => {});
    clock.turns = 0;
    expect((await walks.hash(0)).stateHash).toBe(store.stateHash());
    turns.push(clock.turns);
  }
  expect(turns[0]).toBe(0);
  for (const each of turns.slice(1)) expect(each).toBeGreaterThanOrEqual(2);
});
