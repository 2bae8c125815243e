import { describe, expect, it } from "vitest";
import {
  type AlarmCommand,
  type AlarmType,
  encodeCommand,
  fingerprintOf,
  type KvCommand,
  type KvResult,
  KvStore,
  type NamedWrite,
  type RequestOp,
} from "../../../src/core/kv/index.ts";
import { MAX_ALARMS, MAX_LEASES } from "../../../src/core/kv/limits.ts";
import { apply, bytes, put, putRequest, read, restored, snapshotOf } from "./support.ts";

function alarm(
  store: KvStore,
  action: AlarmCommand["action"],
  type: AlarmType = "noSpace",
  memberId = 1n,
): KvResult {
  return apply(store, { type: "alarm", request: { action, alarm: { type, memberId } } });
}

const PUT: NamedWrite = { type: "put", request: putRequest("a", "2") };
const DELETE: NamedWrite = { type: "deleteRange", request: { key: bytes("a") } };
const RANGE: RequestOp = { type: "range", request: { key: bytes("a") } };

function txn(success: RequestOp[], failure: RequestOp[] = []): NamedWrite {
  return { type: "txn", request: { compare: [], success, failure } };
}

function once(command: NamedWrite, key = "n"): KvCommand {
  const fingerprint = fingerprintOf(encodeCommand(command));
  return { type: "once", request: { key, fingerprint, forgetTo: 0, command } };
}

const GROWING: readonly [string, KvCommand][] = [
  ["a put", PUT],
  ["a put with a TTL", { type: "put", request: putRequest("a", "", { ttlMs: 500, lease: 9n }) }],
  ["a put that keeps the value", { type: "put", request: putRequest("a", "", { ignoreValue: true }) }],
  ["a transaction that puts", txn([DELETE, PUT])],
  ["a transaction that would put in the other branch", txn([DELETE], [PUT])],
  ["a transaction that puts in one inside", txn([txn([], [PUT])])],
  ["a lease", { type: "leaseGrant", request: { id: 5n, ttlMs: 1000 } }],
  ["a put under a name", once(PUT)],
  ["a transaction under a name", once(txn([PUT]))],
];

const SHRINKING: readonly [string, KvCommand][] = [
  ["a deletion", DELETE],
  ["a deletion under a name", once(DELETE)],
  ["a transaction that reads and deletes", txn([RANGE, DELETE], [DELETE])],
  ["compaction", { type: "compact", request: { revision: 2 } }],
  ["the end of a lease", { type: "leaseRevoke", request: { id: 7n } }],
];

const EXPIRY: KvCommand = { type: "leaseExpire", request: { term: 1, leases: [{ id: 7n, serial: 1 }] } };

/** A key, and a lease with one. */
function exampleStore(): KvStore {
  const store = new KvStore();
  put(store, "a", "1");
  apply(store, { type: "leaseGrant", request: { id: 7n, ttlMs: 1000 } });
  put(store, "b", "1", { lease: 7n });
  return store;
}

describe("an alarm", () => {
  it("is raised and disarmed for each member, and nothing else changes", () => {
    const store = exampleStore();
    const { revision } = store;
    const one = { type: "noSpace", memberId: 1n } as const;
    const two = { type: "noSpace", memberId: 2n } as const;
    expect(alarm(store, "activate")).toEqual({ type: "alarm", alarms: [one], revision });
    expect(alarm(store, "activate")).toEqual({ type: "alarm", alarms: [one], revision });
    expect(alarm(store, "activate", "noSpace", 2n)).toMatchObject({ alarms: [two] });
    expect(store.alarms).toEqual([one, two]);
    expect(alarm(store, "deactivate", "corrupt")).toEqual({ type: "alarm", alarms: [], revision });
    expect(alarm(store, "deactivate")).toMatchObject({ alarms: [one] });
    expect(apply(store, PUT)).toMatchObject({ code: "noSpace" });
    expect(alarm(store, "deactivate", "noSpace", 2n)).toMatchObject({ alarms: [two] });
    expect(store.alarms).toEqual([]);
    expect(apply(store, PUT)).toMatchObject({ type: "put" });
  });

  it("is in the snapshot and in the hash of the state", () => {
    const store = exampleStore();
    const quiet = store.stateHash();
    alarm(store, "activate", "corrupt", 2n ** 64n - 1n);
    const first = store.stateHash();
    alarm(store, "activate", "noSpace", 3n);
    expect(new Set([quiet, first, store.stateHash()]).size).toBe(3);
    const copy = restored(snapshotOf(store));
    expect(copy.alarms).toEqual(store.alarms);
    expect(copy.stateHash()).toBe(store.stateHash());
    expect(apply(copy, DELETE)).toMatchObject({ code: "corrupt" });
  });

  it("of which there are too many is refused, and nothing changes", () => {
    const store = new KvStore();
    for (let id = 0; id < MAX_ALARMS; id++) alarm(store, "activate", "noSpace", BigInt(id));
    const before = store.stateHash();
    expect(alarm(store, "activate", "corrupt", 0n)).toMatchObject({ code: "tooManyAlarms" });
    expect(store.stateHash()).toBe(before);
    expect(alarm(store, "activate", "noSpace", 7n)).toMatchObject({ type: "alarm" });
  });
});

describe("while space has run out", () => {
  it.each(GROWING)("%s is refused, and nothing changes", (_name, command) => {
    const store = exampleStore();
    alarm(store, "activate");
    const before = store.stateHash();
    expect(apply(store, command)).toMatchObject({ type: "error", code: "noSpace" });
    expect(store.stateHash()).toBe(before);
    alarm(store, "deactivate");
    expect(apply(store, command).type).not.toBe("error");
  });

  it.each(SHRINKING)("%s goes on", (_name, command) => {
    const store = exampleStore();
    alarm(store, "activate");
    expect(apply(store, command).type).not.toBe("error");
  });

  it("leases end in time, and their keys with them", () => {
    const store = exampleStore();
    alarm(store, "activate");
    expect(apply(store, EXPIRY)).toMatchObject({ expired: [7n] });
    expect(read(store, "b")).toEqual([]);
  });

  it("a write under a name that was done before is answered what it gave", () => {
    const store = exampleStore();
    apply(store, once(PUT));
    alarm(store, "activate");
    expect(apply(store, once(PUT))).toMatchObject({ type: "put", replayed: true });
  });

  it("the name of a write that was refused stays free, also for another", () => {
    const store = exampleStore();
    alarm(store, "activate");
    expect(apply(store, once(PUT))).toMatchObject({ code: "noSpace" });
    expect(apply(store, once(DELETE))).toMatchObject({ type: "deleteRange" });
  });
});

describe("while something is corrupt", () => {
  it.each([...GROWING, ...SHRINKING])("%s is refused, and nothing changes", (_name, command) => {
    const store = exampleStore();
    alarm(store, "activate", "corrupt");
    const before = store.stateHash();
    expect(apply(store, command)).toMatchObject({ type: "error", code: "corrupt" });
    expect(store.stateHash()).toBe(before);
  });

  it("leases end in time", () => {
    const store = exampleStore();
    alarm(store, "activate", "corrupt");
    expect(apply(store, EXPIRY)).toMatchObject({ expired: [7n] });
  });
});

describe("leases", () => {
  it("are in the hash of the state: their ids, times, order, and how many there were", () => {
    const grant = (id: bigint, ttlMs: number): KvCommand => ({ type: "leaseGrant", request: { id, ttlMs } });
    const revoke: KvCommand = { type: "leaseRevoke", request: { id: 1n } };
    const hashOf = (...commands: readonly KvCommand[]): string => {
      const store = new KvStore();
      for (const command of commands) apply(store, command);
      expect(restored(snapshotOf(store)).stateHash()).toBe(store.stateHash());
      return store.stateHash();
    };
    const hashes = [
      hashOf(),
      hashOf(grant(1n, 1000)),
      hashOf(grant(1n, 2000)),
      hashOf(grant(2n, 1000)),
      hashOf(grant(1n, 1000), grant(2n, 1000)),
      hashOf(grant(2n, 1000), grant(1n, 1000)),
      hashOf(grant(1n, 1000), revoke),
      hashOf(grant(1n, 1000), revoke, grant(1n, 1000)),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("are as many as there may be, by grant or by TTL, and one more is refused and changes nothing", () => {
    const store = new KvStore();
    const grants = (from: number, count: number): { command: Uint8Array; term: number }[] =>
      Array.from({ length: count }, (_, i) => ({
        command: encodeCommand({ type: "leaseGrant", request: { id: BigInt(from + i), ttlMs: 1000 } }),
        term: 1,
      }));
    const page = 1 << 14;
    for (let at = 0; at < MAX_LEASES; at += page)
      store.applyChunk(grants(at + 1, Math.min(page, MAX_LEASES - at)));
    expect(store.leaseCount).toBe(MAX_LEASES);
    const { revision } = store;
    const more = BigInt(MAX_LEASES + 1);
    const ttlPut: NamedWrite = { type: "put", request: putRequest("t", "", { ttlMs: 500, lease: more }) };
    expect(apply(store, { type: "leaseGrant", request: { id: more, ttlMs: 1 } })).toMatchObject({
      code: "tooManyLeases",
    });
    expect(apply(store, ttlPut)).toMatchObject({ code: "tooManyLeases" });
    expect(apply(store, txn([PUT, ttlPut]))).toMatchObject({ code: "tooManyLeases" });
    expect(apply(store, once(ttlPut))).toMatchObject({ code: "tooManyLeases" });
    expect([store.leaseCount, store.revision, store.keyCount]).toEqual([MAX_LEASES, revision, 0]);
    apply(store, { type: "leaseRevoke", request: { id: 1n } });
    expect(apply(store, once(ttlPut))).toMatchObject({ type: "put" });
    expect(apply(store, { type: "leaseGrant", request: { id: 1n, ttlMs: 1 } })).toMatchObject({
      code: "tooManyLeases",
    });
  });
});
