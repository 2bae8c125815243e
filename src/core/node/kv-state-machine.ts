import type { KvResult } from "../kv/index.ts";
import { KvStore } from "../kv/index.ts";
import type { AppliedCommand, StateMachine, StateSnapshot } from "./state-machine.ts";

/** The built-in key-value store, as the driver wants a state machine. */
export class KvStateMachine implements StateMachine<KvResult> {
  readonly store: KvStore = new KvStore();

  applyChunk(commands: readonly AppliedCommand[]): readonly KvResult[] {
    return this.store.applyChunk(commands);
  }

  snapshot(): StateSnapshot {
    return this.store.snapshot();
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const restorer = this.store.restorer();
    for await (const chunk of chunks) restorer.push(chunk);
    restorer.finish();
  }
}
