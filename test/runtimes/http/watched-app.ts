import type { Hono } from "hono";
import { KvStore } from "../../../src/core/kv/index.ts";
import { type MemoryEngine, memoryEngine } from "./memory-engine.ts";
import { testApp } from "./test-app.ts";

const ENCODER = new TextEncoder();

/** An app whose watches are given pages so small that a few changes fill them. */
export function watchedApp(): {
  readonly engine: MemoryEngine;
  readonly app: Hono;
  readonly put: (key: string, value: string) => Promise<unknown>;
} {
  const engine = memoryEngine(new KvStore(), {
    page: { maxEvents: 4, maxBytes: 1 << 20, maxScanned: 64, maxWaiting: 8 },
  });
  const put = (key: string, value: string): Promise<unknown> =>
    engine.put({ key: ENCODER.encode(key), value: ENCODER.encode(value) });
  return { engine, app: testApp(engine).app, put };
}
