import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/*
 * As much of DynamoDB's JSON protocol as the adapter speaks, to inject faults that the real server cannot be made to
 * show. Whether it answers as DynamoDB does is not its affair: DynamoDB Local is asked that.
 */

type Attribute = { readonly S?: string; readonly N?: string; readonly B?: string };
type StoredItem = Record<string, Attribute>;

/** What befalls one request. */
export type Fault =
  /** It is not done, and the connection breaks. */
  | "lostRequest"
  /** It is done, and the connection breaks before the reply. */
  | "lostReply"
  /** It is done after all, but only later; the connection breaks. */
  | "late"
  /** It is done, and the reply is no JSON. */
  | "garbledReply"
  /** It is not done, and nothing is ever said. */
  | "silence"
  /** Half of a batch is left undone. */
  | "unprocessed"
  | { readonly status: number; readonly name: string; readonly message?: string };

export interface Request {
  readonly operation: string;
  readonly input: Record<string, unknown>;
}

const LATE_MS = 30;

export class DynamoDbDouble {
  readonly #server: Server;
  readonly #items: Map<string, StoredItem> = new Map();
  /** All requests, in the order in which they came. */
  readonly requests: Request[] = [];
  /** What a request waits for before anything is done about it. */
  hold: (request: Request) => Promise<unknown> | null = () => null;
  /** Asked about every request. */
  fault: (request: Request) => Fault | null = () => null;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<DynamoDbDouble> {
    const server = createServer();
    const double = new DynamoDbDouble(server);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      void double.#serve(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const operation = String(incoming.headers["x-amz-target"]).replace(/^.*\./, "");
    const input = JSON.parse((await buffer(incoming)).toString()) as Record<string, unknown>;
    this.requests.push({ operation, input });
    await this.hold({ operation, input });
    const fault = this.fault({ operation, input });
    if (fault === "silence") return;
    if (fault === "lostRequest") return void incoming.socket.destroy();
    if (fault === "late") {
      setTimeout(() => this.#perform(operation, input), LATE_MS);
      return void incoming.socket.destroy();
    }
    const problem = typeof fault === "object" ? fault : null;
    const [status, reply] =
      problem === null
        ? this.#perform(operation, input, fault === "unprocessed")
        : failure(problem.name, problem.status, problem.message);
    if (fault === "lostReply") return void incoming.socket.destroy();
    response.writeHead(status, { "content-type": "application/x-amz-json-1.0" });
    response.end(fault === "garbledReply" ? "<html>bad gateway" : JSON.stringify(reply));
  }

  #perform(operation: string, input: Record<string, unknown>, halfDone = false): [number, object] {
    switch (operation) {
      case "GetItem": {
        const item = this.#items.get(keyText(input["Key"] as StoredItem));
        return [200, item === undefined ? {} : { Item: item }];
      }
      case "PutItem":
        return this.#put(input);
      case "Query":
        return [200, this.#query(input)];
      case "BatchWriteItem":
        return [200, this.#batch(input, halfDone)];
      default:
        return failure("ValidationException", 400, `the double knows no ${operation}`);
    }
  }

  #put(input: Record<string, unknown>): [number, object] {
    const item = input["Item"] as StoredItem;
    const present = this.#items.get(keyText(item));
    const values = input["ExpressionAttributeValues"] as StoredItem | undefined;
    const holds =
      input["ConditionExpression"] === "attribute_not_exists(pk)"
        ? present === undefined
        : input["ConditionExpression"] === "v = :version" && present?.["v"]?.S === values?.[":version"]?.S;
    if (!holds) return failure("ConditionalCheckFailedException", 400, "The conditional request failed");
    this.#items.set(keyText(item), item);
    return [200, {}];
  }

  #query(input: Record<string, unknown>): object {
    const values = input["ExpressionAttributeValues"] as StoredItem;
    const [shard, from, to] = [values[":shard"]!.S!, values[":from"]!.S!, values[":to"]!.S!];
    const found = [...this.#items.values()]
      .filter(({ pk, sk }) => pk!.S === shard && sk!.S! >= from && sk!.S! <= to)
      .toSorted((a, b) => (a["sk"]!.S! < b["sk"]!.S! ? -1 : 1));
    const attributes = (input["ProjectionExpression"] as string).split(", ");
    const page = found
      .slice(0, input["Limit"] as number)
      .map((item) => Object.fromEntries(attributes.map((name) => [name, item[name]!])) as StoredItem);
    const last = page.at(-1);
    if (page.length === found.length || last === undefined) return { Items: page };
    return { Items: page, LastEvaluatedKey: { pk: last["pk"], sk: last["sk"] } };
  }

  #batch(input: Record<string, unknown>, halfDone: boolean): object {
    const [[table, writes]] = Object.entries(input["RequestItems"] as Record<string, unknown[]>) as [
      [string, { readonly DeleteRequest: { readonly Key: StoredItem } }[]],
    ];
    if (writes.length > 25) throw new Error("a batch has at most 25 writes");
    const done = halfDone ? writes.slice(0, Math.ceil(writes.length / 2)) : writes;
    for (const { DeleteRequest: request } of done) this.#items.delete(keyText(request.Key));
    const left = writes.slice(done.length);
    return { UnprocessedItems: left.length === 0 ? {} : { [table]: left } };
  }
}

function keyText({ pk, sk }: StoredItem): string {
  return `${pk?.S} ${sk?.S}`;
}

function failure(name: string, status: number, message = "no reason given"): [number, object] {
  return [status, { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message }];
}
