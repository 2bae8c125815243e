import { EngineError, type ErrorDetails } from "../errors/index.ts";
import {
  ANONYMOUS,
  type Caller,
  encodeCommand,
  fingerprintOf,
  type KvCommand,
  type KvErrorCode,
  type KvResult,
  type KvStore,
  MAX_TXN_READ_BYTES,
  MAX_TXN_READ_KEYS,
  requestSize,
  validateCommand,
  validateIdempotencyKey,
} from "../kv/index.ts";
import type { CallOptions, WriteOptions } from "./engine.ts";
import { IdempotencyWindow } from "./idempotency-window.ts";
import { withOwnLeases } from "./own-leases.ts";
import type { Clock, Logger } from "./ports.ts";
import { type Quota, quotaOf } from "./quota.ts";
import type { Replica } from "./replica.ts";

export interface WritesOptions {
  readonly replica: Replica<KvResult>;
  readonly store: KvStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly drawLeaseId: () => bigint;
}

/** The way of a command into the log: checked, completed with what the state machine cannot draw, named and signed. */
export class Writes {
  readonly #options: WritesOptions;
  readonly #window: IdempotencyWindow;
  readonly #quota: Quota;

  constructor(options: WritesOptions) {
    this.#options = options;
    this.#window = new IdempotencyWindow(options.clock, options.replica.tuning.idempotencyWindowMs);
    this.#quota = quotaOf(options.replica, options.store, options);
  }

  /** @throws EngineError why it was not done; see `EngineError.maybeApplied`. */
  async propose(command: KvCommand, options: WriteOptions): Promise<KvResult> {
    const { replica, drawLeaseId } = this.#options;
    const { maxTxnOps, maxRequestBytes } = replica.tuning;
    const { idempotencyKey: key, caller, ...call } = options;
    if (key !== undefined) validateIdempotencyKey(key);
    validateCommand(command, maxTxnOps);
    if (requestSize(command) > maxRequestBytes) throw new EngineError("requestTooLarge");
    const complete = withOwnLeases(command, drawLeaseId);
    if (!this.#quota.hasRoomFor(complete) && this.#isPermitted(caller, complete)) {
      await this.#quota.exceeded(key !== undefined, call);
    }
    const named = key === undefined ? complete : this.#once(key, complete);
    const result = await this.#propose(complete, encodeCommand(onBehalf(caller, named)), call);
    if (result.type === "error") throw new EngineError(result.code, whyRefused(result.code));
    return result;
  }

  async #propose(command: KvCommand, encoded: Uint8Array, call: CallOptions): Promise<KvResult> {
    const release = this.#quota.reserve(command);
    try {
      return await this.#options.replica.propose(encoded, call);
    } finally {
      release();
    }
  }

  /**
   * As far as this member knows: what is not permitted must raise no alarm, which would stop everybody. It goes its way,
   * and is refused where it is applied.
   */
  #isPermitted(caller: Caller = ANONYMOUS, command: KvCommand): boolean {
    return command.type === "as" || this.#options.store.whyNot(caller, command) === null;
  }

  #once(key: string, command: KvCommand): KvCommand {
    switch (command.type) {
      case "put":
      case "deleteRange":
      case "txn": {
        // The leases that are drawn for its keys are others with each attempt.
        const fingerprint = fingerprintOf(encodeCommand(withOwnLeases(command, () => 1n)));
        const forgetTo = this.#window.forgetTo(this.#options.store.lastWriteSerial);
        return { type: "once", request: { key, fingerprint, forgetTo, command } };
      }
      default:
        throw notNameable("this command");
    }
  }
}

/** What is bounded for all members alike says here by how much. */
function whyRefused(code: KvErrorCode): ErrorDetails {
  return code === "rangeTooLarge"
    ? {
        detail: `a write is answered ${MAX_TXN_READ_BYTES} bytes and looks at ${MAX_TXN_READ_KEYS} keys at most`,
      }
    : {};
}

export function notNameable(what: string): EngineError {
  return new EngineError("invalidArgument", { detail: `${what} takes no idempotency key` });
}

/** The state machine asks who wants it: what nobody is said to want is refused there while authentication is on. */
function onBehalf(caller: Caller | undefined, command: KvCommand): KvCommand {
  if (caller === undefined || caller.type === "anonymous" || command.type === "as") return command;
  return { type: "as", request: { caller, command } };
}
