import type { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { startEmbeddedGroup } from "../node/embedded-group.ts";
import { freePorts } from "../node/free-ports.ts";
import { S3_DOUBLE_BUCKET } from "../../adapters/object-store/s3-double.ts";
import { TOKEN } from "./invocation.ts";

/** For the SDK, which takes its credentials from the process's environment. */
export const AWS_ENV = {
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "secret",
  AWS_REGION: "us-east-1",
  AWS_EC2_METADATA_DISABLED: "true",
};

export interface Group {
  readonly members: EmbeddedEngine[];
  /** Of clients, in the order of the members. */
  readonly urls: string[];
  /** What the function is told, so that it finds this group's nodes and the store of the first. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Real engines of one group, each with a client door on loopback, and its log in the bucket at `endpoint`. */
export async function startGroup(
  size: number,
  endpoint: string,
  options: { readonly snapshotCount?: number; readonly prefix?: string } = {},
): Promise<Group> {
  const ports = await freePorts(size);
  const storage = `s3://${S3_DOUBLE_BUCKET}/${options.prefix ?? "test"}?endpoint=${endpoint}`;
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const members = await startEmbeddedGroup(size, (i) => ({
    listenClientUrls: urls[i]!,
    clientToken: TOKEN,
    storage,
    ...(options.snapshotCount === undefined ? {} : { snapshotCount: options.snapshotCount }),
  }));
  return {
    members,
    urls,
    env: {
      D_ENGINE_ENDPOINTS: urls.join(","),
      D_ENGINE_CLIENT_TOKEN: TOKEN,
      D_ENGINE_STORAGE: storage,
      D_ENGINE_MAX_AGE: "0",
      ETCD_NAME: "n1",
      ETCD_LOG_LEVEL: "error",
    },
    stop: async () => {
      await Promise.all(members.map((member) => member.stop()));
    },
  };
}
