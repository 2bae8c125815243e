const b64 = (text: string): string => Buffer.from(text).toString("base64");

/** A path below `/v3` and what is posted there; or who logs in for what comes next, all with the password "p". */
export type Step = readonly [path: string, body: object] | { readonly as: "root" | "al" | "nonsense" };

const [a, b, c, d, z] = ["a", "b", "c", "d", "z"].map(b64);
const put = (key: string | undefined): object => ({ request_put: { key } });

/** Everything that etcd's auth refuses or does, asked of a new store. */
export const AUTH_SCENARIO: readonly Step[] = [
  ["/auth/enable", {}],
  ["/auth/authenticate", { name: "x", password: "y" }],
  ["/auth/user/add", { name: "", password: "p" }],
  ["/auth/user/add", { name: "root", password: "p" }],
  ["/auth/user/add", { name: "root", password: "p" }],
  ["/auth/enable", {}],
  ["/auth/user/grant", { user: "root", role: "root" }],
  ["/auth/user/grant", { user: "root", role: "nope" }],
  ["/auth/user/grant", { user: "nope", role: "root" }],
  ["/auth/user/grant", { user: "root", role: "root" }],
  ["/auth/role/add", { name: "" }],
  ["/auth/role/add", { name: "r" }],
  ["/auth/role/add", { name: "r" }],
  ["/auth/role/get", { role: "nope" }],
  ["/auth/role/get", { role: "r" }],
  ["/auth/role/get", { role: "root" }],
  ["/auth/role/grant", { name: "nope", perm: { key: a } }],
  ["/auth/role/grant", { name: "r", perm: { permType: "READ", key: b, range_end: c } }],
  ["/auth/role/grant", { name: "r", perm: { permType: "READWRITE", key: a, range_end: b } }],
  ["/auth/role/get", { role: "r" }],
  ["/auth/role/revoke", { role: "r", key: z }],
  ["/auth/role/revoke", { role: "nope", key: z }],
  ["/auth/role/delete", { role: "nope" }],
  ["/auth/user/get", { name: "nope" }],
  ["/auth/user/get", { name: "root" }],
  ["/auth/user/list", {}],
  ["/auth/role/list", {}],
  ["/auth/user/delete", { name: "nope" }],
  ["/auth/user/changepw", { name: "nope", password: "p" }],
  ["/auth/user/revoke", { name: "root", role: "r" }],
  ["/auth/user/revoke", { name: "nope", role: "r" }],
  ["/auth/user/add", { name: "al", password: "p" }],
  ["/auth/user/grant", { user: "al", role: "r" }],
  ["/auth/enable", {}],
  ["/auth/enable", {}],
  ["/kv/range", { key: a }],
  ["/kv/put", { key: a }],
  ["/auth/user/list", {}],
  ["/auth/authenticate", { name: "al", password: "bad" }],
  ["/auth/authenticate", { name: "no", password: "bad" }],
  ["/auth/authenticate", { name: "", password: "bad" }],
  { as: "al" },
  ["/kv/range", { key: a }],
  ["/kv/range", { key: a, range_end: b }],
  ["/kv/range", { key: a, range_end: c }],
  ["/kv/range", { key: b, range_end: d }],
  ["/kv/range", { key: a, range_end: b64("\0") }],
  ["/kv/put", { key: a }],
  ["/kv/put", { key: a, prev_kv: true }],
  ["/kv/put", { key: b }],
  ["/kv/deleterange", { key: a, range_end: b }],
  ["/kv/deleterange", { key: a, range_end: c }],
  ["/kv/txn", { compare: [{ key: z, target: "VERSION", version: "0" }] }],
  ["/kv/txn", { compare: [{ key: b, target: "VERSION", version: "0" }], success: [put(a)] }],
  ["/kv/txn", { success: [put(a)], failure: [put(z)] }],
  ["/auth/user/list", {}],
  ["/auth/role/get", { role: "r" }],
  ["/auth/role/get", { role: "root" }],
  ["/auth/user/get", { name: "al" }],
  ["/auth/user/get", { name: "root" }],
  ["/lease/grant", { ID: "5", TTL: "100" }],
  ["/kv/put", { key: a, lease: "5" }],
  ["/lease/leases", {}],
  ["/lease/revoke", { ID: "5" }],
  ["/cluster/member/remove", { ID: "5" }],
  { as: "root" },
  ["/auth/user/delete", { name: "root" }],
  ["/auth/role/delete", { role: "root" }],
  ["/auth/user/revoke", { name: "root", role: "root" }],
  ["/auth/role/delete", { role: "r" }],
  ["/auth/user/get", { name: "al" }],
  { as: "nonsense" },
  ["/kv/range", { key: a }],
  { as: "root" },
  ["/auth/disable", {}],
];

/** Asks it all; of each reply what does not differ between two runs, nor between gateways. */
export async function play(
  ask: (path: string, body: object, token: string | undefined) => Promise<Readonly<Record<string, unknown>>>,
): Promise<readonly object[]> {
  const replies: object[] = [];
  let token: string | undefined;
  for (const step of AUTH_SCENARIO) {
    if ("as" in step) {
      const asked =
        step.as === "nonsense"
          ? { token: "x" }
          : await ask("/auth/authenticate", { name: step.as, password: "p" }, undefined);
      token = asked["token"] as string;
      continue;
    }
    const [path, body] = step;
    const {
      header: _header,
      error,
      code,
      message: _message,
      reason: _reason,
      detail: _detail,
      ...rest
    } = await ask(path, body, token);
    replies.push({ path, ...(error === undefined ? rest : { error, code }) });
  }
  return replies;
}
