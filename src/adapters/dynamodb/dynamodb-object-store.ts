import { randomUUID } from "node:crypto";
import type { PutItemCommandInput, QueryCommandInput } from "@aws-sdk/client-dynamodb";
import { assert, EngineError } from "../../core/errors/index.ts";
import {
  checkBody,
  inParallel,
  keyPrefix,
  type ListingPage,
  type ListOptions,
  type ObjectCallOptions,
  type ObjectReader,
  ObjectRequests,
  type ObjectStore,
  type ObjectVersion,
  prefixBeside,
  type PutOutcome,
  type StoredObject,
} from "../object-store/index.ts";
import { explain, UnprocessedError } from "./explain.ts";
import {
  type Item,
  listing,
  MAX_BODY_BYTES,
  objectItem,
  objectKey,
  shapeItem,
  shapeKey,
  shardKey,
  shardsOf,
  storedObject,
} from "./item-layout.ts";
import { mergeShards } from "./merge-shards.ts";
import { type ClientOptions, connect, type Connection } from "./sdk.ts";
import { ensureTable } from "./table.ts";

/** Which table, and which part of it. */
export interface DynamoDbObjectStoreOptions extends ClientOptions {
  readonly table: string;
  /** Keeps this store's objects apart from others in the table, such as `prod/node-1`. Default: none. */
  readonly prefix?: string;
  /**
   * Over how many partition keys the objects are spread, each of which takes 1,000 write units a second: 1 to 64, for
   * good once the prefix is in use. Default: what the prefix was begun with, 8 for a new one.
   */
  readonly shards?: number;
  /** Creates the table if it is missing; the credentials must be allowed to. */
  readonly createTable?: boolean;
  /** For those who may only read: a prefix that nobody has begun is not begun (`storageUnavailable`). */
  readonly readOnly?: boolean;
  /** How long one request may take, in milliseconds. Default 5000. */
  readonly timeoutMs?: number;
}

const DEFAULT_SHARDS = 8;
const MAX_SHARDS = 64;
const DEFAULT_TIMEOUT_MS = 5000;
/** BatchWriteItem takes no more. */
const DELETE_BATCH = 25;
const DEFAULT_PAGE = 1000;
/** Characters before and after all that a name may have. */
const FIRST = " ";
const LAST = "~";

/**
 * Objects as the items of a table.
 *
 * @throws EngineError `invalidConfig`, `storageFailed` (no such table, no permission, ...), `storageUnavailable`.
 */
export async function dynamoDbObjectStore(options: DynamoDbObjectStoreOptions): Promise<ObjectStore> {
  const { table, shards, createTable, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  checkOptions(options);
  const prefix = keyPrefix(options.prefix ?? "");
  const connection = await connect(options);
  try {
    if (createTable === true) await ensureTable(connection, table);
    const { region } = connection;
    const requests = new ObjectRequests({
      location: `dynamodb://${table}/${prefix}`,
      explain: (error) => explain(error, { table, region }),
      timeoutMs,
    });
    const site: Site = { connection, requests, table, prefix };
    return new DynamoDbObjectStore(site, await agreeOnShards(site, shards, options.readOnly === true));
  } catch (error) {
    connection.close();
    throw error;
  }
}

function checkOptions({ table, shards }: DynamoDbObjectStoreOptions): void {
  const refuse = (detail: string): never => {
    throw new EngineError("invalidConfig", { detail: `DynamoDB: ${detail}` });
  };
  if (!/^[\w.-]{3,255}$/.test(table)) refuse(`"${table}" cannot be the name of a table`);
  if (shards !== undefined && !(Number.isInteger(shards) && shards >= 1 && shards <= MAX_SHARDS)) {
    refuse(`shards must be a whole number from 1 to ${MAX_SHARDS}, not ${shards}`);
  }
}

interface Site {
  readonly connection: Connection;
  readonly requests: ObjectRequests;
  readonly table: string;
  readonly prefix: string;
}

/** An item as it is now: a read that may be stale would take over a log without its end. */
async function getItem(site: Site, key: Item, { signal }: ObjectCallOptions = {}): Promise<Item | null> {
  const { connection, requests, table } = site;
  const { sdk, client } = connection;
  return await requests.read(async (abortSignal) => {
    const command = new sdk.GetItemCommand({ TableName: table, Key: key, ConsistentRead: true });
    return (await client.send(command, { abortSignal })).Item ?? null;
  }, signal);
}

const NOT_SET_UP = ": not set up";
/** Puts whose end is unknown. */
const MAX_ATTEMPTS = 8;

/** Whether a store that was opened `readOnly` was refused because nobody has begun it. */
export function isNotSetUp(error: unknown): boolean {
  return error instanceof EngineError && error.detail?.endsWith(NOT_SET_UP) === true;
}

/** Writes down how many shards the prefix has, or finds it written. */
async function agreeOnShards(site: Site, wanted: number | undefined, readOnly: boolean): Promise<number> {
  const { connection, requests, table, prefix } = site;
  const { sdk, client } = connection;
  const read = (): Promise<Item | null> => getItem(site, shapeKey(prefix));
  const notSetUp = (): EngineError =>
    new EngineError("storageUnavailable", { detail: `dynamodb://${table}/${prefix}${NOT_SET_UP}` });
  let item = await read();
  if (item === null && readOnly) throw notSetUp();
  for (let made = 0; item === null; made++) {
    if (made === MAX_ATTEMPTS) throw notSetUp();
    const shape = shapeItem(prefix, wanted ?? DEFAULT_SHARDS);
    const outcome = await requests.put(async (signal) => {
      await client.send(new sdk.PutItemCommand(ifAbsent(table, shape)), { abortSignal: signal });
      return "";
    });
    // However it ended, what is there now is what counts; if nothing is, the put was lost or is late, and another one
    // writes nothing else.
    item = outcome.type === "written" ? shape : await read();
  }
  const recorded = shardsOf(item, MAX_SHARDS);
  if (wanted === undefined || wanted === recorded) return recorded;
  throw new EngineError("invalidConfig", {
    detail: `DynamoDB: ${table}/${prefix} was begun with ${recorded} shards, which cannot become ${wanted}`,
  });
}

function ifAbsent(table: string, item: Item): PutItemCommandInput {
  return { TableName: table, Item: item, ConditionExpression: "attribute_not_exists(pk)" };
}

class DynamoDbObjectStore implements ObjectStore {
  readonly maxObjectBytes = MAX_BODY_BYTES;
  readonly location: string;
  readonly #site: Site;
  readonly #shards: number;

  constructor(site: Site, shards: number) {
    this.location = site.requests.location;
    this.#site = site;
    this.#shards = shards;
  }

  async get(name: string, options?: ObjectCallOptions): Promise<StoredObject | null> {
    const item = await getItem(this.#site, this.#key(name), options);
    return item === null ? null : storedObject(item);
  }

  beside(location: string): ObjectReader | null {
    const prefix = prefixBeside({ location: this.location, prefix: this.#site.prefix }, location);
    if (prefix === null) return null;
    return {
      location,
      get: async (name, options) => {
        const shape = await getItem(this.#site, shapeKey(prefix), options);
        if (shape === null) return null;
        const key = objectKey(prefix, shardsOf(shape, MAX_SHARDS), name);
        const item = await getItem(this.#site, key, options);
        return item === null ? null : storedObject(item);
      },
    };
  }

  putIfAbsent(name: string, body: Uint8Array, options: ObjectCallOptions = {}): Promise<PutOutcome> {
    return this.#put(name, body, options, (item) => ifAbsent(this.#site.table, item));
  }

  putIfMatch(
    name: string,
    body: Uint8Array,
    version: ObjectVersion,
    options: ObjectCallOptions = {},
  ): Promise<PutOutcome> {
    return this.#put(name, body, options, (item) => ({
      TableName: this.#site.table,
      Item: item,
      ConditionExpression: "v = :version",
      ExpressionAttributeValues: { ":version": { S: version } },
    }));
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListingPage> {
    const { startAfter = "", limit = DEFAULT_PAGE } = options;
    const from = startAfter >= prefix ? startAfter + FIRST : prefix;
    if (from > prefix + LAST) return { objects: [], more: false };
    // A query is charged by the whole items that it passes, so each shard is asked for its share and a little more.
    const share = Math.min(limit, Math.ceil((limit * 1.25) / this.#shards) + 4);
    const pages = await Promise.all(
      Array.from({ length: this.#shards }, (_, shard) =>
        this.#query(shard, from, prefix + LAST, share, options),
      ),
    );
    return mergeShards(pages, limit);
  }

  async delete(names: readonly string[], options: ObjectCallOptions = {}): Promise<void> {
    // One name twice in a batch would be refused.
    const keys = [...new Set(names)].map((name) => this.#key(name));
    const batches = Array.from({ length: Math.ceil(keys.length / DELETE_BATCH) }, (_, i) =>
      keys.slice(i * DELETE_BATCH, (i + 1) * DELETE_BATCH),
    );
    await inParallel(batches, (batch) => this.#deleteBatch(batch, options.signal));
  }

  close(): Promise<void> {
    this.#site.requests.close();
    this.#site.connection.close();
    return Promise.resolve();
  }

  #key(name: string): Item {
    return objectKey(this.#site.prefix, this.#shards, name);
  }

  async #put(
    name: string,
    body: Uint8Array,
    { signal }: ObjectCallOptions,
    conditional: (item: Item) => PutItemCommandInput,
  ): Promise<PutOutcome> {
    const { sdk, client } = this.#site.connection;
    checkBody(body, this.maxObjectBytes);
    const version = randomUUID();
    const input = conditional(objectItem(this.#key(name), body, version));
    return await this.#site.requests.put(async (abortSignal) => {
      await client.send(new sdk.PutItemCommand(input), { abortSignal });
      return version;
    }, signal);
  }

  /** One page of a shard: DynamoDB ends it at `limit` items, or after 1 MB of them. */
  async #query(
    shard: number,
    from: string,
    to: string,
    limit: number,
    { contents, signal }: ListOptions,
  ): Promise<ListingPage> {
    const { sdk, client } = this.#site.connection;
    const input: QueryCommandInput = {
      TableName: this.#site.table,
      ConsistentRead: true,
      KeyConditionExpression: "pk = :shard AND sk BETWEEN :from AND :to",
      ExpressionAttributeValues: {
        ":shard": { S: shardKey(this.#site.prefix, shard) },
        ":from": { S: from },
        ":to": { S: to },
      },
      ProjectionExpression: contents === true ? "pk, sk, n, b, v" : "pk, sk, n",
      Limit: limit,
    };
    const page = await this.#site.requests.read(async (abortSignal) => {
      const { Items = [], LastEvaluatedKey } = await client.send(new sdk.QueryCommand(input), {
        abortSignal,
      });
      const more = LastEvaluatedKey !== undefined;
      if (more && Items.length === 0)
        throw new Error("a page of a query says nothing but that there is more");
      return { objects: Items.map(listing), more };
    }, signal);
    assert(page !== null, "a query is never absent");
    return page;
  }

  async #deleteBatch(keys: readonly Item[], signal: AbortSignal | undefined): Promise<void> {
    const { sdk, client } = this.#site.connection;
    let left = keys.map((Key) => ({ DeleteRequest: { Key } }));
    await this.#site.requests.read(async (abortSignal) => {
      const command = new sdk.BatchWriteItemCommand({ RequestItems: { [this.#site.table]: left } });
      const { UnprocessedItems } = await client.send(command, { abortSignal });
      const unprocessed = UnprocessedItems?.[this.#site.table] ?? [];
      left = unprocessed.flatMap(({ DeleteRequest: request }) =>
        request?.Key === undefined ? [] : [{ DeleteRequest: { Key: request.Key } }],
      );
      if (left.length > 0) throw new UnprocessedError(`${left.length} deletions were put off`);
    }, signal);
  }
}
