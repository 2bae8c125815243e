// What the HTTP app costs by itself: requests go straight into `app.fetch`, over the real store in memory, with no
// socket, log or disk. 8-byte keys, 256-byte values. Requests and responses are as light as those that
// @hono/node-server makes, since Node's own cost several times as much as the app. The time is this process's CPU
// time, which other programs on the machine disturb less than the clock.
//
//     node bench/http-app.ts [seconds per measurement]

import { getRequestListener } from "@hono/node-server";
import { KvStore } from "../src/core/kv/index.ts";
import { type Base64, createApp, portableBase64, unpaddedLength } from "../src/runtimes/http/index.ts";
import { memoryEngine } from "../test/runtimes/http/memory-engine.ts";

const SECONDS = Number(process.argv[2] ?? 2);
const KEYS = 10_000;

const bufferBase64: Base64 = {
  encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
  decode(text) {
    const length = unpaddedLength(text);
    if (length === null) return null;
    const bytes = Buffer.from(text, "base64");
    // Buffer skips what it does not know; then fewer bytes come out.
    return bytes.length === (length * 3) >> 2
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      : null;
  },
};

const key = (i: number): Buffer => Buffer.from(`key${String(i % KEYS).padStart(5, "0")}`);
const value = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i * 37));

/** As much of a Request as node-server reads from the socket before anyone asks for more. */
class LightRequest {
  readonly method = "POST";
  readonly url: string;
  readonly #body: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(path: string, body: string) {
    this.url = `http://localhost:2379${path}`;
    this.#body = body;
    this.#headers = { "content-type": "application/json", "content-length": String(body.length) };
  }

  get headers(): { get(name: string): string | null; has(name: string): boolean } {
    const headers = this.#headers;
    return {
      get: (name) => headers[name.toLowerCase()] ?? null,
      has: (name) => name.toLowerCase() in headers,
    };
  }

  text(): Promise<string> {
    return Promise.resolve(this.#body);
  }
}

interface Load {
  readonly name: string;
  readonly path: string;
  readonly body: (i: number) => string;
}

const LOADS: readonly Load[] = [
  {
    name: "put",
    path: "/v3/kv/put",
    body: (i) => JSON.stringify({ key: key(i).toString("base64"), value: value.toString("base64") }),
  },
  {
    name: "range, one key",
    path: "/v3/kv/range",
    body: (i) => JSON.stringify({ key: key(i * 7919).toString("base64") }),
  },
];

/** Microseconds of CPU for one request. */
async function measure(load: Load, base64: Base64): Promise<number> {
  const engine = memoryEngine(new KvStore());
  const app = createApp({
    engine,
    auth: { allowInsecure: true },
    version: "bench",
    base64,
    logger: { log: (level, message, fields) => console.error(level, message, fields) },
  });
  for (let i = 0; i < KEYS; i++) await engine.put({ key: key(i), value });
  const bodies = Array.from({ length: KEYS }, (_, i) => load.body(i));
  const send = async (i: number): Promise<void> => {
    const body = bodies[i % KEYS]!;
    const request = new LightRequest(load.path, body) as unknown as Request;
    const { status } = await app.fetch(request);
    if (status !== 200) throw new Error(`${load.name}: ${status}`);
  };
  for (let i = 0; i < KEYS; i++) await send(i);
  const start = performance.now();
  const cpu = process.cpuUsage();
  let count = 0;
  while (performance.now() - start < SECONDS * 1000) {
    for (let i = 0; i < 100; i++) await send(count++);
    // A put leaves history behind; without this the store would be measured as it fills the memory.
    if (load.name === "put" && count % 50_000 === 0)
      await engine.compact({ revision: engine.header().revision });
  }
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / count;
}

// Puts node-server's light Response in the place of the global one, as serving does.
getRequestListener(() => new Response());

for (const load of LOADS) {
  for (const [name, base64] of [
    ["portable base64", portableBase64],
    ["Buffer's base64", bufferBase64],
  ] as const) {
    const micros = await measure(load, base64);
    const perSecond = Math.round(1e6 / micros);
    console.log(
      `${load.name.padEnd(14)} ${name} ${micros.toFixed(1).padStart(8)} µs CPU each, ${perSecond} /s of one core`,
    );
  }
}
