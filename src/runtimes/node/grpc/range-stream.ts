import { EngineError } from "../../../core/errors/index.ts";
import type { KeyValue } from "../../../core/kv/index.ts";
import type { Engine } from "../../../core/node/index.ts";
import { type Message, message, nested } from "../../http/codec/schema.ts";
import { type RangeMessage, rangeReply, type RangeReply, rangeRequest } from "../../http/etcd/kv-messages.ts";
import { readOptions } from "../../http/etcd/read-policy.ts";
import type { StreamCall } from "../../http/etcd/stream-methods.ts";
import type { StreamMethodOf } from "./methods.ts";

interface RangeStreamReply {
  readonly rangeResponse: RangeReply;
}

const rangeStreamReply: Message<RangeStreamReply> = message<RangeStreamReply>(
  "RangeStreamResponse",
  () => ({ rangeResponse: { header: {}, kvs: [], more: false, count: 0 } }),
  { rangeResponse: nested(1, () => rangeReply) },
);

/** It has no path in the gateway: gRPC alone carries it. */
export const RANGE_STREAM: StreamMethodOf & { readonly service: string } = {
  service: "etcdserverpb.KV",
  rpc: "RangeStream",
  root: "rangeStream",
  request: rangeRequest,
  response: rangeStreamReply,
  open: (engine, requests, call) => rangeStream(engine, requests as AsyncIterable<RangeMessage>, call),
};

/** A page has no more keys and bytes than this, or one key. */
const PAGE_KEYS = 1000;
const PAGE_BYTES = 512 << 10;

/**
 * etcd 3.7's RangeStream: what Range gives, in parts that are Range's reply when they are merged, each read when the
 * client can take it. All are of one revision; when that is compacted meanwhile the stream ends as `compacted`.
 *
 * @throws EngineError `invalidSortOption` for an order other than that of the keys.
 */
async function* rangeStream(
  engine: Engine,
  requests: AsyncIterable<RangeMessage>,
  call: StreamCall,
): AsyncGenerator<RangeStreamReply, void, undefined> {
  for await (const request of requests) return yield* pages(engine, request, call);
}

async function* pages(
  engine: Engine,
  request: RangeMessage,
  { signal }: StreamCall,
): AsyncGenerator<RangeStreamReply, void, undefined> {
  const { sortOrder = "none", sortTarget = "key", limit = 0, countOnly, keysOnly } = request;
  if (sortOrder === "descend" || (sortOrder !== "none" && sortTarget !== "key"))
    throw new EngineError("invalidSortOption", { detail: "a stream is in the order of the keys" });
  const { key, rangeEnd, revision: asked = 0 } = request;
  const range = {
    ...(rangeEnd === undefined ? {} : { rangeEnd }),
    ...(keysOnly === true ? { keysOnly } : {}),
  };
  const page = { ...range, limit: PAGE_KEYS, maxBytes: PAGE_BYTES };
  // Only the first part is under the client's policy: it fixes the revision, and this replica has that.
  const first = { ...page, key, revision: asked, ...(countOnly === true ? { countOnly } : {}) };
  let reply = await engine.range(first, { ...readOptions(request), signal });
  const { header, count } = reply;
  const revision = asked > 0 ? asked : header.revision;
  let told = 0;
  let head: RangeReply["header"] = header;
  for (;;) {
    const chosen = reply.kvs.filter((kv) => passes(kv, request));
    const kvs = limit > 0 ? chosen.slice(0, limit - told) : chosen;
    told += kvs.length;
    const isMore = kvs.length < chosen.length;
    const isLast = isMore || !reply.more;
    if (isLast || kvs.length > 0) {
      yield { rangeResponse: { header: head, kvs, more: isMore, count: isLast ? count : 0 } };
      // Once is enough where parts are merged.
      head = {};
    }
    if (isLast || signal.aborted) return;
    const next = after(reply.kvs.at(-1)!.key);
    reply = await engine.range(
      { ...page, key: next, revision, withoutCount: true },
      { consistency: "eventual", signal },
    );
  }
}

/** The next possible key. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Filters come before the limit, so they cannot be left to a page's. */
function passes({ modRevision, createRevision }: KeyValue, request: RangeMessage): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return (
    within(modRevision, minModRevision, maxModRevision) &&
    within(createRevision, minCreateRevision, maxCreateRevision)
  );
}

/** As for Range: 0 and absent are no bound. */
function within(revision: number, min: number | undefined, max: number | undefined): boolean {
  return (!min || revision >= min) && (!max || revision <= max);
}
