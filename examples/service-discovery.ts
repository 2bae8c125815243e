// Services say where they are, for as long as they live; whoever calls them always knows those that do. The engine
// serves HTTP here, and the services and their callers are clients of it: put them into processes of their own.

import { EmbeddedEngine } from "../src/index.ts"; // in your project: "d-engine"
import { createClient, jsonCodec, type Lease } from "../src/runtimes/client/index.ts"; // "d-engine/client"

const url = `http://127.0.0.1:${process.argv[2] ?? "23791"}`;
const engine = await EmbeddedEngine.start("./data", { listenClientUrls: url });
await engine.waitReady(5000);

interface Service {
  readonly host: string;
  readonly port: number;
}
const client = createClient({ endpoints: [url] });
const services = client.withCodec(jsonCodec<Service>());

/** Announces a service. Its key goes with its lease: when it says so, or when it is silent for so long. */
async function announce(name: string, service: Service, ttlMs: number = 10_000): Promise<Lease> {
  const lease = await client.grantLease({ ttlMs });
  await services.put(`services/${name}`, service, { lease });
  return lease.keepAlive();
}

// One is there before anybody looks.
await announce("mail-1", { host: "10.0.0.1", port: 25 });

// Whoever calls them: first those that are there, and then every change. If its server goes away, the watch goes on
// with the next one, and misses nothing.
const known = new Map<string, Service>();
async function follow(until: (names: readonly string[]) => boolean): Promise<void> {
  for await (const { key, value } of services.watchPrefix("services/", { initialState: true })) {
    const name = key.slice("services/".length);
    if (value === null) known.delete(name);
    else known.set(name, value);
    console.log([...known.keys()].join(" ") || "nobody");
    if (until([...known.keys()])) return;
  }
}

let most = 0;
const following = follow((names) => names.length < (most = Math.max(most, names.length))); // mail-1
const second = await announce("mail-2", { host: "10.0.0.2", port: 25 }, 1000); // mail-1 mail-2

// The second one dies: it renews its lease no more, and a second later it is gone.
second.stop();
await following; // mail-1
console.log(known.get("mail-1")?.host); // 10.0.0.1

client.close();
await engine.stop();
