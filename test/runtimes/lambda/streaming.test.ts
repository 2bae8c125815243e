// Answers that leave as they come. The platform's own part, `awslambda`, is played by a few lines here.

import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../../src/runtimes/client/index.ts";
import { LambdaFront } from "../../../src/runtimes/lambda/front.ts";
import { frontConfig } from "../../../src/runtimes/lambda/front-config.ts";
import { frontHandler, type LambdaHandler } from "../../../src/runtimes/lambda/index.ts";
import { endingInTime } from "../../../src/runtimes/lambda/stream-end.ts";
import type { ProtocolDouble } from "../../adapters/object-store/protocol-double.ts";
import { startS3Double } from "../../adapters/object-store/s3-double.ts";
import { AWS_ENV, type Group, startGroup } from "./group.ts";
import { base64, contextOf, type Invocation, post, TOKEN, urlEvent } from "./invocation.ts";

type Streamed = (event: object, response: Writable, context: object) => Promise<void>;

Object.assign(globalThis, {
  awslambda: {
    streamifyResponse: (handler: Streamed): Streamed => handler,
    HttpResponseStream: {
      from: (stream: Sink, metadata: { readonly statusCode: number }): Sink =>
        Object.assign(stream, { status: metadata.statusCode }),
    },
  },
});

class Sink extends Writable {
  status = 0;
  text = "";
  onText: (text: string) => void = () => undefined;

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.text += Buffer.from(chunk).toString();
    this.onText(this.text);
    done();
  }
}

let bucket: ProtocolDouble;
let group: Group;
let handler: LambdaHandler;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  bucket = await startS3Double();
  group = await startGroup(1, bucket.endpoint);
  handler = frontHandler({ ...group.env, D_ENGINE_STREAMING: "true" });
});

afterAll(async () => {
  await group.stop();
  await bucket.stop();
});

/** Resolves when the function has ended. */
async function stream(target: string, invocation: Invocation, onText: (text: string) => void): Promise<Sink> {
  const sink = new Sink();
  sink.onText = onText;
  const given = { headers: { authorization: `Bearer ${TOKEN}` }, ...invocation };
  await (handler as unknown as Streamed)(urlEvent(target, given), sink, contextOf(given));
  return sink;
}

describe("a function that streams", () => {
  it("sends events as they happen, and ends in time with a way to go on", async () => {
    let isPut = false;
    const put = (text: string): void => {
      if (isPut || !text.includes("event: watching")) return;
      isPut = true;
      void group.members[0]!.client().put("a", "first");
    };
    // Nothing else ends it.
    const { status, text } = await stream("/watch?key=a", { timeoutMs: 2500 }, put);
    expect(status).toBe(200);
    const events = text.split("\n\n");
    expect(events.pop()).toBe("");
    expect(events.at(-1)).toBe("retry: 100");
    const id = /id: ([0-9]+)\ndata: [^\n]*"first"/.exec(text)?.[1];
    await group.members[0]!.client().put("a", "second");
    const headers = { authorization: `Bearer ${TOKEN}`, "last-event-id": id! };
    const again = await stream("/watch?key=a", { headers, timeoutMs: 1500 }, () => undefined);
    expect(again.text).toContain('"second"');
    expect(again.text).not.toContain('"first"');
  });

  it("ends etcd's watch between two lines", async () => {
    const create = post({ create_request: { key: base64("a"), start_revision: "1" } }, { timeoutMs: 1500 });
    const { text } = await stream("/v3/watch", create, () => undefined);
    const lines = text.split("\n");
    expect(lines.pop()).toBe("");
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual(lines.map(() => ["result"]));
    expect(lines.length).toBeGreaterThanOrEqual(2);
  });

  it("answers what is no stream as ever", async () => {
    await group.members[0]!.client().put("b", "1");
    expect((await stream("/kv/b", {}, () => undefined)).text).toBe("1");
    expect((await stream("/kv/b?consistency=eventual", {}, () => undefined)).text).toBe("1");
    expect((await stream("/kv/b", { headers: {} }, () => undefined)).status).toBe(401);
  });
});

describe("the client", () => {
  it("watches through a function that ends its streams, without a gap and without a repetition", async () => {
    const env = { ...group.env, D_ENGINE_STREAMING: "true" };
    const front = new LambdaFront(frontConfig(env), TOKEN, { log: () => undefined });
    let invocations = 0;
    const server = createAdaptorServer({
      fetch: (request) => {
        invocations++;
        const endMs = performance.now() + 1300;
        return front.fetch(request, { leftMs: () => Math.max(0, endMs - performance.now()) });
      },
    }) as Server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = createClient({ endpoints: `http://127.0.0.1:${port}`, token: TOKEN });
    const watch = client.watch("counted");
    const seen: string[] = [];
    const following = (async () => {
      for await (const change of watch) {
        seen.push(change.value);
        if (seen.length === 20) break;
      }
    })();
    const direct = group.members[0]!.client();
    await watch.ready();
    for (let i = 0; i < 20; i++) {
      await direct.put("counted", `${i}`);
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
    await following;
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
    expect(invocations).toBeGreaterThan(2);
    client.close();
    server.closeAllConnections();
    server.close();
  });
});

describe("a reply that is made to end in time", () => {
  /** Pieces as they come, and then silence. */
  function silentAfter(...pieces: readonly string[]): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      },
    });
  }

  it.each([
    [["event: a\nda", "ta: 1\n", "\nevent: b\ndata"], "event: a\ndata: 1\n\nretry: 100\n\n"],
    [["x"], "retry: 100\n\n"],
    [["event: a\n", "\n"], "event: a\n\nretry: 100\n\n"],
  ])("holds back what is not whole: %j", async (pieces, expected) => {
    const headers = { "Content-Type": "text/event-stream" };
    const response = endingInTime(new Response(silentAfter(...pieces), { headers }), 50);
    expect(await response.text()).toBe(expected);
  });

  it("does so with lines of JSON, and leaves everything else alone", async () => {
    const headers = { "Content-Type": "application/json" };
    const lines = endingInTime(new Response(silentAfter('{"a":1}\n{"b"', ":2}\n{"), { headers }), 50);
    expect(await lines.text()).toBe('{"a":1}\n{"b":2}\n');
    const whole = new Response("{}", { headers: { ...headers, "Content-Length": "2" } });
    expect(endingInTime(whole, 50)).toBe(whole);
  });
});
