import { expect, test } from "vitest";
import { encodeCommand, KvStore } from "../../../src/core/kv/index.ts";
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
