import { EngineError } from "../../errors/index.ts";
import { ANONYMOUS, type Caller, type KvStore, type RequestOp } from "../../kv/index.ts";
import type { CallOptions, ReadOptions } from "../engine.ts";

type OnBehalf = Pick<CallOptions, "caller">;

/**
 * Asks the state of this member who may do what does not go through the log. Where a caller should be judged by what
 * the group has decided, and not by what this member has heard of it, there is a barrier before.
 */
export class Access {
  readonly #store: KvStore;
  readonly #barrier: (options: ReadOptions) => Promise<void>;

  /** @param barrier resolves when this member may answer a read. */
  constructor(store: KvStore, barrier: (options: ReadOptions) => Promise<void>) {
    this.#store = store;
    this.#barrier = barrier;
  }

  /** What `op`, which only reads, shows. To be asked in the turn in which it is read. */
  requireRead({ caller = ANONYMOUS }: OnBehalf, op: RequestOp): void {
    if (!this.#store.auth.isEnabled) return;
    const problem = this.#store.whyNotRead(caller, op);
    if (problem !== null) throw new EngineError(problem);
  }

  /** Anyone who is somebody. */
  requireUser({ caller = ANONYMOUS }: OnBehalf): void {
    const standing = this.#store.auth.standing(caller);
    if (standing.type === "refused") throw new EngineError(standing.code);
  }

  /** As far as this member knows: for what is said of this member alone. */
  requireRoot({ caller = ANONYMOUS }: OnBehalf): void {
    this.requireUser({ caller });
    if (this.#store.auth.standing(caller).type !== "root") throw new EngineError("permissionDenied");
  }

  /** For what concerns the group. */
  async requireRootOfGroup(options: CallOptions): Promise<void> {
    if (options.caller?.type === "trusted") return;
    await this.#barrier({ ...options, consistency: "linearizable" });
    this.requireRoot(options);
  }

  isRoot(caller: Caller): boolean {
    return this.#store.auth.standing(caller).type === "root";
  }
}
