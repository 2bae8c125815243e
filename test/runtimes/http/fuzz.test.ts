// Whatever is sent, the app answers with something between 200 and 499, or says that it does not implement it, or
// gives an error that etcd calls unknown: never another 500, and nothing in the log.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { METHODS } from "../../../src/runtimes/http/etcd/methods.ts";
import { fieldName, type FieldInfo, type MessageInfo } from "../../../src/runtimes/http/codec/schema.ts";
import { memoryEngine } from "./memory-engine.ts";
import { testApp } from "./test-app.ts";

const paths = fc.constantFrom(...METHODS.map(({ path }) => `/v3${path}`));

/** JSON that is nearly right: the fields of the message, each with something that may or may not be allowed. */
function nearly(message: MessageInfo, depth: number): fc.Arbitrary<unknown> {
  const entries: [string, fc.Arbitrary<unknown>][] =
    message.shape === "record"
      ? [...message.fields].map(([property, field]) => [
          fieldName(property, field),
          nearlyField(field, depth),
        ])
      : [...message.cases.values()].map(({ name, message: content }) => [
          name,
          depth === 0 ? fc.jsonValue() : nearly(content(), depth - 1),
        ]);
  return fc.record(Object.fromEntries(entries), { requiredKeys: [] });
}

function nearlyField(field: FieldInfo, depth: number): fc.Arbitrary<unknown> {
  const one = nearlyKind(field, depth);
  const rightShape = field.repeated ? fc.array(one, { maxLength: 4 }) : one;
  return fc.oneof({ weight: 12, arbitrary: rightShape }, { weight: 1, arbitrary: fc.jsonValue() });
}

function nearlyKind({ kind }: FieldInfo, depth: number): fc.Arbitrary<unknown> {
  switch (kind.type) {
    case "bytes":
      return fc.oneof(fc.constantFrom("", "YQ==", "Yg", "AA==", "_w", "Y"), fc.base64String(), fc.string());
    case "string":
      return fc.oneof(fc.webUrl(), fc.string());
    case "bool":
      return fc.boolean();
    case "int64":
    case "uint64":
      return fc.oneof(
        fc.integer({ min: -3, max: 12 }),
        fc.bigInt({ min: -(1n << 65n), max: 1n << 65n }).map(String),
        fc.double(),
        fc.constantFrom("9223372036854775807", "-9223372036854775808", "1e9", "0x1", ""),
      );
    case "enum":
      return fc.oneof(fc.constantFrom(...kind.enumeration.names), fc.integer({ min: -1, max: 6 }));
    case "message":
      return depth === 0 ? fc.jsonValue() : nearly(kind.message(), depth - 1);
  }
}

const nearlyRight = fc.constantFrom(...METHODS).chain(({ path, request }) =>
  fc.tuple(
    fc.constant(`/v3${path}`),
    nearly(request, 2).map((json) => JSON.stringify(json)),
  ),
);

/** One store for the whole run: what earlier requests wrote is in the way of later ones. */
const engine = memoryEngine();
const { app, log } = testApp(engine);

/** Sends it, and fails unless there is a proper answer. Says whether the request was taken. */
async function expectAnAnswer(path: string, init: RequestInit): Promise<boolean> {
  // Whoever waits in line for a lock gives up.
  const waits = METHODS.some((method) => method.waits === true && path.endsWith(method.path));
  const response = await app.request(path, waits ? { ...init, signal: AbortSignal.timeout(20) } : init);
  const text = await response.text();
  const unknown = /^\{"error":"(mutex|election): |"\\"leader\\" field/.test(text);
  const refused = response.status === 501 || text.includes("unhealthy cluster") || unknown;
  expect(response.status < 500 || refused ? "an answer" : text).toBe("an answer");
  expect(log).toEqual([]);
  // Who raises an alarm by chance would have the rest refused because of it.
  for (const { type, memberId } of engine.status().alarms) {
    await engine.alarm({ action: "deactivate", type, memberId });
  }
  return response.ok;
}

describe("any request gets an answer", () => {
  it("with JSON that is nearly right", async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(nearlyRight, async ([path, body]) => {
        if (await expectAnAnswer(path, { method: "POST", body })) taken++;
      }),
      {
        numRuns: 500,
        examples: [
          [["/v3/maintenance/alarm", '{"action":"ACTIVATE","alarm":"CORRUPT"}']],
          [["/v3/kv/put", '{"key":"YQ=="}']],
        ],
      },
    );
    // Or else the requests are not as nearly right as they are meant to be.

    expect(taken).toBeGreaterThan(40);
  });

  it("with any JSON", async () => {
    await fc.assert(
      fc.asyncProperty(paths, fc.json({ maxDepth: 6 }), async (path, body) => {
        await expectAnAnswer(path, { method: "POST", body });
      }),
      { numRuns: 500 },
    );
  });

  it("with any bytes", async () => {
    await fc.assert(
      fc.asyncProperty(paths, fc.uint8Array({ maxLength: 200 }), async (path, body) => {
        await expectAnAnswer(path, { method: "POST", body: body as Uint8Array<ArrayBuffer> });
      }),
      { numRuns: 300 },
    );
  });

  it("with any sugar", async () => {
    const name = fc.constantFrom(
      "prefix",
      "delimiter",
      "after",
      "limit",
      "keys",
      "rev",
      "consistency",
      "ttl",
      "x",
    );
    const value = fc.oneof(fc.string(), fc.constantFrom("1", "%", "%00", "a", "2", "eventual"));
    const query = fc.array(
      fc.tuple(name, value).map(([n, v]) => `${n}=${v}`),
      { maxLength: 3 },
    );
    const tag = fc.constantFrom("*", '"2"', "2", "x", "");
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("GET", "PUT", "DELETE", "HEAD", "POST", "PATCH"),
        fc.constantFrom("/kv", "/kv/", "/members", "/leader", "/status", "/kv/../v3", "/kv/"),
        fc.string({ unit: "binary", maxLength: 10 }),
        query,
        fc.record({ "If-Match": tag, "If-None-Match": tag }, { requiredKeys: [] }),
        async (method, path, rest, pairs, headers) => {
          await expectAnAnswer(`http://localhost${path}${rest}?${pairs.join("&")}`, {
            method,
            headers,
            ...(method === "PUT" ? { body: "v" } : {}),
          });
        },
      ),
      { numRuns: 1000 },
    );
  });
});
