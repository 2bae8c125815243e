/** What the demo says to a member, over etcd's JSON gateway: as any client could, with `fetch` alone. */

export type Consistency = "linearizable" | "lease" | "eventual";

export interface Entry {
  readonly value: string;
  readonly modRevision: string;
}

/** An error reply. Code 14 means of a write that it may or may not have happened. */
export class GatewayError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export async function put(url: string, key: string, value: string): Promise<void> {
  await post(url, "kv/put", { key: encode(key), value: encode(value) });
}

export async function get(url: string, key: string, consistency: Consistency): Promise<Entry | null> {
  const reply = (await post(url, "kv/range", { key: encode(key), consistency })) as RangeReply;
  const kv = reply.kvs?.[0];
  return kv === undefined ? null : { value: decode(kv.value ?? ""), modRevision: kv.mod_revision };
}

/** Writes several keys at once, if none of them has changed since it was read. */
export async function putAllIfUnchanged(
  url: string,
  changes: readonly { key: string; readAt: string; value: string }[],
): Promise<boolean> {
  const compare = changes.map(({ key, readAt }) => ({
    key: encode(key),
    target: "MOD",
    result: "EQUAL",
    mod_revision: readAt,
  }));
  const success = changes.map(({ key, value }) => ({
    request_put: { key: encode(key), value: encode(value) },
  }));
  const reply = (await post(url, "kv/txn", { compare, success })) as { succeeded?: boolean };
  return reply.succeeded === true;
}

export interface Status {
  readonly nodeId: string;
  readonly leaderId: string | null;
  readonly revision: number;
  readonly appliedIndex: number;
  readonly stateHash?: string;
}

/** Where a member stands; with `hash` also what its whole state amounts to. */
export async function status(url: string, hash = false): Promise<Status | null> {
  try {
    const response = await fetch(`${url}/status${hash ? "?hash=1" : ""}`);
    return response.ok ? ((await response.json()) as Status) : (await response.text(), null);
  } catch {
    return null;
  }
}

interface RangeReply {
  readonly kvs?: readonly { readonly value?: string; readonly mod_revision: string }[];
}

async function post(url: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${url}/v3/${path}`, { method: "POST", body: JSON.stringify(body) });
  const reply = (await response.json()) as { code?: number; message?: string };
  if (!response.ok) throw new GatewayError(reply.code ?? 0, reply.message ?? response.statusText);
  return reply;
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
