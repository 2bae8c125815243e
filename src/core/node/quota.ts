import { EngineError } from "../errors/index.ts";
import {
  type Alarm,
  copiedBy,
  encodeCommand,
  growthOf,
  type KvCommand,
  type KvResult,
  type KvStore,
} from "../kv/index.ts";
import type { CallOptions } from "./engine.ts";
import type { Clock, Logger } from "./ports.ts";
import type { Replica } from "./replica.ts";
import { Waiter } from "./waiter.ts";

export interface QuotaHost {
  readonly sizeBytes: () => number;
  /** Bytes of a key's present value, as far as this member knows. */
  readonly valueLength: (key: Uint8Array) => number;
  /** Whether this member's own alarm is active, as far as it knows. */
  readonly isRaised: () => boolean;
  /** Raises it; resolves when it has been applied here. */
  readonly raise: () => Promise<unknown>;
}

const NOTHING_RESERVED = (): void => {};

const NOT_RAISED = "the store has outgrown its quota, and the alarm could not be raised";

/**
 * A bound on the size of this member's store, as etcd has it (server/etcdserver/api/v3rpc/quota.go). It is asked where
 * a write comes in, before the log, and so it is this member's own affair: how far compaction has got and what quota
 * was set may differ. What it finds becomes an alarm, which is state: from then on every member refuses the same
 * commands. What was let in before that may still be applied, so that the size can pass the quota by as much as may be
 * in the log uncommitted.
 */
export class Quota {
  readonly #quotaBytes: number;
  readonly #host: QuotaHost;
  readonly #clock: Clock;
  #raising: Promise<unknown> | null = null;
  /** Of values that are being copied. */
  #reserved = 0;

  /** @param quotaBytes Infinity: none. */
  constructor(quotaBytes: number, host: QuotaHost, clock: Clock) {
    this.#clock = clock;
    this.#quotaBytes = quotaBytes;
    this.#host = host;
  }

  hasRoomFor(command: KvCommand): boolean {
    const growth = growthOf(command);
    return growth === 0 || this.#host.sizeBytes() + growth + this.#copiedBy(command) <= this.#quotaBytes;
  }

  /**
   * Values that puts keep are in no request, so that small ones could make the store outgrow its quota by far before the
   * first of them is applied: those that are on their way from here count, until what is given is called. A value that
   * is replaced by a larger one meanwhile counts as it was.
   *
   * @throws EngineError `tooManyRequests` where there is room for this one, and not for all of them.
   */
  reserve(command: KvCommand): () => void {
    const copied = this.#copiedBy(command);
    if (copied === 0) return NOTHING_RESERVED;
    if (this.#host.sizeBytes() + this.#reserved + growthOf(command) + copied > this.#quotaBytes) {
      throw new EngineError("tooManyRequests", { detail: "values that are kept would outgrow the quota" });
    }
    this.#reserved += copied;
    return () => void (this.#reserved -= copied);
  }

  #copiedBy(command: KvCommand): number {
    return copiedBy(command, this.#host.valueLength);
  }

  /**
   * What becomes of a write without room: the alarm is raised first, so that whoever is refused knows that everyone
   * is. A named write may have been done before, which is known for certain only where it is applied: it goes its way,
   * and is refused there by the alarm unless it has been.
   *
   * It waits for that no longer than whoever writes; the alarm may still be raised later.
   *
   * @throws EngineError `noSpace` for one without a name; `proposalDropped` for a named one where the alarm could not be
   * raised: whatever becomes of that, the write has not been sent. `canceled`.
   */
  async exceeded(isNamed: boolean, call: CallOptions): Promise<void> {
    if (!this.#host.isRaised()) {
      // One for all who come meanwhile: refused writes must not fill the log.
      this.#raising ??= this.#host.raise().finally(() => (this.#raising = null));
      // Without a quorum there is no alarm, and no room either.
      await this.#waitFor(this.#raising, call).catch((cause: unknown) => {
        if (cause instanceof EngineError && cause.code === "canceled") throw cause;
        if (isNamed) throw new EngineError("proposalDropped", { detail: NOT_RAISED, cause });
      });
    }
    if (!isNamed) throw new EngineError("noSpace");
  }

  /** @throws EngineError `timeout`, `canceled`; what `raising` fails with. */
  async #waitFor(raising: Promise<unknown>, { timeoutMs, signal }: CallOptions): Promise<void> {
    const waiter = new Waiter<void>(Infinity, signal);
    raising.then(
      () => waiter.resolve(),
      (error: unknown) => waiter.reject(error),
    );
    const expire = (): void => waiter.fail("timeout");
    const cancel = timeoutMs === undefined ? null : this.#clock.setTimer(timeoutMs, expire);
    await waiter.promise.finally(() => cancel?.());
  }
}

/** The quota of a member, which raises its alarm on nobody's behalf but its own. */
export function quotaOf(
  replica: Replica<KvResult>,
  store: KvStore,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Quota {
  const { quotaBytes } = replica.tuning;
  const own: Alarm = { type: "noSpace", memberId: replica.nodeId };
  const host: QuotaHost = {
    sizeBytes: () => store.sizeBytes,
    valueLength: (key) => store.valueLength(key),
    isRaised: () => store.alarms.some(({ type, memberId }) => type === own.type && memberId === own.memberId),
    raise: async () => {
      const { sizeBytes } = store;
      logger.log("warn", "the store has outgrown its quota: the alarm is raised", { sizeBytes, quotaBytes });
      const alarm = { type: "alarm", request: { action: "activate", alarm: own } } as const;
      const command: KvCommand = { type: "as", request: { caller: { type: "trusted" }, command: alarm } };
      await replica.propose(encodeCommand(command));
    },
  };
  return new Quota(quotaBytes, host, clock);
}
