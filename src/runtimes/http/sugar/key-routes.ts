import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import type { PutRequest, RequestOp, ResponseOp, Revision } from "../../../core/kv/index.ts";
import type { Engine, ReadAge } from "../../../core/node/index.ts";
import { ageHeaders } from "../age-headers.ts";
import { readBytes } from "../body.ts";
import { errorReply } from "../errors.ts";
import { refuseKey, replayHeaders, writeOptions } from "../idempotency.ts";
import { rawPath } from "../raw-path.ts";
import { percentDecode, prefixEnd } from "./key-text.ts";
import { alreadyHas, etag, precondition, preconditionFailed } from "./preconditions.ts";
import { Query } from "./query.ts";

/*
 * One key as one resource. Everything in the path after `/kv/` is the key, with `%XX` for bytes that a path cannot
 * hold; slashes may be written either way, so `/kv/a/b` and `/kv/a%2Fb` are the same key. (URLs lose `/./` and
 * `/../`: write their dots' slashes as `%2F`.) A key's ETag is its mod revision.
 */

/** `GET /kv/:key`: the value as it is. `?rev=`, `?consistency=`, `?min_revision=`; 304 when `If-None-Match` has it already. */
export async function getKey(engine: Engine, request: Request): Promise<Response> {
  const key = keyOf(request);
  refuseKey(request.headers);
  const query = new Query(request.url, ["rev", "consistency", "min_revision"]);
  const revision = query.integer("rev", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const { kvs, header, age } = await engine.range({ key, revision }, query.readOptions());
  const kv = kvs[0];
  if (kv === undefined) return keyMissing(header.revision, age);
  const headers = {
    "Content-Type": "application/octet-stream",
    // The bytes are anybody's: no browser is to guess that they are a page.
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    ETag: etag(kv.modRevision),
    "X-D-Engine-Revision": String(header.revision),
    "X-D-Engine-Create-Revision": String(kv.createRevision),
    "X-D-Engine-Version": String(kv.version),
    ...ageHeaders(age),
  };
  if (alreadyHas(request.headers, kv.modRevision)) return new Response(null, { status: 304, headers });
  return new Response(kv.value as Uint8Array<ArrayBuffer>, { status: 200, headers });
}

/**
 * `PUT /kv/:key`: the body is the value. `If-Match: <revision>` or `If-None-Match: *`, else 412. `?lease=<id>` attaches
 * it to a lease; `?ttl=<seconds>`, a fraction too, gives it a time to live of its own.
 * `Idempotency-Key` names the write, so that it is done once.
 */
export async function putKey(engine: Engine, request: Request, maxBytes: number): Promise<Response> {
  const key = keyOf(request);
  const query = new Query(request.url, ["ttl", "lease"]);
  const life = lifeOf(query);
  const condition = precondition(request.headers, key);
  const options = writeOptions(request.headers);
  const value = await readBytes(request, maxBytes);
  if (condition === null) {
    const { header, replayed } = await engine.put({ key, value, ...life }, options);
    return putReply(header.revision, replayed);
  }
  const txn = await engine.txn(
    {
      compare: [condition],
      success: [{ type: "put", request: { key, value, ...life } }],
      failure: [presentState(key)],
    },
    options,
  );
  if (!txn.succeeded) return preconditionFailed(presentRevision(txn.responses[0]));
  return putReply(txn.revision, txn.replayed);
}

/**
 * `DELETE /kv/:key`, or with `?prefix=1` all keys that begin so. Says how many there were, which may be none.
 * `If-Match: <revision>` for a single key, else 412.
 */
export async function deleteKey(engine: Engine, request: Request): Promise<Response> {
  const key = keyOf(request);
  const prefix = new Query(request.url, ["prefix"]).flag("prefix");
  const condition = precondition(request.headers, key);
  const options = writeOptions(request.headers);
  if (condition === null) {
    const rangeEnd = prefix ? { rangeEnd: prefixEnd(key) } : {};
    const { deleted, header, replayed } = await engine.deleteRange({ key, ...rangeEnd }, options);
    return deletedReply(deleted, header.revision, replayed);
  }
  if (prefix) throw new EngineError("invalidArgument", { detail: "?prefix: a condition is about one key" });
  const txn = await engine.txn(
    {
      compare: [condition],
      success: [{ type: "deleteRange", request: { key } }],
      failure: [presentState(key)],
    },
    options,
  );
  const first = txn.responses[0];
  if (!txn.succeeded) return preconditionFailed(presentRevision(first));
  return deletedReply(first?.type === "deleteRange" ? first.response.deleted : 0, txn.revision, txn.replayed);
}

/** Whether a request below `/kv` names no key, as `/kv` and `/kv/` do. */
export function isKeyless(request: Request): boolean {
  return encodedKey(request) === "";
}

/** The key that a path names. */
function keyOf(request: Request): Uint8Array {
  const key = percentDecode(encodedKey(request), false);
  if (key === null) {
    throw new EngineError("invalidArgument", { detail: "the key: a % is not followed by two hex digits" });
  }
  if (key.length === 0) throw new EngineError("emptyKey");
  return key;
}

/** What follows `/kv/`. */
function encodedKey(request: Request): string {
  return rawPath(request).slice("/kv/".length);
}

/** What a put is told about how long the key lives. */
function lifeOf(query: Query): Pick<PutRequest, "lease" | "ttlMs"> {
  const lease = query.int64("lease");
  const ttlMs = query.milliseconds("ttl");
  return { ...(lease === undefined ? {} : { lease }), ...(ttlMs === undefined ? {} : { ttlMs }) };
}

function presentState(key: Uint8Array): RequestOp {
  return { type: "range", request: { key, keysOnly: true } };
}

function presentRevision(response: ResponseOp | undefined): number | null {
  return response?.type === "range" ? (response.response.kvs[0]?.modRevision ?? null) : null;
}

function keyMissing(revision: Revision, age: ReadAge | undefined): Response {
  return errorReply({
    message: "etcdserver: key not found",
    code: GrpcCode.notFound,
    reason: "keyNotFound",
    headers: { "X-D-Engine-Revision": String(revision), ...ageHeaders(age) },
  });
}

function putReply(revision: number, replayed: boolean | undefined): Response {
  return new Response(JSON.stringify({ revision }), {
    headers: { "Content-Type": "application/json", ETag: etag(revision), ...replayHeaders(replayed) },
  });
}

function deletedReply(deleted: number, revision: number, replayed: boolean | undefined): Response {
  return new Response(JSON.stringify({ deleted, revision }), {
    headers: { "Content-Type": "application/json", ...replayHeaders(replayed) },
  });
}
