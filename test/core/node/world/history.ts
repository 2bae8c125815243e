import { EngineError } from "../../../../src/core/errors/index.ts";
import type { CallOptions, KvEngine, ReadOptions } from "../../../../src/core/node/index.ts";
import type { SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

/** How an operation ended: it happened, it definitely did not, or nobody knows. */
export type Outcome = "ok" | "failed" | "unknown";

interface Timed {
  readonly node: bigint;
  /** Places in the order of everything that callers did and were told. */
  readonly invoked: number;
  completed: number | null;
  outcome: Outcome | null;
  error: EngineError | null;
}

export interface WriteRecord extends Timed {
  readonly type: "write";
  readonly key: string;
  /** Unique in a history. */
  readonly value: string;
  /** The revision that the write made; 0 until it is acknowledged. */
  revision: number;
}

export interface ReadRecord extends Timed {
  readonly type: "read";
  readonly key: string;
  readonly consistency: "linearizable" | "lease" | "eventual";
  /** What was read: null for no such key. */
  found: { readonly value: string; readonly modRevision: number; readonly version: number } | null;
  /** The store's revision at the read. */
  revision: number;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** Records what clients asked and what they were told, in one order. */
export class History {
  readonly writes: WriteRecord[] = [];
  readonly reads: ReadRecord[] = [];
  readonly #world: World;
  readonly #open: Set<ReadRecord | WriteRecord> = new Set();
  #sequence = 0;
  #values = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Operations that nobody has answered yet. */
  get open(): ReadonlySet<ReadRecord | WriteRecord> {
    return this.#open;
  }

  /** Writes a value that no other write has. Never rejects; the record tells how it ended. */
  async write(node: SimNode, key: string, options?: CallOptions): Promise<WriteRecord> {
    const value = `v${++this.#values}`;
    const record: WriteRecord = { type: "write", key, value, revision: 0, ...this.#begin(node.id) };
    this.writes.push(record);
    await this.#run(node, record, async (engine) => {
      const answer = await engine.put({ key: ENCODER.encode(key), value: ENCODER.encode(value) }, options);
      return () => {
        record.revision = answer.header.revision;
      };
    });
    return record;
  }

  async read(node: SimNode, key: string, options: ReadOptions = {}): Promise<ReadRecord> {
    const record: ReadRecord = {
      type: "read",
      key,
      consistency: options.consistency ?? "linearizable",
      found: null,
      revision: 0,
      ...this.#begin(node.id),
    };
    this.reads.push(record);
    await this.#run(node, record, async (engine) => {
      const { kvs, header } = await engine.range({ key: ENCODER.encode(key) }, options);
      return () => {
        const kv = kvs[0];
        record.revision = header.revision;
        if (kv !== undefined) {
          const { modRevision, version } = kv;
          record.found = { value: DECODER.decode(kv.value), modRevision, version };
        }
      };
    });
    return record;
  }

  #begin(node: bigint): Timed {
    return { node, invoked: ++this.#sequence, completed: null, outcome: null, error: null };
  }

  /** Runs the world until every operation has ended. */
  async settled(limitMs?: number): Promise<void> {
    await this.#world.until("every request to end", () => this.#open.size === 0, limitMs);
  }

  async #run(
    node: SimNode,
    record: ReadRecord | WriteRecord,
    call: (engine: KvEngine) => Promise<() => void>,
  ): Promise<void> {
    this.#open.add(record);
    const { engine, life } = node;
    if (engine === null || life === null) {
      this.#end(record, "failed", null);
      return;
    }
    try {
      const keep = await call(engine);
      // An answer that the dead give reaches nobody.
      if (!life.isAlive || record.outcome !== null) return;
      keep();
      this.#end(record, "ok", null);
    } catch (error) {
      if (!life.isAlive || record.outcome !== null) return;
      if (!(error instanceof EngineError)) throw error;
      this.#end(record, isAmbiguous(error) ? "unknown" : "failed", error);
    }
  }

  #end(record: ReadRecord | WriteRecord, outcome: Outcome, error: EngineError | null): void {
    record.completed = ++this.#sequence;
    record.outcome = outcome;
    this.#open.delete(record);
    record.error = error;
    this.#world.note(`${record.type} ${record.key} ${outcome} ${error?.code ?? ""} ${record.revision}`);
  }

  /** The node went down: what its callers waited for, they will never learn. */
  crashed(node: bigint): void {
    for (const record of this.#open) if (record.node === node) this.#end(record, "unknown", null);
  }
}

/** The rule for writes: what may have happened is `unavailable` (14), or was given up by the caller (1). */
export function isAmbiguous(error: EngineError): boolean {
  return error.grpcCode === 14 || error.grpcCode === 1;
}
