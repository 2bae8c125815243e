import { describe, expect, it } from "vitest";
import { loadEmbeddedConfig, loadServerConfig } from "../../../src/runtimes/node/config/load-config.ts";
import type { ServerConfig } from "../../../src/runtimes/node/config/server-config.ts";
import { describeStorage } from "../../../src/runtimes/node/storage/describe-storage.ts";
import { namespaceOf } from "../../../src/runtimes/node/storage/namespace.ts";

const ACCOUNT = "0123456789abcdef0123456789abcdef";

function load(args: readonly string[], env: Record<string, string> = {}): ServerConfig {
  const loaded = loadServerConfig(args, env);
  if (loaded === null) throw new Error("help was asked for");
  return loaded.config;
}

const storageOf = (url: string): ServerConfig["storage"] => load([`--storage=${url}`]).storage;

function refusal(...args: string[]): string {
  try {
    load(args);
  } catch (error) {
    return (error as Error).message;
  }
  return "not refused";
}

describe("a storage URL", () => {
  it("is the data directory unless another is given", () => {
    expect(load([])).toMatchObject({
      storage: { type: "sqlite", dir: "default.d-engine" },
      storageMeta: null,
    });
    expect(load(["--data-dir=/var/lib/n1"]).storage).toEqual({ type: "sqlite", dir: "/var/lib/n1" });
    expect(load([], { D_ENGINE_STORAGE: "memory:" }).storage).toEqual({ type: "memory" });
    expect(loadEmbeddedConfig({ dataDir: "x", storage: "s3://b" }, {}).config.storage).toMatchObject({
      type: "s3",
    });
  });

  it.each([
    ["sqlite:./data", { type: "sqlite", dir: "./data" }],
    ["sqlite:/var/lib/what?is=this", { type: "sqlite", dir: "/var/lib/what?is=this" }],
    ["memory:", { type: "memory" }],
    ["s3://bucket", { type: "s3", container: "bucket", prefix: "" }],
    ["s3://bucket/", { type: "s3", container: "bucket", prefix: "" }],
    ["gs://bucket/prod/eu/", { type: "gs", container: "bucket", prefix: "prod/eu" }],
    [
      "s3://bucket/p?region=eu-west-1&endpoint=http://127.0.0.1:9000&lingerMs=100",
      {
        type: "s3",
        container: "bucket",
        prefix: "p",
        region: "eu-west-1",
        endpoint: "http://127.0.0.1:9000",
        lingerMs: 100,
      },
    ],
    [`r2://bucket/p?account=${ACCOUNT}`, { type: "r2", container: "bucket", prefix: "p", account: ACCOUNT }],
    [
      "dynamodb://My_Table.1/p?shards=16&createTable=true&lingerMs=0",
      { type: "dynamodb", container: "My_Table.1", prefix: "p", shards: 16, createTable: true, lingerMs: 0 },
    ],
  ])("%s", (url, expected) => {
    expect(storageOf(url)).toEqual(expected);
  });

  it.each([
    ["", "must not be empty|must be sqlite:DIR"],
    ["./data", "must be sqlite:DIR"],
    ["postgres://x", "there is no storage of the kind postgres"],
    ["S3://bucket", "must be sqlite:DIR"],
    ["sqlite:", "must be followed by a directory"],
    ["memory:x", "memory: has nothing after it"],
    ["s3:bucket", "is not of the form s3://NAME/PREFIX"],
    ["s3://", "is not of the form"],
    ["s3:///prefix", "is not of the form"],
    ["s3://b/p#x", "is not of the form"],
    ["s3://b/p q", "between single slashes"],
    ["s3://b/a//b", "between single slashes"],
    ["s3://b/?shards=3", 's3: has no option "shards"; it has region, endpoint, lingerMs'],
    ["s3://b/?regoin=x", "did you mean region"],
    ["s3://b/?region=a&region=b", "region is given twice"],
    ["s3://b/?region=", "region needs a value"],
    ["s3://b/?lingerMs=1.5", "lingerMs must be a whole number from 0 to 10000"],
    ["s3://b/?lingerMs=99999", "lingerMs must be a whole number from 0 to 10000"],
    ["s3://b/?endpoint=ftp://x", "endpoint must be an http(s) URL".replace(/[()]/g, "\\$&")],
    ["dynamodb://t/?createTable=yes", "createTable must be true or false"],
    ["dynamodb://t/?shards=65", "shards must be a whole number from 1 to 64"],
    ["r2://b/", "r2: needs account=ID"],
    ["r2://b/?account=me", "32 hexadecimal digits"],
  ])("is refused as %j", (url, told) => {
    expect(refusal("--storage", url === "" ? " " : url)).toMatch(new RegExp(told));
  });

  it("holds no credentials, and no message repeats them", () => {
    for (const url of ["s3://AKIA:hunter2@bucket/p", "s3://b/?endpoint=https://me:hunter2@host"]) {
      expect(refusal(`--storage=${url}`)).toMatch(/--storage must hold no credentials/);
      expect(refusal(`--storage=${url}`)).not.toContain("hunter2");
    }
  });

  it("may be another for the metadata, but not the same", () => {
    expect(load(["--storage=s3://b/p", "--storage-meta=dynamodb://t/p"])).toMatchObject({
      storage: { type: "s3" },
      storageMeta: { type: "dynamodb" },
    });
    expect(refusal("--storage=s3://b/p", "--storage-meta=s3://b/p/")).toMatch(/names the place of --storage/);
    expect(refusal("--data-dir=x", "--storage-meta=sqlite:x")).toMatch(/names the place of --storage/);
    expect(() => loadEmbeddedConfig({ dataDir: "x", storageMeta: "nonsense" }, {})).toThrow(
      /option storageMeta/,
    );
  });
});

describe("the place of a node in a store that others reach too", () => {
  const place = (initialClusterToken: string, groupId: string, name: string): string =>
    namespaceOf({ initialClusterToken, groupId, name });

  it("is its own", () => {
    expect(place("prod", "default", "n1")).toBe("prod/default/n1");
    const places = [
      place("a", "b", "c"),
      place("a/b", "b", "c"),
      place("a", "b/c", "c"),
      place("a=2fb", "b", "c"),
      place("é", "b", "c"),
      place("..", "b", "c"),
      place(".", "b", "c"),
    ];
    expect(new Set(places).size).toBe(places.length);
    for (const each of places) expect(each).toMatch(/^[\w.=-]+\/[\w.=-]+\/[\w.=-]+$/);
    for (const each of places) expect(each.split("/")).not.toContain("..");
  });

  it("is named where the node says where its log is", () => {
    const config = load(["--name=n1", "--storage=s3://b/p?region=x", "--storage-meta=sqlite:./meta"]);
    expect(describeStorage(config)).toBe("s3://b/p/d-engine-cluster/default/n1 with its metadata in ./meta");
    expect(describeStorage(load(["--data-dir=x"]))).toBe("x");
  });
});
