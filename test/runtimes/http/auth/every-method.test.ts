import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { METHODS } from "../../../../src/runtimes/http/etcd/methods.ts";
import { STREAM_METHODS } from "../../../../src/runtimes/http/etcd/stream-methods.ts";
import { AuthSite, b64, passwordOf } from "./auth-site.ts";

/*
 * Every method that there is, asked for by everybody that there is, while authentication is on. A method without a row
 * fails the test.
 */

type Asker = "nobody" | "stranger" | "bob" | "alice" | "root";

/** Who is let in, beginning with whom: the later ones are too. Bob may do nothing, alice all with keys under `a/`. */
type From = "nobody" | "bob" | "alice" | "root";

interface Row {
  readonly from: From;
  readonly body?: object;
  /** With errors of its own: whoever is let in meets this one. */
  readonly meets?: string;
  /** Which has its own checks in another test. */
  readonly elsewhere?: true;
}

const key = b64("a/k");
const NO_LEASE = "etcdserver: requested lease not found";
const NO_MEMBER = "etcdserver: member not found";

const ROWS: Readonly<Record<string, Row>> = {
  "KV.Range": { from: "alice", body: { key } },
  "KV.RangeStream": { from: "alice", elsewhere: true },
  "KV.Put": { from: "alice", body: { key, value: b64("v") } },
  "KV.DeleteRange": { from: "alice", body: { key } },
  "KV.Txn": { from: "alice", body: { success: [{ request_put: { key, value: b64("v") } }] } },
  "KV.Compact": {
    from: "root",
    body: { revision: "99999" },
    meets: "mvcc: required revision is a future revision",
  },
  "Lease.LeaseGrant": { from: "bob", body: { TTL: "100" } },
  "Lease.LeaseRevoke": { from: "bob", body: { ID: "77" }, meets: NO_LEASE },
  "Lease.LeaseTimeToLive": { from: "bob", body: { ID: "77" } },
  "Lease.LeaseLeases": { from: "bob" },
  "Lease.LeaseKeepAlive": { from: "bob", body: { ID: "77" } },
  "Cluster.MemberAdd": { from: "root", body: { peerURLs: ["http://127.0.0.1:1"] }, elsewhere: true },
  "Cluster.MemberRemove": { from: "root", body: { ID: "77" }, meets: NO_MEMBER },
  "Cluster.MemberUpdate": {
    from: "root",
    body: { ID: "77", peerURLs: ["http://127.0.0.1:1"] },
    meets: NO_MEMBER,
  },
  "Cluster.MemberPromote": { from: "root", body: { ID: "77" }, meets: NO_MEMBER },
  "Cluster.MemberList": { from: "bob" },
  "Maintenance.Status": { from: "nobody" },
  "Maintenance.MoveLeader": { from: "root", body: { targetID: "77" }, meets: "bad leader transferee" },
  "Maintenance.Hash": { from: "root" },
  "Maintenance.HashKV": { from: "root" },
  "Maintenance.Snapshot": { from: "root" },
  "Maintenance.Defragment": { from: "root" },
  // To look at them; what changes them is root's (permissions.test.ts).
  "Maintenance.Alarm": { from: "bob" },
  "Maintenance.Downgrade": { from: "nobody", meets: "not implemented" },
  "Lock.Lock": { from: "alice", body: { name: b64("a/lock"), lease: "99" }, elsewhere: true },
  "Lock.Unlock": { from: "alice", body: { key: b64("a/lock/1") } },
  "Election.Campaign": { from: "alice", body: { name: b64("a/e"), lease: "99" }, elsewhere: true },
  "Election.Proclaim": {
    from: "alice",
    body: { leader: { name: b64("a/e"), key, rev: "1", lease: "99" } },
    meets: "election: not leader",
  },
  "Election.Leader": { from: "alice", body: { name: b64("a/e") }, meets: "election: no leader" },
  "Election.Resign": { from: "alice", body: { leader: { name: b64("a/e"), key, rev: "1", lease: "99" } } },
  "Election.Observe": { from: "alice", body: { name: b64("a/e") }, elsewhere: true },
  "Watch.Watch": { from: "alice", elsewhere: true },
  "Auth.AuthEnable": { from: "root" },
  "Auth.AuthDisable": { from: "root", elsewhere: true },
  "Auth.AuthStatus": { from: "root" },
  "Auth.Authenticate": { from: "nobody", body: { name: "bob", password: passwordOf("bob") } },
  "Auth.UserAdd": { from: "root", body: { name: "bob", password: "x" }, meets: "user name already exists" },
  "Auth.UserGet": { from: "root", body: { name: "root" } },
  "Auth.UserList": { from: "root" },
  "Auth.UserDelete": { from: "root", body: { name: "nobody" }, meets: "user name not found" },
  "Auth.UserChangePassword": {
    from: "root",
    body: { name: "nobody", password: "x" },
    meets: "user name not found",
  },
  "Auth.UserGrantRole": { from: "root", body: { user: "nobody", role: "a" }, meets: "user name not found" },
  "Auth.UserRevokeRole": { from: "root", body: { name: "nobody", role: "a" }, meets: "user name not found" },
  "Auth.RoleAdd": { from: "root", body: { name: "a" }, meets: "role name already exists" },
  "Auth.RoleGet": { from: "root", body: { role: "root" } },
  "Auth.RoleList": { from: "root" },
  "Auth.RoleDelete": { from: "root", body: { role: "nothing" }, meets: "role name not found" },
  "Auth.RoleGrantPermission": {
    from: "root",
    body: { name: "nothing", perm: { key } },
    meets: "role name not found",
  },
  "Auth.RoleRevokePermission": { from: "root", body: { role: "nothing", key }, meets: "role name not found" },
};

const ORDER: readonly From[] = ["nobody", "bob", "alice", "root"];

describe("while authentication is on", () => {
  let site: AuthSite;
  const tokens: Record<Asker, string | undefined> = {
    nobody: undefined,
    stranger: "de1.AAAA.AAAA",
    bob: undefined,
    alice: undefined,
    root: undefined,
  };

  beforeAll(async () => {
    site = await AuthSite.start();
    await site.done("/maintenance/status");
    await site.switchOn();
    for (const name of ["bob", "alice", "root"] as const) tokens[name] = await site.logIn(name);
  });
  afterAll(() => site.engine.stop());

  const all = [...METHODS, ...STREAM_METHODS];
  const nameOf = ({ service, rpc }: { readonly service: string; readonly rpc: string }): string =>
    `${service.replace(/^.*\./, "").replace(/^v3.*/, "")}.${rpc}`;

  test("no method is without a row", () => {
    expect(all.map(nameOf).filter((name) => ROWS[name] === undefined)).toEqual([]);
  });

  const cases = all
    .filter(({ path }) => path !== null)
    .map((method) => ({ name: nameOf(method), path: method.path!, row: ROWS[nameOf(method)]! }))
    .filter(({ row }) => row !== undefined && row.elsewhere !== true);

  describe.each(cases)("$name", ({ path, row }) => {
    test.each<Asker>(["nobody", "stranger", "bob", "alice", "root"])("%s", async (asker) => {
      const before = stateOf(site);
      const { status, reply } = await site.ask(path, row.body, tokens[asker]);
      const said = errorOf(reply);
      const refusal = refusalOf(asker, row.from);
      const isLetIn = refusal === null;
      const met = row.meets !== undefined && said?.includes(row.meets) === true ? row.meets : said;
      expect([status, isLetIn ? met : said]).toEqual(refusal ?? [status, row.meets ?? null]);
      // What was refused has changed nothing.
      expect(isLetIn ? null : stateOf(site)).toEqual(isLetIn ? null : before);
    });
  });
});

function refusalOf(asker: Asker, from: From): readonly [number, string] | null {
  if (asker === "stranger") return [401, "etcdserver: invalid auth token"];
  if (ORDER.indexOf(asker) >= ORDER.indexOf(from)) return null;
  return asker === "nobody"
    ? [400, "etcdserver: user name is empty"]
    : [403, "etcdserver: permission denied"];
}

function stateOf({ engine }: AuthSite): readonly unknown[] {
  const { stateHash, revision, authRevision, leases } = engine.status({ caller: { type: "trusted" } });
  return [stateHash(), revision, authRevision, leases];
}

/** A unary error, or the one that a stream begins with. */
function errorOf(reply: Readonly<Record<string, unknown>>): string | null {
  const { error } = reply as { readonly error?: string | { readonly message: string } };
  if (error === undefined) return null;
  return typeof error === "string" ? error : error.message;
}
