import { assertNever } from "../../errors/index.ts";
import type { Keyspace } from "../keyspace.ts";
import type {
  DeleteRangeRequest,
  KvCommand,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../types.ts";
import type { Standing } from "./auth-store.ts";
import type { GrantedRanges } from "./granted-ranges.ts";
import type { AuthErrorCode, Caller } from "./types.ts";

/*
 * What a request needs, as in etcd (server/etcdserver/apply/apply_auth.go): whatever shows a value, or whether a key
 * is there, needs READ, also a comparison and a previous value; every change needs WRITE. Both branches of a
 * transaction are looked at, whichever is taken. Where etcd forgot something (the previous value of a put inside a
 * transaction, the lease that it names), this does not.
 */

type Asked = Exclude<KvCommand, { readonly type: "as" }>;

/** Why a caller may not have a command done; null when it may. To be asked of the state that it is applied to. */
export function whyNot(keyspace: Keyspace, caller: Caller, command: Asked): AuthErrorCode | null {
  const standing = keyspace.auth.standing(caller);
  // A leader's decision, on nobody's behalf: what may make an entry of its term is a member.
  if (standing.type === "root" || command.type === "leaseExpire") return null;
  if (standing.type === "refused") return standing.code;
  return mayCommand(keyspace, standing.granted, command) ? null : "permissionDenied";
}

/** The same for what reads. */
export function whyNotRead(
  standing: Standing,
  may: (granted: GrantedRanges) => boolean,
): AuthErrorCode | null {
  if (standing.type === "root") return null;
  if (standing.type === "refused") return standing.code;
  return may(standing.granted) ? null : "permissionDenied";
}

function mayCommand(keyspace: Keyspace, granted: GrantedRanges, command: Asked): boolean {
  switch (command.type) {
    case "put":
    case "deleteRange":
    case "txn":
      return mayDo(keyspace, granted, command);
    case "once":
      return mayDo(keyspace, granted, command.request.command);
    case "leaseGrant":
      return true;
    case "leaseRevoke":
      return mayWriteLease(keyspace, granted, command.request.id);
    // Of what is done to the store as a whole, root's part.
    default:
      return false;
  }
}

/** @param keyspace null for what only reads. */
export function mayDo(keyspace: Keyspace | null, granted: GrantedRanges, op: RequestOp): boolean {
  switch (op.type) {
    case "range":
      return mayRange(granted, op.request);
    case "put":
      return keyspace !== null && mayPut(keyspace, granted, op.request);
    case "deleteRange":
      return mayDelete(granted, op.request);
    case "txn":
      return mayTxn(keyspace, granted, op.request);
    default:
      return assertNever(op, "operation");
  }
}

function mayRange(granted: GrantedRanges, { key, rangeEnd }: RangeRequest): boolean {
  return granted.mayRead(key, rangeEnd);
}

function mayPut(keyspace: Keyspace, granted: GrantedRanges, request: PutRequest): boolean {
  const { key, prevKv, lease = 0n } = request;
  if (!granted.mayWrite(key)) return false;
  if (prevKv === true && !granted.mayRead(key)) return false;
  // A lease that holds keys of others is theirs: whoever attaches a key to it could not even revoke it.
  return lease === 0n || mayWriteLease(keyspace, granted, lease);
}

function mayDelete(granted: GrantedRanges, { key, rangeEnd, prevKv }: DeleteRangeRequest): boolean {
  return granted.mayWrite(key, rangeEnd) && (prevKv !== true || granted.mayRead(key, rangeEnd));
}

function mayTxn(
  keyspace: Keyspace | null,
  granted: GrantedRanges,
  { compare, success, failure }: TxnRequest,
): boolean {
  return (
    compare.every(({ key, rangeEnd }) => granted.mayRead(key, rangeEnd)) &&
    success.every((op) => mayDo(keyspace, granted, op)) &&
    failure.every((op) => mayDo(keyspace, granted, op))
  );
}

/** Whether all keys of a lease may be written, as its end does. */
function mayWriteLease({ heap, leases }: Keyspace, granted: GrantedRanges, id: bigint): boolean {
  return leases.everyKey(id, granted, (handle) => granted.mayWrite(heap.keyView(handle)));
}
