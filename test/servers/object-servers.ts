// Servers of other people that speak the protocols of object stores: each on a free loopback port with a directory of
// its own, from a program on the PATH. `go install` brings them; .ci/suites/storage-*.sh say which versions.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { until } from "../blackbox/support/waiting.ts";
import { freePorts } from "../runtimes/node/free-ports.ts";

export interface ObjectServer {
  readonly name: string;
  readonly endpoint: string;
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

export const S3_CREDENTIALS = { accessKeyId: "local", secretAccessKey: "local-secret" };

/** A server to be started. */
export interface Program {
  readonly name: string;
  readonly args: (address: string, dir: string) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Answers something, no matter what, once it serves. */
  readonly readyPath: string;
}

/** https://github.com/versity/versitygw: files are objects; Apache 2.0. */
export const VERSITYGW: Program = {
  name: "versitygw",
  args: (address, dir) => ["--quiet", "--keep-alive", "--port", address, "posix", dir],
  env: { ROOT_ACCESS_KEY: S3_CREDENTIALS.accessKeyId, ROOT_SECRET_KEY: S3_CREDENTIALS.secretAccessKey },
  readyPath: "/",
};

/** https://github.com/minio/minio: AGPL 3. */
export const MINIO: Program = {
  name: "minio",
  args: (address, dir) => [
    "server",
    "--quiet",
    "--address",
    address,
    "--console-address",
    "127.0.0.1:0",
    dir,
  ],
  env: {
    MINIO_ROOT_USER: S3_CREDENTIALS.accessKeyId,
    MINIO_ROOT_PASSWORD: S3_CREDENTIALS.secretAccessKey,
    MINIO_BROWSER: "off",
    // Without it MinIO takes a signature for any region, and there is no wrong one.
    MINIO_REGION: "us-east-1",
  },
  readyPath: "/minio/health/ready",
};

/** https://github.com/fsouza/fake-gcs-server: BSD 2-clause. Objects in memory, where its conditions are atomic. */
export const FAKE_GCS: Program = {
  name: "fake-gcs-server",
  args: (address) => ["-backend", "memory", ...fakeGcsAt(address)],
  env: {},
  readyPath: "/storage/v1/b?project=local",
};

/** The same with files, which it finds by their names: in memory it looks through all objects for each request. */
export const FAKE_GCS_ON_DISK: Program = {
  ...FAKE_GCS,
  args: (address, dir) => ["-backend", "filesystem", "-filesystem-root", dir, ...fakeGcsAt(address)],
};

function fakeGcsAt(address: string): readonly string[] {
  const [host = "", port = ""] = address.split(":");
  return ["-log-level", "error", "-scheme", "http", "-host", host, "-port", port, "-public-host", address];
}

export async function startObjectServer({ name, args, env, readyPath }: Program): Promise<ObjectServer> {
  const [port] = await freePorts(1);
  const dir = await mkdtemp(join(tmpdir(), "d-engine-objects-"));
  const endpoint = `http://127.0.0.1:${port}`;
  const child = spawn(name, args(`127.0.0.1:${port}`, dir), {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  const stop = async (): Promise<void> => {
    await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await once(child, "spawn");
    await until(20, `${name} to serve`, async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${said}`);
      return await fetch(endpoint + readyPath).then(
        ({ status }) => status !== 503,
        () => false,
      );
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, endpoint, pid: child.pid, stop };
}

async function end(child: ChildProcess): Promise<void> {
  // One that was never started has neither.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await exited;
  clearTimeout(timer);
}

/** A client for a server started here; whoever made it destroys it. */
export function localS3Client(endpoint: string): S3Client {
  return new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: S3_CREDENTIALS });
}

export async function createS3Bucket(client: S3Client, bucket: string): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
}

export async function createGcsBucket(endpoint: string, bucket: string): Promise<void> {
  const response = await fetch(`${endpoint}/storage/v1/b?project=local`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: bucket }),
  });
  if (!response.ok) throw new Error(`${bucket} could not be created: ${await response.text()}`);
}
