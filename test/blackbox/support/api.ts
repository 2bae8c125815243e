/** A reply of the JSON gateway, as far as these programs look into it. */
export interface Reply {
  readonly header?: { readonly revision?: string; readonly raft_term?: string };
  readonly kvs?: readonly { readonly key: string; readonly value?: string; readonly mod_revision: string }[];
  readonly count?: string;
  readonly succeeded?: boolean;
}

/** Whom to ask: a server, or a Durable Object behind a Worker, which wants to be told more. */
export interface Endpoint {
  readonly name: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `unknown`: a write may have taken effect, now or later. `failed`: it has not and will not. */
export type Outcome =
  | { readonly status: "ok"; readonly reply: Reply }
  | { readonly status: "failed" | "unknown"; readonly problem: string };

const UNAVAILABLE = 14;
const GIVE_UP_MS = 4000;

/**
 * Sends one request, once. The rule by which its end is judged is the one that clients are told: code 14 and a
 * broken connection leave a write unknown, every other error means that nothing was changed.
 */
export async function call(
  { url, headers = {} }: Omit<Endpoint, "name">,
  path: string,
  body: object,
  giveUpMs: number = GIVE_UP_MS,
): Promise<Outcome> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(`${url}/v3/${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(giveUpMs),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    // Refused: nothing has been sent.
    const code = (error as { cause?: { code?: string } }).cause?.code;
    return { status: code === "ECONNREFUSED" ? "failed" : "unknown", problem: code ?? String(error) };
  }
  const reply = parsed(text);
  // Of whatever stands in front, not of a member.
  if (reply === null) return { status: "unknown", problem: `${status} ${text}` };
  if (status === 200) return { status: "ok", reply };
  return { status: reply.code === UNAVAILABLE ? "unknown" : "failed", problem: reply.message ?? text };
}

function parsed(text: string): (Reply & { code?: number; message?: string }) | null {
  try {
    return JSON.parse(text) as Reply;
  } catch {
    return null;
  }
}

export interface Status {
  readonly nodeId: string;
  readonly leaderId: string | null;
  readonly role: string;
  readonly term: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly appliedIndex: number;
  readonly revision: number;
  readonly stateHash?: string;
}

/** What a member says of itself; null when it does not answer. */
export async function status(
  { url, headers = {} }: Omit<Endpoint, "name">,
  hash = false,
): Promise<Status | null> {
  try {
    const response = await fetch(`${url}/status${hash ? "?hash=1" : ""}`, {
      headers,
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    return response.ok ? (JSON.parse(text) as Status) : null;
  } catch {
    return null;
  }
}

export function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

export function decode(base64: string | undefined): string {
  return Buffer.from(base64 ?? "", "base64").toString();
}

/** The end of the range of all keys that begin with an ASCII prefix. */
export function prefixEnd(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
