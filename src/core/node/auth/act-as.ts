import type { Caller } from "../../kv/index.ts";
import type { CallOptions, Engine } from "../engine.ts";
import type { AuthEngine } from "./auth-engine.ts";

/**
 * An engine for somebody to use: all that is asked of it is asked on the caller's behalf, whatever the options say. Only
 * who is trusted may ask on behalf of others.
 */
export function actAs(engine: Engine, caller: Caller): Engine {
  const by = <O extends object>(options: O | undefined): O & Pick<CallOptions, "caller"> =>
    caller.type === "trusted" ? { caller, ...(options as O) } : { ...(options as O), caller };
  return {
    status: (options) => engine.status(by(options)),
    header: () => engine.header(),
    range: (request, options) => engine.range(request, by(options)),
    put: (request, options) => engine.put(request, by(options)),
    deleteRange: (request, options) => engine.deleteRange(request, by(options)),
    txn: (request, options) => engine.txn(request, by(options)),
    compact: (request, options) => engine.compact(request, by(options)),
    leaseGrant: (request, options) => engine.leaseGrant(request, by(options)),
    leaseRevoke: (request, options) => engine.leaseRevoke(request, by(options)),
    leaseKeepAlive: (id, options) => engine.leaseKeepAlive(id, by(options)),
    leaseTimeToLive: (request, options) => engine.leaseTimeToLive(request, by(options)),
    leaseList: (options) => engine.leaseList(by(options)),
    watch: (options) => engine.watch(by(options)),
    memberList: (options) => engine.memberList(by(options)),
    memberAdd: (request, options) => engine.memberAdd(request, by(options)),
    memberRemove: (id, options) => engine.memberRemove(id, by(options)),
    memberUpdate: (id, peerUrls, options) => engine.memberUpdate(id, peerUrls, by(options)),
    memberPromote: (id, options) => engine.memberPromote(id, by(options)),
    alarm: (request, options) => engine.alarm(request, by(options)),
    hash: (request, options) => engine.hash(request, by(options)),
    backup: (options) => engine.backup(by(options)),
    transferLeadership: (target, options) => engine.transferLeadership(target, by(options)),
    auth: authAs(engine.auth, by),
    onLeaderChange: (listener) => engine.onLeaderChange(listener),
    onMembershipChange: (listener) => engine.onMembershipChange(listener),
  };
}

function authAs(
  auth: AuthEngine,
  by: <O extends object>(options: O | undefined) => O & Pick<CallOptions, "caller">,
): AuthEngine {
  return {
    status: (options) => auth.status(by(options)),
    change: (change, options) => auth.change(change, by(options)),
    userRoles: (name, options) => auth.userRoles(name, by(options)),
    users: (options) => auth.users(by(options)),
    rolePermissions: (name, options) => auth.rolePermissions(name, by(options)),
    roles: (options) => auth.roles(by(options)),
    requireRoot: (options) => auth.requireRoot(by(options)),
    identities: auth.identities,
  };
}
