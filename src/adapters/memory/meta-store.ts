import { EngineError } from "../../core/errors/index.ts";
import type { HardState } from "../../core/raft/index.ts";
import type { MetaState, MetaStore, StoreIdentity } from "../../core/node/index.ts";

/** Hard state and identity, as two fields. */
export class MemoryMetaStore implements MetaStore {
  readonly #ready: () => void;
  #identity: StoreIdentity | null = null;
  #hardState: HardState | null = null;

  /** @param ready throws when the store must not be used any more. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  async load(): Promise<MetaState> {
    this.#ready();
    return { identity: this.#identity, hardState: this.#hardState };
  }

  async saveIdentity(identity: StoreIdentity): Promise<void> {
    this.#ready();
    const mine = this.#identity;
    if (mine === null) {
      this.#identity = { ...identity };
      return;
    }
    const same =
      mine.clusterId === identity.clusterId &&
      mine.groupId === identity.groupId &&
      mine.nodeId === identity.nodeId;
    if (!same) {
      const detail = `it is node ${mine.nodeId} of group ${mine.groupId} in cluster ${mine.clusterId}`;
      throw new EngineError("storageForeign", { detail });
    }
  }

  async saveHardState(hardState: HardState): Promise<void> {
    this.saveHardStateNow(hardState);
  }

  saveHardStateNow(hardState: HardState): void {
    this.#ready();
    this.#hardState = { ...hardState };
  }
}
