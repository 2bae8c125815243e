import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteWriter, crc32 } from "../../../src/core/bytes/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { fingerprintOf, type KvCommand, KvStore } from "../../../src/core/kv/index.ts";
import { alarmCommands, commands } from "./arbitraries.ts";
import { commandsOfSomebody } from "./auth/arbitrary-commands.ts";
import { addUser, applyAs, change, switchOn, TRUSTED_CALLER } from "./auth/auth-commands.ts";
import { apply, bytes, compact, del, put, restored, snapshotOf } from "./support.ts";

const FRAME_HEAD_BYTES = 8;
const ALARM = { type: "noSpace", memberId: 7n } as const;
/** So that there is room for others. */
const DISARM: KvCommand = {
  type: "as",
  request: {
    caller: { type: "trusted" },
    command: { type: "alarm", request: { action: "deactivate", alarm: ALARM } },
  },
};

/** Something of everything that a state can have. */
function exampleStore(): KvStore {
  const store = new KvStore();
  for (let i = 0; i < 12; i++) put(store, `k${i % 5}`, `value ${i}`);
  del(store, "k1");
  compact(store, 9);
  apply(store, { type: "leaseGrant", request: { id: 1n, ttlMs: 1000 } });
  put(store, "a", "x", { lease: 1n });
  put(store, "b", "y", { lease: 11n, ttlMs: 500 });
  const command = { type: "put", request: { key: bytes("c"), value: bytes("z") } } as const;
  const fingerprint = fingerprintOf(bytes("c"));
  apply(store, { type: "once", request: { key: "n", fingerprint, forgetTo: 0, command } });
  addUser(store, "alice", [
    ["read", "a", "c"],
    ["readWrite", "k"],
  ]);
  switchOn(store);
  change(store, { op: "userGrantRole", name: "alice", role: "root" });
  applyAs(store, TRUSTED_CALLER, { type: "alarm", request: { action: "activate", alarm: ALARM } });
  return store;
}

/** Its frames without their heads. */
function payloads(chunks: readonly Uint8Array[]): Uint8Array[] {
  return chunks.map((chunk) => chunk.slice(FRAME_HEAD_BYTES));
}

/** Frames whose checksums are right, whatever is in them. */
function framed(contents: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  let checksum = 0;
  for (const content of contents) {
    checksum = crc32(content, checksum);
    writer.u32(content.length).u32(checksum).raw(content);
  }
  return writer.finish();
}

const WHOLE = payloads(snapshotOf(exampleStore()));

interface Edit {
  readonly frame: number;
  readonly at: number;
  readonly kind: "set" | "insert" | "remove";
  readonly byte: number;
}

const edits: fc.Arbitrary<Edit> = fc.record({
  frame: fc.nat(WHOLE.length - 1),
  at: fc.nat(400),
  kind: fc.constantFrom("set", "set", "insert", "remove"),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff)),
});

function edited(all: readonly Edit[]): Uint8Array {
  const contents = WHOLE.map((content) => [...content]);
  for (const { frame, at, kind, byte } of all) {
    const content = contents[frame]!;
    const place = at % content.length;
    if (kind === "insert") content.splice(place, 0, byte);
    else if (kind === "set") content[place] = byte;
    else if (content.length > 1) content.splice(place, 1);
  }
  return framed(contents.map((content) => Uint8Array.from(content)));
}

/** Null: it is refused. */
function read(content: Uint8Array): KvStore | null {
  try {
    return restored([content]);
  } catch (error) {
    if (error instanceof EngineError && error.code === "malformed") return null;
    throw error;
  }
}

const anything: fc.Arbitrary<KvCommand> = fc.oneof(commands, alarmCommands, commandsOfSomebody(commands));

it("the example is whole", () => {
  expect(read(framed(WHOLE))!.stateHash()).toBe(exampleStore().stateHash());
});

it("whatever is in a snapshot is refused, or is a state that works like any other", () => {
  let whole = 0;
  fc.assert(
    fc.property(
      fc.array(edits, { minLength: 1, maxLength: 3 }),
      fc.array(anything, { maxLength: 15 }),
      (all, script) => {
        const store = read(edited(all));
        if (store === null) return;
        whole++;
        const copy = restored(snapshotOf(store));
        expect(copy.stateHash()).toBe(store.stateHash());
        for (const command of [DISARM, ...script])
          expect(apply(copy, command)).toEqual(apply(store, command));
        while (store.compactStep(1000));
        expect(restored(snapshotOf(copy)).stateHash()).toBe(store.stateHash());
        expect(restored(snapshotOf(copy)).sizeBytes).toBe(store.sizeBytes);
      },
    ),
    { numRuns: 3000 },
  );
  // Or nothing was shown of the second.
  expect(whole).toBeGreaterThan(50);
});
