// What members ask of their stores while nobody asks anything of them:
//
//     node bench/storage/idle.ts                    a minute each, of one member and of three
//     node bench/storage/idle.ts --seconds 20
//
// The objects are in this process's memory: which requests are made does not depend on the server.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openObjectStorage } from "../../src/adapters/object-store/index.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "../../src/runtimes/node/index.ts";
import { nodeClock } from "../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../src/runtimes/node/node-random.ts";
import { memoryObjectStore, ObjectBucket } from "../../test/adapters/object-store/object-bucket.ts";
import { freePorts } from "../servers.ts";
import { CountingStore } from "./counting-store.ts";
import { dollarsAMonth, DYNAMODB, S3 } from "./prices.ts";

interface Member {
  readonly engine: EmbeddedEngine;
  readonly store: CountingStore;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error("--seconds must be a positive number");
  for (const count of [1, 3]) await measure(count, seconds);
}

async function measure(count: number, seconds: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const members = await startMembers(dir, count);
  try {
    await Promise.all(members.map(({ engine }) => engine.waitReady(20_000)));
    await members[0]!.engine.client().put("greeting", "hello");
    await pass(3);
    for (const { store } of members) store.take();
    await pass(seconds);
    console.log(`${count === 1 ? "one member" : `${count} members`}, ${seconds} s in which nothing is asked`);
    for (const { engine, store } of members) {
      const counts = store.take();
      console.log(
        `  ${engine.isLeader ? "leader" : "follower"}: ${counts.puts} PUTs, ${counts.gets} GETs, ${counts.lists} LISTs; ` +
          `a month of that: $${dollarsAMonth(S3, counts, seconds).toFixed(2)} on S3, ` +
          `$${dollarsAMonth(DYNAMODB, counts, seconds).toFixed(2)} on DynamoDB`,
      );
    }
  } finally {
    await Promise.all(members.map(({ engine }) => engine.stop()));
    await rm(dir, { recursive: true, force: true });
  }
}

async function startMembers(dir: string, count: number): Promise<Member[]> {
  const ports = await freePorts(count);
  const initialCluster = Object.fromEntries(ports.map((port, i) => [`n${i}`, `http://127.0.0.1:${port}`]));
  const options: EmbeddedOptions = {
    env: {},
    logger: { log: () => {} },
    ...(count === 1 ? {} : { initialCluster, peerSecret: "a-secret-of-the-bench" }),
  };
  return await Promise.all(
    ports.map(async (_, i): Promise<Member> => {
      const store = new CountingStore(memoryObjectStore(new ObjectBucket()));
      const storage = await openObjectStorage({ store, clock: nodeClock, random: nodeRandom });
      const name = count === 1 ? {} : { name: `n${i}` };
      const engine = await EmbeddedEngine.start(join(dir, `n${i}`), { ...options, ...name, storage });
      return { engine, store };
    }),
  );
}

async function pass(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

await main();
