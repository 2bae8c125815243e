// What is deployed: the bundled file, the zip, the template and what it allows.

import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { unzipSync } from "fflate";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BuiltFunction, buildFunction } from "../../../lambda/build.ts";
import { dynamoDbObjectStore } from "../../../src/adapters/dynamodb/index.ts";
import { s3ObjectStore } from "../../../src/adapters/s3/index.ts";
import { clientToken } from "../../../src/runtimes/lambda/client-token.ts";
import { frontHandler, type LambdaHandler } from "../../../src/runtimes/lambda/index.ts";
import type { DoubleRequest } from "../../adapters/object-store/protocol-double.ts";
import { GCS_DOUBLE_BUCKET, startGcsDouble } from "../../adapters/object-store/gcs-double.ts";
import { S3_DOUBLE_BUCKET, startS3Double } from "../../adapters/object-store/s3-double.ts";
import { AWS_ENV, startGroup } from "./group.ts";
import { invoke, TOKEN, urlEvent } from "./invocation.ts";
import { parsePlainYaml, type Plain } from "./plain-yaml.ts";

let dir: string;
let built: BuiltFunction;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  // Where the SDK is found, as in Lambda's runtime it is.
  const dist = join(import.meta.dirname, "../../../dist");
  await mkdir(dist, { recursive: true });
  dir = await mkdtemp(join(dist, "lambda-test-"));
  built = await buildFunction(dir);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

describe("the bundled function", () => {
  it("is one file in a zip, and the same bytes each time", async () => {
    const zip = await readFile(built.zip);
    const files = unzipSync(zip);
    expect(Object.keys(files)).toEqual(["index.mjs"]);
    expect(Buffer.from(files["index.mjs"]!).equals(await readFile(built.file))).toBe(true);
    const elsewhere = await mkdtemp(join(tmpdir(), "d-engine-lambda-"));
    const again = await buildFunction(elsewhere);
    expect(zip.equals(await readFile(again.zip))).toBe(true);
    await rm(elsewhere, { recursive: true });
    // No SDK has come along.
    expect(built.fileBytes).toBeLessThan(1_000_000);
  });

  it("is larger by Google's SDK when it is to have it, and then needs nothing beside it", async () => {
    const server = await startGcsDouble();
    const elsewhere = await mkdtemp(join(tmpdir(), "d-engine-lambda-"));
    const withSdk = await buildFunction(elsewhere, { gcs: true });
    expect(withSdk.fileBytes).toBeGreaterThan(built.fileBytes + 100_000);
    const event = (method: string): string =>
      JSON.stringify(urlEvent("/kv/a", { method, headers: { authorization: `Bearer ${TOKEN}` } }));
    const script = `
      const { node } = await import(${JSON.stringify(pathToFileURL(withSdk.file).href)});
      const context = { getRemainingTimeInMillis: () => 10000 };
      const answers = [await node(${event("PUT")}, context), await node(${event("GET")}, context)];
      console.log(JSON.stringify(answers.map(({ statusCode }) => statusCode)));
      process.exit(0);`;
    const env = {
      D_ENGINE_STORAGE: `gs://${GCS_DOUBLE_BUCKET}/p?endpoint=${server.endpoint}`,
      D_ENGINE_CLIENT_TOKEN: TOKEN,
      ETCD_NAME: "n1",
      ETCD_LOG_LEVEL: "error",
    };
    const args = ["--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, cwd: elsewhere });
    expect(stdout).toContain("[200,200]");
    await rm(elsewhere, { recursive: true });
    await server.stop();
  });

  it("answers an event in a process of its own, from the store and from a node", async () => {
    const bucket = await startS3Double();
    const group = await startGroup(1, bucket.endpoint);
    await group.members[0]!.client().put("a", "1");
    const event = (query: string): string =>
      JSON.stringify({
        version: "2.0",
        rawPath: "/kv/a",
        rawQueryString: query,
        headers: { host: "h", authorization: `Bearer ${TOKEN}` },
        requestContext: { domainName: "h", http: { method: "GET" } },
        isBase64Encoded: false,
      });
    const script = `
      const { handler } = await import(${JSON.stringify(pathToFileURL(built.file).href)});
      const context = { getRemainingTimeInMillis: () => 10000 };
      const answers = [await handler(${event("consistency=eventual")}, context), await handler(${event("")}, context)];
      console.log(JSON.stringify(answers.map(({ statusCode, body }) => [statusCode, Buffer.from(body, "base64").toString()])));
      process.exit(0);`;
    const env = { ...process.env, ...group.env };
    const args = ["--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    expect(JSON.parse(stdout)).toEqual([
      [200, "1"],
      [200, "1"],
    ]);
    await group.stop();
    await bucket.stop();
  });
});

const templateOf = async (name: string): Promise<Plain> =>
  parsePlainYaml(await readFile(new URL(`../../../lambda/${name}`, import.meta.url), "utf8"));
const template = await templateOf("template.yaml");
const alone = await templateOf("alone.yaml");

/** What stands there, by its path. */
function at(path: string, within: Plain = template): Plain {
  let found: Plain = within;
  for (const key of path.split(".")) {
    found = (found as Readonly<Record<string, Plain>>)[key] ?? "";
  }
  return found;
}

/** Every action that is allowed there, of one service. */
function actionsIn(path: string, service: string, within: Plain = template): string[] {
  const found = JSON.stringify(at(path, within)).match(new RegExp(`(?<="|,)${service}:[A-Za-z]+(?=")`, "g"));
  return [...new Set(found)].toSorted();
}

describe("the template", () => {
  it("is what it is taken for", () => {
    expect(at("Transform")).toBe("AWS::Serverless-2016-10-31");
    expect(at("Resources.Front.Properties")).toMatchObject({
      CodeUri: "../dist/lambda/function.zip",
      Handler: "index.handler",
      FunctionUrlConfig: { AuthType: "NONE" },
    });
    // A secret stands nowhere in it, but a reference.
    expect(at("Resources.Front.Properties.Environment.Variables")).toHaveProperty(
      "D_ENGINE_CLIENT_TOKEN_SECRET",
    );
    expect(at("Resources.Node.Properties", alone)).toMatchObject({
      CodeUri: "../dist/lambda/function.zip",
      Handler: "index.node",
      Environment: { Variables: { D_ENGINE_CLIENT_TOKEN_SECRET: { Ref: "TokenSecret" } } },
    });
    expect(JSON.stringify([template, alone])).not.toContain('D_ENGINE_CLIENT_TOKEN"');
  });

  it("refers to nothing that is not there", () => {
    const known = new Set([
      ...Object.keys(at("Parameters") as object),
      ...Object.keys(at("Resources") as object),
      "AWS::NoValue",
      // SAM makes it for the function's URL.
      "FrontUrl",
    ]);
    const text = JSON.stringify(template);
    const names = [
      ...[...text.matchAll(/"Ref":"([^"]+)"/g)].map((match) => match[1]!),
      ...[...text.matchAll(/"Fn::GetAtt":\["([^"]+)"/g)].map((match) => match[1]!),
      ...[...text.matchAll(/\$\{(\w+)(?:\.\w+)?\}/g)].map((match) => match[1]!),
    ];
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    const conditions = [...text.matchAll(/"(?:Fn::If":\[|Condition":)"(\w+)"/g)].map((match) => match[1]!);
    expect(conditions.filter((name) => !Object.hasOwn(at("Conditions") as object, name))).toEqual([]);
  });

  it("allows what the function and the node do with a bucket, and no more", async () => {
    const seen = new Set<string>();
    const bucket = await startS3Double();
    bucket.fault = (request) => (seen.add(s3Action(request)), null);
    const group = await startGroup(1, bucket.endpoint, { prefix: "p" });
    await group.members[0]!.client().put("a", "1");
    await group.stop();
    // What the node does once it has taken a snapshot.
    const store = await s3ObjectStore({ bucket: S3_DOUBLE_BUCKET, endpoint: bucket.endpoint });
    await store.delete(["p/remains"]);
    expect([...seen].toSorted()).toEqual(actionsIn("Resources.NodeBucketPolicy", "s3"));
    seen.clear();
    const front: LambdaHandler = frontHandler(group.env);
    expect((await invoke(front, "/kv/a?consistency=eventual")).text).toBe("1");
    expect([...seen].toSorted()).toEqual(actionsIn("Resources.Front", "s3"));
    await bucket.stop();
  });

  it("allows what the function and the node do with a table, and no more", async () => {
    const sent: string[] = [];
    const client = {
      config: { region: () => Promise.resolve("eu-central-1"), maxAttempts: () => Promise.resolve(1) },
      send: (command: object) => {
        sent.push(`dynamodb:${command.constructor.name.replace(/Command$/, "")}`);
        const isShape = JSON.stringify(command).includes('"shape"');
        return Promise.resolve(isShape ? { Item: { format: { N: "1" }, shards: { N: "1" } } } : {});
      },
    } as unknown as DynamoDBClient;
    const actions = (): string[] => [...new Set(sent)].toSorted();
    const store = await dynamoDbObjectStore({ table: "table", client, readOnly: true });
    await store.get("a");
    await store.list("a");
    expect(actions()).toEqual(actionsIn("Resources.Front", "dynamodb"));
    await store.putIfAbsent("a", new Uint8Array(1));
    await store.putIfMatch("a", new Uint8Array(1), "v");
    await store.delete(["a"]);
    expect(actions()).toEqual(actionsIn("Resources.NodeTablePolicy", "dynamodb"));
    expect(actions()).toEqual(actionsIn("Resources.Node", "dynamodb", alone));
  });

  it("allows what the token's secret takes", async () => {
    class GetSecretValueCommand {
      readonly input: object;
      constructor(input: object) {
        this.input = input;
      }
    }
    const asked: object[] = [];
    class SecretsManagerClient {
      send(command: unknown): Promise<{ readonly SecretString: string }> {
        asked.push(command as object);
        return Promise.resolve({ SecretString: `${TOKEN}\n` });
      }
    }
    const source = { token: null, secretId: "arn:of-a-secret" };
    const sdk = { SecretsManagerClient, GetSecretValueCommand };
    expect(await clientToken(source, () => Promise.resolve(sdk))).toBe(TOKEN);
    expect(asked).toEqual([new GetSecretValueCommand({ SecretId: "arn:of-a-secret" })]);
    for (const actions of [
      actionsIn("Resources.Front", "secretsmanager"),
      actionsIn("Resources.Node", "secretsmanager", alone),
    ]) {
      expect(actions).toEqual(["secretsmanager:GetSecretValue"]);
    }
  });
});

/** What a request needs to be allowed (Service Authorization Reference, Amazon S3). */
function s3Action({ method, url }: DoubleRequest): string {
  const isBucket = url.pathname.split("/").length <= 3 && url.pathname.split("/")[2] === "";
  if (method === "GET")
    return isBucket || url.searchParams.has("list-type") ? "s3:ListBucket" : "s3:GetObject";
  return method === "PUT" ? "s3:PutObject" : "s3:DeleteObject";
}
