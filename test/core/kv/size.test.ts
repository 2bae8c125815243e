import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuthCommand, growthOf, type KvCommand, KvStore } from "../../../src/core/kv/index.ts";
import { ATTACHMENT_BYTES, LEASE_BYTES, VERSION_BYTES } from "../../../src/core/kv/size.ts";
import { commands } from "./arbitraries.ts";
import { authCommands } from "./auth/arbitrary-commands.ts";
import { outcome } from "./auth/auth-commands.ts";
import { apply, bytes, compact, del, put, putRequest, restored, snapshotOf } from "./support.ts";

function settled(store: KvStore): KvStore {
  while (store.compactStep(1000));
  return store;
}

describe("the size of the store", () => {
  it("counts every version by key, value and what keeps it, and every lease", () => {
    const store = new KvStore();
    expect(store.sizeBytes).toBe(0);
    put(store, "key", "value");
    expect(store.sizeBytes).toBe(VERSION_BYTES + 8);
    put(store, "key", "");
    expect(store.sizeBytes).toBe(2 * VERSION_BYTES + 11);
    apply(store, { type: "leaseGrant", request: { id: 1n, ttlMs: 1000 } });
    put(store, "k", "", { lease: 1n });
    expect(store.sizeBytes).toBe(3 * VERSION_BYTES + 12 + LEASE_BYTES + ATTACHMENT_BYTES);
    apply(store, { type: "leaseRevoke", request: { id: 1n } });
    expect(store.sizeBytes).toBe(4 * VERSION_BYTES + 13 + ATTACHMENT_BYTES);
  });

  it("is what it was before a command that is refused", () => {
    const store = new KvStore();
    put(store, "a", "1");
    const before = store.sizeBytes;
    put(store, "b", "2", { lease: 7n });
    expect(store.sizeBytes).toBe(before);
  });

  it("does not count a tombstone below the compacted revision, though a put after it names it still", () => {
    const store = new KvStore();
    put(store, "a", "1");
    del(store, "a");
    put(store, "b", "");
    put(store, "a", "2");
    compact(store, 4);
    expect(settled(store).sizeBytes).toBe(2 * (VERSION_BYTES + 1) + 1);
    compact(store, 5);
    expect(settled(store).sizeBytes).toBe(2 * (VERSION_BYTES + 1) + 1);
  });

  it("is the same on whoever was restored from a snapshot, whatever was compacted when", () => {
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 60 }), (script) => {
        const store = new KvStore();
        for (const command of script) {
          apply(store, command);
          expect(restored(snapshotOf(store)).sizeBytes).toBe(settled(store).sizeBytes);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("never grows by more than was foreseen", () => {
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 40 }), (script) => {
        const store = new KvStore();
        for (const command of script) {
          const before = store.sizeBytes;
          apply(store, command);
          const foreseen = growthOf(command) + kept(command);
          expect(store.sizeBytes - before).toBeLessThanOrEqual(foreseen + shrinks(command) * TOMBSTONES);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe("the size of users and roles", () => {
  it("never grows by more than was foreseen, but for a password in the place of another", () => {
    fc.assert(
      fc.property(fc.array(authCommands, { maxLength: 40 }), (script) => {
        const store = new KvStore();
        for (const request of script) {
          const before = store.sizeBytes;
          apply(store, { type: "auth", request });
          const another = request.op === "userChangePassword" ? request.passwordHash.length : 0;
          expect(store.sizeBytes - before).toBeLessThanOrEqual(growthOf({ type: "auth", request }) + another);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("does not grow where there is no space, while what was granted can be taken away", () => {
    const store = new KvStore();
    const done = (request: AuthCommand): string => outcome(apply(store, { type: "auth", request }));
    const permission = { access: "read", key: bytes("a"), rangeEnd: bytes("b") } as const;
    const ofAll = { access: "read", key: bytes("a"), rangeEnd: bytes("z") } as const;
    const alice = { name: "alice", passwordHash: "$1" };
    expect(done({ op: "userAdd", ...alice })).toBe("done");
    expect(done({ op: "roleAdd", role: "r" })).toBe("done");
    expect(done({ op: "roleGrantPermission", role: "r", permission })).toBe("done");
    expect(done({ op: "userGrantRole", name: "alice", role: "r" })).toBe("done");
    const alarm = { type: "noSpace", memberId: 1n } as const;
    apply(store, { type: "alarm", request: { action: "activate", alarm } });
    expect(done({ op: "userAdd", name: "bob", passwordHash: null })).toBe("noSpace");
    expect(done({ op: "roleAdd", role: "s" })).toBe("noSpace");
    expect(done({ op: "roleGrantPermission", role: "r", permission: ofAll })).toBe("noSpace");
    expect(done({ op: "userGrantRole", name: "alice", role: "root" })).toBe("noSpace");
    expect(done({ op: "userChangePassword", name: "alice", passwordHash: "$2" })).toBe("done");
    expect(done({ op: "userRevokeRole", name: "alice", role: "r" })).toBe("done");
    expect(done({ op: "userDelete", name: "alice" })).toBe("done");
    expect(done({ op: "roleDelete", role: "r" })).toBe("done");
  });
});

/** Of all keys that `commands` has. */
const TOMBSTONES = 8 * (VERSION_BYTES + 2) + 8;

/** How many operations may leave tombstones, which no quota counts. */
function shrinks(command: KvCommand): number {
  if (command.type === "txn") {
    const { success, failure } = command.request;
    return [...success, ...failure].reduce((sum, op) => sum + (op.type === "range" ? 0 : shrinks(op)), 0);
  }
  if (command.type === "leaseExpire") return command.request.leases.length;
  return command.type === "put" || command.type === "leaseGrant" || command.type === "compact" ? 0 : 1;
}

/** What a put that keeps the present value or lease may take over. */
function kept(command: KvCommand): number {
  if (command.type === "txn") {
    const { success, failure } = command.request;
    return [...success, ...failure].reduce((sum, op) => sum + (op.type === "range" ? 0 : kept(op)), 0);
  }
  return command.type === "put" ? "a longer value".length + ATTACHMENT_BYTES : 0;
}

describe("what a command can add", () => {
  const put = { type: "put", request: putRequest("a", "123") } as const;

  it.each<[string, number, KvCommand]>([
    ["a put", VERSION_BYTES + 4, put],
    [
      "a put with a lease",
      VERSION_BYTES + ATTACHMENT_BYTES + 1,
      { type: "put", request: putRequest("a", "", { lease: 7n }) },
    ],
    [
      "a put with a TTL",
      VERSION_BYTES + ATTACHMENT_BYTES + LEASE_BYTES + 1,
      { type: "put", request: putRequest("a", "", { ttlMs: 7 }) },
    ],
    ["a lease", LEASE_BYTES, { type: "leaseGrant", request: { id: 1n, ttlMs: 1 } }],
    ["a deletion", 0, { type: "deleteRange", request: { key: bytes("a") } }],
    ["compaction", 0, { type: "compact", request: { revision: 1 } }],
    ["the end of a lease", 0, { type: "leaseRevoke", request: { id: 1n } }],
    ["leases that end", 0, { type: "leaseExpire", request: { term: 1, leases: [] } }],
    [
      "a transaction, by its larger branch",
      2 * (VERSION_BYTES + 4),
      {
        type: "txn",
        request: {
          compare: [],
          success: [put],
          failure: [
            put,
            { type: "deleteRange", request: { key: bytes("b") } },
            { type: "txn", request: { compare: [], success: [], failure: [put] } },
          ],
        },
      },
    ],
    [
      "a write under a name",
      VERSION_BYTES + 4,
      {
        type: "once",
        request: { key: "n", fingerprint: "0123456789abcdef", forgetTo: 0, command: put },
      },
    ],
  ])("%s", (_name, growth, command) => {
    expect(growthOf(command)).toBe(growth);
  });
});
