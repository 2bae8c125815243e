import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeCommand, KvStore } from "../../../../src/core/kv/index.ts";
import { commands } from "../arbitraries.ts";
import { commandsOfSomebody } from "./arbitrary-commands.ts";
import { addUser, change, TOKEN_KEY } from "./auth-commands.ts";

/** A store with users who may do something, so that less is refused. */
function populated(): KvStore {
  const store = new KvStore();
  addUser(store, "root");
  addUser(store, "alice", [["readWrite", "a", "b"]]);
  change(store, { op: "enable", tokenKey: TOKEN_KEY });
  return store;
}

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
