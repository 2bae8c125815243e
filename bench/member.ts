// A process with an EmbeddedEngine in it, told over IPC what to do: bench/embedded.ts starts it.

import type { Client } from "../src/core/node/index.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "../src/runtimes/node/index.ts";
import { closedLoop, type LoopOptions } from "./measure.ts";
import { keyOf, KEYS, type Operation, VALUE } from "./workload.ts";

export type Order =
  | { readonly type: "start"; readonly dir: string; readonly options: EmbeddedOptions }
  | { readonly type: "leads" }
  | { readonly type: "fill" }
  | { readonly type: "run"; readonly operation: Operation; readonly loop: LoopOptions }
  | { readonly type: "stop" };

let engine: EmbeddedEngine | null = null;

async function carryOut(order: Order): Promise<unknown> {
  if (order.type === "start") {
    engine = await EmbeddedEngine.start(order.dir, order.options);
    await engine.waitReady(20_000);
    return null;
  }
  if (engine === null) throw new Error("not started");
  switch (order.type) {
    case "leads":
      return engine.isLeader;
    case "fill":
      return await fill(engine.client());
    case "run":
      return await closedLoop(order.loop, operationOf(engine.client(), order.operation));
    case "stop":
      await engine.stop();
      process.disconnect();
      return null;
  }
}

async function fill(client: Client): Promise<null> {
  for (let from = 0; from < KEYS; from += 250) {
    await Promise.all(Array.from({ length: 250 }, (_, i) => client.put(keyOf(from + i), VALUE)));
  }
  return null;
}

function operationOf(client: Client, operation: Operation): () => Promise<unknown> {
  const anyKey = (): string => keyOf(Math.floor(Math.random() * KEYS));
  if (operation === "put") return () => client.put(anyKey(), VALUE);
  const options = { consistency: operation };
  return async () => {
    if ((await client.get(anyKey(), options)) === null) throw new Error("a key is missing");
  };
}

process.on("message", (order: Order) => {
  carryOut(order).then(
    (value) => process.connected && process.send!({ ok: true, value }),
    (error: unknown) => process.connected && process.send!({ ok: false, error: String(error) }),
  );
});
