// The function in front of a node: from a cold start to the first answer, reads from its memory, what each read and
// write asks of the store, and what a month of a million reads a day costs.
//
//     npm run bench:lambda
//
// The bundled file runs in fresh processes of this machine, against a node and a bucket (a few lines that speak S3's
// protocol) on loopback: times are those of the code. A request to S3 takes some 20 ms more, one to DynamoDB some 5,
// and the platform's own part of a cold start comes on top. Requests are counted, and those are what is billed.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildFunction } from "../../lambda/build.ts";
import type { ProtocolDouble } from "../../test/adapters/object-store/protocol-double.ts";
import { startS3Double } from "../../test/adapters/object-store/s3-double.ts";
import { AWS_ENV, type Group, startGroup } from "../../test/runtimes/lambda/group.ts";
import { DYNAMODB, S3 } from "../storage/prices.ts";
import type { Told } from "./invoked.ts";

const KEYS = 10_000;
const VALUE = "x".repeat(256);
const COLD_STARTS = 5;
const WARM_READS = 5000;
const WRITES = 200;
const INVOKED = fileURLToPath(new URL("invoked.ts", import.meta.url));
const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));

/** US dollars, list prices of autumn 2026 on arm64 (us-east-1 and the like), without what is free. */
const OF_MILLION_INVOCATIONS = 0.2;
const OF_GIGABYTE_SECOND = 0.0000133334;
const GIGABYTES = 1;
const READS_A_DAY = 1e6;
const DAYS = 365.25 / 12;
/** A copy is compared with the store once in so long, where reads never end; as it is unless somebody says otherwise. */
const MAX_AGE_SECONDS = 1;

interface Requests {
  readonly gets: number;
  readonly lists: number;
  readonly puts: number;
}

async function main(): Promise<void> {
  Object.assign(process.env, AWS_ENV);
  await mkdir(DIST, { recursive: true });
  const dir = await mkdtemp(join(DIST, "bench-lambda-"));
  const bucket = await startS3Double();
  const counts = { gets: 0, lists: 0, puts: 0 };
  bucket.fault = ({ method, url }) => {
    if (method === "GET") counts[url.searchParams.has("list-type") ? "lists" : "gets"]++;
    else if (method === "PUT") counts.puts++;
    return null;
  };
  const group = await startGroup(1, bucket.endpoint);
  try {
    const { file, fileBytes, zipBytes } = await buildFunction(dir);
    fact("the function's one file", fileBytes / 1024, "KiB");
    fact("its zip", zipBytes / 1024, "KiB");
    await fill(group);
    const warm = await benchReads(file, group, counts);
    await benchRequests(file, group, bucket, counts);
    printPrices(warm);
  } finally {
    await group.stop();
    await bucket.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill(group: Group): Promise<void> {
  const client = group.members[0]!.client();
  for (let i = 0; i < KEYS; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => client.put(`k${i + j}`, VALUE)));
  }
}

/** Milliseconds of a warm read, the middle one. */
async function benchReads(file: string, group: Group, counts: Requests): Promise<number> {
  console.log(
    `\nA fresh process, ${KEYS.toLocaleString("en")} keys of ${VALUE.length} bytes in the node's store`,
  );
  const cold: (Told & { readonly wholeMs: number; readonly requests: Requests })[] = [];
  for (let i = 0; i < COLD_STARTS; i++) {
    const before = { ...counts };
    const began = performance.now();
    const told = await invoked(file, group, "/kv/k7?consistency=eventual", 0);
    cold.push({ ...told, wholeMs: performance.now() - began, requests: since(before, counts) });
  }
  const { requests } = cold[0]!;
  fact("to load the file", median(cold.map(({ loadMs }) => loadMs)), "ms");
  fact("and then to the first eventual answer", median(cold.map(({ firstMs }) => firstMs)), "ms");
  fact(
    "the whole process, Node's own start and end included",
    median(cold.map(({ wholeMs }) => wholeMs)),
    "ms",
  );
  fact("requests to the store for that: reads", requests.gets, "");
  fact("requests to the store for that: listings", requests.lists, "");

  console.log("\nWarm");
  const { roundsMs } = await invoked(file, group, "/kv/k7?consistency=eventual", WARM_READS, "60000");
  fact("an eventual read from memory, event to answer", median(roundsMs), "ms");
  fact("99 of 100 are answered within", quantile(roundsMs, 0.99), "ms");
  const checked = await invoked(file, group, "/kv/k7?consistency=eventual", WRITES, "0");
  fact("an eventual read that looks into the store first", median(checked.roundsMs), "ms");
  const passed = await invoked(file, group, "/kv/k7", WRITES);
  fact("a linearizable read, by way of the node", median(passed.roundsMs), "ms");
  return median(roundsMs);
}

async function benchRequests(
  file: string,
  group: Group,
  bucket: ProtocolDouble,
  counts: Requests,
): Promise<void> {
  console.log("\nRequests to the store (a node's own look after every 64 writes is among them)");
  const rounds = 100;
  const one = await counted(bucket, counts, () => invoked(file, group, "/kv/k7?consistency=eventual", 0));
  const per = async (name: string, target: string, maxAge: string): Promise<void> => {
    const many = await counted(bucket, counts, () => invoked(file, group, target, rounds, maxAge));
    const extra = {
      gets: (many.gets - (target.includes("eventual") ? one.gets : 0)) / rounds,
      lists: (many.lists - (target.includes("eventual") ? one.lists : 0)) / rounds,
    };
    fact(`${name}: reads`, extra.gets, "");
    fact(`${name}: listings`, extra.lists, "");
  };
  await per("an eventual read from memory", "/kv/k7?consistency=eventual", "60000");
  await per("an eventual read that finds nothing new", "/kv/k7?consistency=eventual", "0");
  await per("a linearizable read, alone, by way of the node", "/kv/k7", "0");
  const client = group.members[0]!.client();
  const writes = await counted(bucket, counts, async () => {
    for (let i = 0; i < WRITES; i++) await client.put("w", VALUE);
  });
  fact("a write, alone: puts", writes.puts / WRITES, "");
}

function printPrices(warmMs: number): void {
  const reads = READS_A_DAY * DAYS;
  const invocations = (reads / 1e6) * OF_MILLION_INVOCATIONS;
  // A millisecond is the least that is billed.
  const time = reads * (Math.max(1, Math.ceil(warmMs)) / 1000) * GIGABYTES * OF_GIGABYTE_SECOND;
  const looks = (DAYS * 86_400) / MAX_AGE_SECONDS;
  console.log("\nA month of a million reads a day, without what is free, traffic and the node itself");
  fact("invocations", invocations, "$");
  fact(`their time, at ${GIGABYTES} GB`, time, "$");
  for (const { name, ofMillion } of [S3, DYNAMODB]) {
    // Two small reads; of DynamoDB's, which are strongly consistent, each takes a unit.
    const price = (ofMillion.gets ?? ofMillion.readUnits ?? 0) / 1e6;
    fact(`${name}, looked into once a second by each process that never rests`, looks * 2 * price, "$");
    fact(`${name}, looked into for every read (D_ENGINE_MAX_AGE=0)`, reads * 2 * price, "$");
  }
}

async function invoked(
  file: string,
  group: Group,
  target: string,
  rounds: number,
  maxAge = "0",
): Promise<Told> {
  const env = { ...process.env, ...group.env, D_ENGINE_MAX_AGE: maxAge };
  const { stdout } = await promisify(execFile)(process.execPath, [INVOKED, file, target, String(rounds)], {
    env,
    maxBuffer: 16 << 20,
  });
  return JSON.parse(stdout) as Told;
}

async function counted(
  bucket: ProtocolDouble,
  counts: Requests,
  act: () => Promise<unknown>,
): Promise<Requests> {
  for (let before = -1; before !== bucket.requests;) {
    before = bucket.requests;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const before = { ...counts };
  await act();
  return since(before, counts);
}

function since(before: Requests, now: Requests): Requests {
  return { gets: now.gets - before.gets, lists: now.lists - before.lists, puts: now.puts - before.puts };
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function fact(name: string, value: number, unit: string): void {
  const shown = value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 1 });
  console.log(`  ${name.padEnd(74)}${shown.padStart(10)} ${unit}`);
}

await main();
process.exit(0);
