import { b, key, type Refusal } from "./refusal.ts";

const PASSWORD = "p";

/** Of a store without users. */
export const WITHOUT_ROOT: readonly Refusal[] = [
  {
    name: "authentication without root",
    path: "/v3/auth/enable",
    body: {},
    code: "rootUserNotExist",
    applied: true,
  },
];

/** What makes the users of the tables below. */
export const USERS: readonly (readonly [path: string, body: object])[] = [
  ["/v3/auth/user/add", { name: "root", password: PASSWORD }],
  ["/v3/auth/user/add", { name: "al", password: PASSWORD }],
  ["/v3/auth/role/add", { name: "r" }],
  ["/v3/auth/role/grant", { name: "r", perm: { permType: "READ", key } }],
  ["/v3/auth/user/grant", { user: "al", role: "r" }],
];

/** While authentication is off, of a store with {@link USERS}: a root without its role, and al, who may read "a". */
export const OFF: readonly Refusal[] = [
  {
    name: "authentication without the role root",
    path: "/v3/auth/enable",
    body: {},
    code: "rootRoleNotExist",
    applied: true,
  },
  {
    name: "a login",
    path: "/v3/auth/authenticate",
    body: { name: "al", password: PASSWORD },
    code: "authNotEnabled",
  },
  { name: "a user without a name", path: "/v3/auth/user/add", body: { password: "p" }, code: "userEmpty" },
  { name: "a role without a name", path: "/v3/auth/role/add", body: {}, code: "roleEmpty" },
  {
    name: "a user who is there",
    path: "/v3/auth/user/add",
    body: { name: "al", password: "p" },
    code: "userExists",
    applied: true,
  },
  {
    name: "a role that is there",
    path: "/v3/auth/role/add",
    body: { name: "r" },
    code: "roleExists",
    applied: true,
  },
  ...(
    [
      ["get", { name: "no" }],
      ["delete", { name: "no" }],
      ["changepw", { name: "no", password: "p" }],
      ["grant", { user: "no", role: "r" }],
      ["revoke", { name: "no", role: "r" }],
    ] as const
  ).map(([what, body]): Refusal => ({
    name: `nobody: user/${what}`,
    path: `/v3/auth/user/${what}`,
    body,
    code: "userNotFound",
    applied: true,
  })),
  ...(
    [
      ["role/get", { role: "no" }],
      ["role/delete", { role: "no" }],
      ["role/grant", { name: "no", perm: { permType: "READ", key } }],
      ["role/revoke", { role: "no", key }],
      ["user/grant", { user: "al", role: "no" }],
    ] as const
  ).map(([path, body]): Refusal => ({
    name: `no role: ${path}`,
    path: `/v3/auth/${path}`,
    body,
    code: "roleNotFound",
    applied: true,
  })),
  {
    name: "a role that the user does not have",
    path: "/v3/auth/user/revoke",
    body: { name: "root", role: "r" },
    code: "roleNotGranted",
    applied: true,
  },
  {
    name: "a permission of nothing",
    path: "/v3/auth/role/grant",
    body: { name: "r" },
    code: "permissionNotGiven",
  },
  {
    name: "a permission that the role does not have",
    path: "/v3/auth/role/revoke",
    body: { role: "r", key: b("z") },
    code: "permissionNotGranted",
    applied: true,
  },
];

export type Asker = "nobody" | "stranger" | "al" | "root";

/** While authentication is on, and root has its role. */
export const ON: readonly (Refusal & { readonly asker: Asker })[] = [
  {
    name: "a wrong password",
    asker: "nobody",
    path: "/v3/auth/authenticate",
    body: { name: "al", password: "wrong" },
    code: "authFailed",
  },
  {
    name: "a name that nobody has",
    asker: "nobody",
    path: "/v3/auth/authenticate",
    body: { name: "no", password: "p" },
    code: "authFailed",
  },
  ...(
    [
      ["/v3/kv/range", { key }, {}],
      ["/v3/kv/put", { key }, { applied: true }],
      ["/v3/kv/txn", { success: [{ requestRange: { key } }] }, {}],
      ["/v3/lease/grant", { TTL: "60" }, { applied: true }],
      ["/v3/auth/user/list", {}, {}],
    ] as const
  ).flatMap(([path, body, more]): (typeof ON)[number][] => [
    { name: `nobody: ${path}`, asker: "nobody", path, body, code: "userEmpty", ...more },
    { name: `a token that is none: ${path}`, asker: "stranger", path, body, code: "unauthenticated" },
  ]),
  ...(
    [
      ["/v3/kv/range", { key, rangeEnd: b("c") }, {}],
      ["/v3/kv/put", { key }, { applied: true }],
      ["/v3/kv/deleterange", { key }, { applied: true }],
      ["/v3/kv/txn", { success: [{ requestPut: { key } }] }, { applied: true }],
      ["/v3/kv/txn", { compare: [{ key: b("z"), target: "VERSION", version: "0" }] }, {}],
      ["/v3/kv/compaction", { revision: "1" }, { applied: true }],
      ["/v3/lock/lock", { name: b("l"), lease: "7" }, { applied: true }],
      ["/v3/election/campaign", { name: b("e"), lease: "7" }, { applied: true }],
      ["/v3/election/leader", { name: b("e") }, {}],
      ["/v3/lease/revoke", { ID: "7" }, { applied: true }],
      ["/v3/maintenance/hash", {}, {}],
      ["/v3/maintenance/alarm", { action: "ACTIVATE", memberID: "1", alarm: "NOSPACE" }, { applied: true }],
      ["/v3/maintenance/transfer-leadership", { targetID: "5" }, {}],
      ["/v3/cluster/member/remove", { ID: "5" }, {}],
      ["/v3/auth/user/list", {}, {}],
      ["/v3/auth/user/add", { name: "x", password: "p" }, { applied: true }],
      ["/v3/auth/role/add", { name: "x" }, { applied: true }],
      ["/v3/auth/disable", {}, { applied: true }],
    ] as const
  ).map(([path, body, more]) => ({
    name: `al: ${path} ${JSON.stringify(body)}`,
    asker: "al" as const,
    path,
    body,
    code: "permissionDenied" as const,
    ...more,
  })),
  ...(
    [
      ["user/delete", { name: "root" }],
      ["role/delete", { role: "root" }],
      ["user/revoke", { name: "root", role: "root" }],
    ] as const
  ).map(([path, body]) => ({
    name: `what authentication stands on: ${path}`,
    asker: "root" as const,
    path: `/v3/auth/${path}`,
    body,
    code: "invalidAuthManagement" as const,
    applied: true as const,
  })),
];
