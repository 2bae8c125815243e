import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeCommand, KvStore } from "../../../../src/core/kv/index.ts";
import { commands } from "../arbitraries.ts";
import { apply, restored, snapshotOf } from "../support.ts";
import { commandsOfSomebody, commandsWithLeases, populated } from "./arbitrary-commands.ts";
import { outcome } from "./auth-commands.ts";

test("those whom the commands are of are users of the store", () => {
  const { users } = populated().auth.state();
  expect(users.map(({ name, since }) => `${name} ${since}`)).toEqual(["alice 5", "bob 9", "root 2"]);
});

test("the same commands give the same users, keys and answers, from a snapshot on too", () => {
  fc.assert(
    fc.property(
      fc.array(commandsOfSomebody(commands), { maxLength: 40 }),
      fc.nat({ max: 40 }),
      (all, cut) => {
        const one = populated();
        let other = populated();
        for (const [i, command] of all.entries()) {
          if (i === cut) {
            const restored = new KvStore();
            const restorer = restored.restorer();
            for (const chunk of other.snapshot().chunks()) restorer.push(chunk);
            restorer.finish();
            other = restored;
          }
          const entry = [{ command: encodeCommand(command), term: 1 }];
          expect(other.applyChunk(entry)).toEqual(one.applyChunk(entry));
        }
        expect(other.stateHash()).toBe(one.stateHash());
        expect(other.auth.state()).toEqual(one.auth.state());
        expect(other.auth.sizeBytes).toBe(one.auth.sizeBytes);
      },
    ),
    { numRuns: 300 },
  );
});

test("who may do what with a lease does not depend on who was asked before", () => {
  const found = new Set<string>();
  fc.assert(
    fc.property(fc.array(commandsWithLeases, { minLength: 5, maxLength: 30 }), (all) => {
      const store = populated();
      for (const command of all) {
        // It has been asked nothing yet.
        const fresh = restored(snapshotOf(store));
        const result = apply(store, command);
        expect(apply(fresh, command)).toEqual(result);
        found.add(outcome(result));
      }
    }),
    { numRuns: 200 },
  );
  expect([...found].toSorted()).toEqual([
    "done",
    "leaseExists",
    "leaseNotFound",
    "permissionDenied",
    "roleNotGranted",
  ]);
});
