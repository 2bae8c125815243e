import { compareBytes } from "../../../core/bytes/index.ts";
import type { KeyValue, Revision } from "../../../core/kv/index.ts";
import type { Engine, ReadAge, ReadOptions } from "../../../core/node/index.ts";
import { ageHeaders } from "../age-headers.ts";
import type { Base64 } from "../base64.ts";
import { indexOfBytes, percentEncode, prefixEnd, utf8 } from "./key-text.ts";
import { kvJson } from "./kv-json.ts";
import { Query } from "./query.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** What a listing asks for. */
interface Listing {
  readonly prefix: Uint8Array;
  /** Only what comes after this key, or after everything under this common prefix. */
  readonly after: Uint8Array | null;
  /** Keys that contain it after the prefix are shown once, as what comes before its end. */
  readonly delimiter: Uint8Array | null;
  readonly limit: number;
  readonly keysOnly: boolean;
  /** 0: the latest. */
  readonly revision: Revision;
  readonly policy: ReadOptions;
}

/** One line of a listing: a key, or the common prefix of many. */
type Item =
  | { readonly type: "key"; readonly kv: KeyValue }
  | { readonly type: "prefix"; readonly prefix: Uint8Array };

interface Page {
  readonly items: readonly Item[];
  readonly revision: Revision;
  /** The last item's key or prefix when there is more; null at the end. */
  readonly cursor: Uint8Array | null;
  readonly age: ReadAge | undefined;
}

/**
 * `GET /kv/?prefix=&delimiter=&after=&limit=&keys=1&rev=&consistency=&min_revision=`: keys in order, a page at a time.
 *
 * ```json
 * {"revision": 9, "kvs": [{"key": "a/b", "value": "…", "create_revision": 2, "mod_revision": 5, "version": 3}],
 *  "prefixes": ["a/c/"], "next": "/kv/?prefix=a%2F&after=…&rev=9"}
 * ```
 *
 * Keys and values that are UTF-8 are strings; others stand in base64 under `key_base64`, `value_base64` and
 * `prefixes_base64`. `next`, there when there is more, is the path of the next page at the same revision. With
 * `delimiter=/` the listing is one level of a tree; `keys=1` leaves the values out. `limit` is 1 to 1000, 100 when
 * absent, and counts keys and prefixes.
 */
export async function listKeys(engine: Engine, request: Request, base64: Base64): Promise<Response> {
  const query = new Query(request.url, [
    "prefix",
    "delimiter",
    "after",
    "limit",
    "keys",
    "rev",
    "consistency",
    "min_revision",
  ]);
  const listing = listingOf(query);
  const page = await readPage(engine, listing);
  return new Response(JSON.stringify(pageJson(listing, page, base64)), {
    headers: { "Content-Type": "application/json", ...ageHeaders(page.age) },
  });
}

function listingOf(query: Query): Listing {
  const delimiter = query.bytes("delimiter");
  return {
    prefix: query.bytes("prefix") ?? new Uint8Array(0),
    after: query.bytes("after") ?? null,
    delimiter: delimiter === undefined || delimiter.length === 0 ? null : delimiter,
    limit: query.integer("limit", 1, MAX_LIMIT) ?? DEFAULT_LIMIT,
    keysOnly: query.flag("keys"),
    revision: query.integer("rev", 0, Number.MAX_SAFE_INTEGER) ?? 0,
    policy: query.readOptions(),
  };
}

/**
 * Reads until the page is full, skipping the inside of each common prefix: at most one read for each item. Only
 * the first is under the caller's policy. It fixed the revision and this replica has it, so the others may be local.
 */
async function readPage(engine: Engine, listing: Listing): Promise<Page> {
  const { prefix, limit, keysOnly } = listing;
  const rangeEnd = prefixEnd(prefix);
  const items: Item[] = [];
  let { revision } = listing;
  let key = startOf(listing);
  let first = true;
  let age: ReadAge | undefined;
  while (key !== null) {
    const reply = await engine.range(
      { key, rangeEnd, limit: limit - items.length + 1, revision, keysOnly, withoutCount: true },
      first ? listing.policy : { consistency: "eventual" },
    );
    if (first) ({ age } = reply);
    first = false;
    if (revision === 0) ({ revision } = reply.header);
    const resumeAt = collect(listing, reply.kvs, items);
    if (items.length > limit) {
      items.length = limit;
      return { items, revision, cursor: itemKey(items[limit - 1]!), age };
    }
    if (!reply.more) break;
    key = resumeAt;
  }
  return { items, revision, cursor: null, age };
}

/** Turns keys into items and says where to read on; null: nothing can follow. */
function collect(listing: Listing, kvs: readonly KeyValue[], items: Item[]): Uint8Array | null {
  let resumeAt: Uint8Array | null = null;
  for (const kv of kvs) {
    // Still inside the common prefix that was shown last.
    if (resumeAt !== null && compareBytes(kv.key, resumeAt) < 0) continue;
    const prefix = commonPrefix(listing, kv.key);
    items.push(prefix === null ? { type: "key", kv } : { type: "prefix", prefix });
    resumeAt = prefix === null ? successor(kv.key) : afterPrefix(prefix);
    if (resumeAt === null) break;
  }
  return resumeAt;
}

function startOf(listing: Listing): Uint8Array | null {
  const { after, prefix } = listing;
  const least = prefix.length === 0 ? new Uint8Array(1) : prefix;
  if (after === null || compareBytes(after, prefix) < 0) return least;
  const shown = commonPrefix(listing, after);
  return shown === null ? successor(after) : afterPrefix(shown);
}

/** The part of a key up to the end of the first delimiter after the prefix; null where there is none. */
function commonPrefix({ prefix, delimiter }: Listing, key: Uint8Array): Uint8Array | null {
  if (delimiter === null) return null;
  const at = indexOfBytes(key, delimiter, prefix.length);
  return at === -1 ? null : key.subarray(0, at + delimiter.length);
}

function itemKey(item: Item): Uint8Array {
  return item.type === "key" ? item.kv.key : item.prefix;
}

/** The smallest key after this one. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The smallest key that is after all keys with a prefix; null when there is none. */
function afterPrefix(prefix: Uint8Array): Uint8Array | null {
  return prefix.every((byte) => byte === 0xff) ? null : prefixEnd(prefix);
}

function pageJson(listing: Listing, { items, revision, cursor, age }: Page, base64: Base64): object {
  const kvs: object[] = [];
  const prefixes: string[] = [];
  const binaryPrefixes: string[] = [];
  for (const item of items) {
    if (item.type === "key") {
      kvs.push(kvJson(item.kv, listing.keysOnly, base64));
    } else {
      const text = utf8(item.prefix);
      if (text === null) binaryPrefixes.push(base64.encode(item.prefix));
      else prefixes.push(text);
    }
  }
  return {
    revision,
    kvs,
    ...(listing.delimiter === null ? {} : { prefixes }),
    ...(binaryPrefixes.length === 0 ? {} : { prefixes_base64: binaryPrefixes }),
    ...(age === undefined
      ? {}
      : { age: { checked_ms_ago: age.checkedMsAgo, written_at_ms: age.writtenAtMs } }),
    ...(cursor === null ? {} : { next: nextPath(listing, cursor, revision) }),
  };
}

function nextPath(listing: Listing, cursor: Uint8Array, revision: Revision): string {
  const { prefix, delimiter, limit, keysOnly } = listing;
  const { consistency } = listing.policy;
  const parameters = [`prefix=${percentEncode(prefix)}`];
  if (delimiter !== null) parameters.push(`delimiter=${percentEncode(delimiter)}`);
  parameters.push(`after=${percentEncode(cursor)}`, `limit=${limit}`);
  if (keysOnly) parameters.push("keys=1");
  parameters.push(`rev=${revision}`);
  if (consistency !== undefined) parameters.push(`consistency=${consistency}`);
  return `/kv/?${parameters.join("&")}`;
}
