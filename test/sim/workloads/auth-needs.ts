import type { Caller, KvCommand, KvResult, RequestOp } from "../../../src/core/kv/index.ts";
import { type AuthView, isKnown, isRoot, KEYS, may } from "./auth-model.ts";
import { textOf } from "./kv-requests.ts";

/** Keys with the leases that they are attached to, as far as permissions depend on them. */
export class LeasedKeys {
  readonly #leases: Map<string, bigint> = new Map();

  of(lease: bigint): Uint8Array[] {
    return [...this.#leases].filter(([, of]) => of === lease).map(([key]) => new TextEncoder().encode(key));
  }

  /** What a command that was done has changed; gives whether it touched keys of users. */
  apply(command: KvCommand, result: KvResult): boolean {
    switch (command.type) {
      case "put":
      case "deleteRange":
        return this.#applyOp(command);
      case "txn": {
        if (result.type !== "txn") return false;
        const { success, failure } = command.request;
        const done = (result.response.succeeded ? success : failure).map((op) => this.#applyOp(op));
        return done.includes(true);
      }
      case "leaseRevoke":
        return this.#end(command.request.id);
      case "leaseExpire":
        return result.type === "leaseExpire" && result.expired.map((id) => this.#end(id)).includes(true);
      default:
        return false;
    }
  }

  #applyOp(op: RequestOp): boolean {
    if (op.type === "put") {
      const key = textOf(op.request.key);
      if (!key.startsWith(KEYS)) return false;
      const { lease = 0n } = op.request;
      if (lease === 0n) this.#leases.delete(key);
      else this.#leases.set(key, lease);
      return true;
    }
    if (op.type !== "deleteRange") return false;
    const [from, to] = [textOf(op.request.key), textOf(op.request.rangeEnd ?? new Uint8Array(0))];
    if (!from.startsWith(KEYS)) return false;
    for (const key of this.#leases.keys()) {
      if (key === from || (key > from && key < to)) this.#leases.delete(key);
    }
    return true;
  }

  #end(lease: bigint): boolean {
    const keys = [...this.#leases].filter(([, of]) => of === lease);
    for (const [key] of keys) this.#leases.delete(key);
    return keys.length > 0;
  }
}

/** Whether somebody may have a command done. */
export function mayDo(view: AuthView, leased: LeasedKeys, caller: Caller, command: KvCommand): boolean {
  const needs = (op: RequestOp): boolean => {
    switch (op.type) {
      case "range":
        return may(view, caller, "read", op.request);
      case "put": {
        const { key, prevKv, lease = 0n } = op.request;
        const reads = prevKv !== true || may(view, caller, "read", { key });
        return may(view, caller, "write", { key }) && reads && (lease === 0n || mayLease(lease));
      }
      case "deleteRange":
        return (
          may(view, caller, "write", op.request) &&
          (op.request.prevKv !== true || may(view, caller, "read", op.request))
        );
      case "txn": {
        const { compare, success, failure } = op.request;
        return (
          compare.every((each) => may(view, caller, "read", each)) && [...success, ...failure].every(needs)
        );
      }
    }
  };
  const mayLease = (lease: bigint): boolean =>
    leased.of(lease).every((key) => may(view, caller, "write", { key }));
  switch (command.type) {
    case "put":
    case "deleteRange":
    case "txn":
      return needs(command);
    case "once":
      return needs(command.request.command);
    case "leaseGrant":
      return isKnown(view, caller);
    case "leaseRevoke":
      return isKnown(view, caller) && mayLease(command.request.id);
    case "leaseExpire":
      return true;
    default:
      return isRoot(view, caller);
  }
}
