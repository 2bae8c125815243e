// The servers to measure on: those whose programs are on the PATH, or that somebody has started.

import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { dynamoDbObjectStore } from "../../src/adapters/dynamodb/index.ts";
import { gcsObjectStore } from "../../src/adapters/gcs/index.ts";
import type { ObjectStore } from "../../src/adapters/object-store/index.ts";
import { s3ObjectStore } from "../../src/adapters/s3/index.ts";
import { localClient } from "../../test/adapters/dynamodb/local-client.ts";
import { R2_BUCKET, R2_CREDENTIALS, startLocalR2 } from "../../test/adapters/object-store/miniflare-r2.ts";
import {
  createGcsBucket,
  createS3Bucket,
  FAKE_GCS,
  localS3Client,
  MINIO,
  type Program,
  startObjectServer,
  VERSITYGW,
} from "../../test/servers/object-servers.ts";
import { DYNAMODB, GCS, type Prices, R2, S3 } from "./prices.ts";

const BUCKET = "engine";

/** A server that runs. */
export interface Place {
  open(prefix: string): Promise<ObjectStore>;
  /** Seconds that the server has computed; null when that is not known. */
  cpuSeconds(): number | null;
  stop(): Promise<void>;
}

export interface PlaceToBe {
  readonly name: string;
  readonly prices: Prices;
  /** Why it cannot be measured here; null when it can. */
  readonly lacks: string | null;
  readonly start: () => Promise<Place>;
}

/** @param fakeGcs which of the two ways to run it. */
export function places(fakeGcs: Program = FAKE_GCS): PlaceToBe[] {
  const dynamoDb = process.env["DYNAMODB_ENDPOINT"];
  return [
    ...[VERSITYGW, MINIO].map((program) => ({
      name: `s3, on ${program.name}`,
      prices: S3,
      lacks: missing(program.name),
      start: () => startS3(program),
    })),
    { name: "s3, on R2 in miniflare", prices: R2, lacks: null, start: startR2 },
    {
      name: `gcs, on ${FAKE_GCS.name}`,
      prices: GCS,
      lacks: missing(FAKE_GCS.name),
      start: () => startGcs(fakeGcs),
    },
    {
      name: "dynamodb, on DynamoDB Local",
      prices: DYNAMODB,
      lacks: dynamoDb === undefined ? "DYNAMODB_ENDPOINT is not set" : null,
      start: () => openDynamoDb(dynamoDb ?? ""),
    },
  ];
}

async function startS3(program: typeof VERSITYGW): Promise<Place> {
  const server = await startObjectServer(program);
  const client = localS3Client(server.endpoint);
  await createS3Bucket(client, BUCKET);
  return s3Place(client, BUCKET, server);
}

async function startR2(): Promise<Place> {
  const server = await startLocalR2();
  const credentials = R2_CREDENTIALS;
  const { endpoint } = server;
  const client = new S3Client({ endpoint, region: "auto", forcePathStyle: true, credentials });
  return s3Place(client, R2_BUCKET, server);
}

function s3Place(client: S3Client, bucket: string, server: RunningServer): Place {
  return {
    open: (prefix) => s3ObjectStore({ bucket, prefix, client }),
    cpuSeconds: () => cpuSecondsOf(server.pid),
    stop: async () => {
      client.destroy();
      await server.stop();
    },
  };
}

async function startGcs(program: Program): Promise<Place> {
  const server = await startObjectServer(program);
  const { endpoint } = server;
  await createGcsBucket(endpoint, BUCKET);
  return {
    open: (prefix) => gcsObjectStore({ bucket: BUCKET, prefix, endpoint }),
    cpuSeconds: () => cpuSecondsOf(server.pid),
    stop: () => server.stop(),
  };
}

async function openDynamoDb(endpoint: string): Promise<Place> {
  const client = localClient(endpoint);
  const table = `engine-bench-${process.pid}`;
  return {
    open: (prefix) => dynamoDbObjectStore({ table, prefix, client, createTable: true }),
    cpuSeconds: () => null,
    stop: async () => client.destroy(),
  };
}

interface RunningServer {
  readonly pid?: number | undefined;
  stop(): Promise<void>;
}

/** As Linux counts it, in hundredths of a second. */
function cpuSecondsOf(pid: number | undefined): number | null {
  if (pid === undefined || process.platform !== "linux") return null;
  // Behind the program's name, which may have blanks and parentheses of its own.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function missing(program: string): string | null {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? null : `there is no ${program} on the PATH`;
}
