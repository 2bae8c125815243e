// Of several workers one leads, and when it goes the next one does. Each is a client of its own; in earnest, a process.

import { EmbeddedEngine } from "../src/index.ts"; // in your project: "d-engine"
import { createClient } from "../src/runtimes/client/index.ts"; // "d-engine/client"

const url = `http://127.0.0.1:${process.argv[2] ?? "23791"}`;
const engine = await EmbeddedEngine.start("./data", { listenClientUrls: url });
await engine.waitReady(5000);

const tokens: number[] = [];

/** Waits for its turn, and leads until `over`. */
async function worker(name: string, over: Promise<unknown>): Promise<void> {
  const client = createClient({ endpoints: [url] });
  await client.elect(
    "scheduler",
    async ({ fencingToken, signal, proclaim }) => {
      tokens.push(fencingToken);
      await proclaim(`${name} is at work`);
      // `signal` aborts when leadership is lost. Whatever is done all the same must show the token, or is done twice.
      const lost = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await Promise.race([over, lost]);
    },
    { value: name, ttlMs: 5000 },
  );
  client.close();
}

// Somebody who only wants to know who leads.
const observer = createClient({ endpoints: [url] });
async function seen(text: string): Promise<void> {
  for await (const leader of observer.observe("scheduler")) if (leader.text === text) return;
}

const workers = ["Ann", "Ben", "Cleo"].map((name) => worker(name, seen(`${name} is at work`)));
await Promise.all(workers);
console.log(tokens.every((token, i) => i === 0 || token > tokens[i - 1]!)); // true
console.log(await observer.leader("scheduler")); // null

observer.close();
await engine.stop();
