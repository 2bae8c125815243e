import { expect, it } from "vitest";
import { encodeCommand, type KvCommand } from "../../../src/core/kv/index.ts";
import { KvStateMachine } from "../../../src/core/node/kv-state-machine.ts";
import type { Clock } from "../../../src/core/node/index.ts";

it("frees what was compacted in turns of its own, when no further command comes", () => {
  const turns: (() => void)[] = [];
  const clock: Clock = {
    nowMs: () => 0,
    wallMs: () => 0,
    setTimer: (_delayMs, callback) => {
      turns.push(callback);
      return () => {};
    },
  };
  const machine = new KvStateMachine(clock);
  let index = 0;
  const apply = (command: KvCommand): void => {
    machine.applyChunk([{ index: ++index, term: 1, timeMs: 0, command: encodeCommand(command) }]);
  };
  const key = new TextEncoder().encode("k");
  for (let i = 0; i < 5000; i++) apply({ type: "put", request: { key, value: new Uint8Array(100) } });
  const before = machine.store.sizeBytes;
  apply({ type: "compact", request: { revision: machine.store.revision } });
  expect(machine.store.sizeBytes).toBeGreaterThan(before / 2);

  let taken = 0;
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift(), taken++) turn();
  expect(taken).toBeGreaterThan(1);
  expect(machine.store.sizeBytes).toBeLessThan(before / 100);
});
