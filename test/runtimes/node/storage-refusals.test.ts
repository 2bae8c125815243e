// What an engine says of storage that it must not use, or cannot: what is wrong, what mends it, and nothing is written.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "../../../src/runtimes/node/index.ts";
import { DynamoDbDouble } from "../../adapters/dynamodb/dynamodb-double.ts";
import { gcsError, startGcsDouble } from "../../adapters/object-store/gcs-double.ts";
import type { DoubleReply, ProtocolDouble } from "../../adapters/object-store/protocol-double.ts";
import { s3Error, startS3Double } from "../../adapters/object-store/s3-double.ts";
import { freePorts } from "./free-ports.ts";

beforeEach(() => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
});
afterEach(() => void vi.unstubAllEnvs());

const SILENT = { log: () => {} };
const begin = (storage: string, options: EmbeddedOptions = {}): Promise<EmbeddedEngine> =>
  EmbeddedEngine.start("unused", { env: {}, logger: SILENT, storage, ...options });

/** What it says instead of starting. */
async function refusal(storage: string, options: EmbeddedOptions = {}): Promise<string> {
  const problem: unknown = await begin(storage, options).then(
    async (engine) => {
      await engine.stop();
      return "it started";
    },
    (error: unknown) => error,
  );
  return problem instanceof EngineError ? `${problem.code}: ${problem.message}` : String(problem);
}

/** A server of objects, and how it is named. */
interface Objects {
  readonly start: () => Promise<ProtocolDouble>;
  readonly url: (endpoint: string) => string;
  /** What is wrong, what the server answers then, and what the engine must say. */
  readonly wrongs: readonly (readonly [string, DoubleReply, RegExp])[];
}

const S3: Objects = {
  start: () => startS3Double(),
  url: (endpoint) => `s3://engine/refusals?region=us-east-1&endpoint=${endpoint}`,
  wrongs: [
    [
      "no such bucket",
      s3Error(404, "NoSuchBucket", "The specified bucket does not exist"),
      /s3:\/\/engine\/refusals.*no bucket engine.*create it/,
    ],
    [
      "the wrong region",
      s3Error(400, "AuthorizationHeaderMalformed", "wrong", "<Region>eu-central-1</Region>"),
      /set the region.*eu-central-1|the region eu-central-1/,
    ],
    ["no permission", s3Error(403, "AccessDenied", "Access Denied"), /s3:ListBucket.*s3:PutObject/],
    [
      "a clock that is wrong",
      s3Error(403, "RequestTimeTooSkewed", "The difference is too large"),
      /clock is wrong: set it/,
    ],
  ],
};

const GCS: Objects = {
  start: startGcsDouble,
  url: (endpoint) => `gs://engine/refusals?endpoint=${endpoint}`,
  wrongs: [
    [
      "no such bucket",
      gcsError(404, "notFound", "The specified bucket does not exist."),
      /gs:\/\/engine\/refusals.*no bucket engine.*create it/,
    ],
    [
      "no permission",
      gcsError(403, "forbidden", "x does not have storage.objects.list access"),
      /grant the role.*roles\/storage.objectUser/,
    ],
    ["no credentials", gcsError(401, "required", "Anonymous caller"), /credentials.*renew them/],
  ],
};

describe.each([
  ["S3", S3],
  ["GCS", GCS],
])("an engine with %s as its storage", (_, { start, url, wrongs }) => {
  let double: ProtocolDouble;
  beforeAll(async () => {
    double = await start();
  });
  afterAll(() => double.stop());

  it.each(wrongs)("does not start with %s", async (_name, reply, told) => {
    const methods: string[] = [];
    double.fault = ({ method }) => {
      methods.push(method);
      return { type: "reply", reply };
    };
    const said = await refusal(url(double.endpoint));
    double.fault = () => null;
    expect(said).toMatch(/^storageFailed: /);
    expect(said).toMatch(told);
    // Whatever it was allowed to do afterwards, it had not even asked to write.
    expect(methods.filter((method) => method !== "GET")).toEqual([]);
  });

  it("does not take what belongs to another cluster", async () => {
    const storage = url(double.endpoint);
    const engine = await begin(storage);
    await engine.waitReady(30_000);
    await engine.client().put("k", "v");
    await engine.stop();
    const changes: string[] = [];
    double.fault = ({ method, url: { pathname } }) => {
      if (method !== "GET") changes.push(`${method} ${pathname}`);
      return null;
    };
    // The same place and name, and other founders: so another cluster.
    const peerUrl = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    const other = await refusal(storage, {
      initialCluster: `default=${peerUrl}`,
      listenPeerUrls: peerUrl,
    });
    expect(other).toMatch(
      /^storageForeign: .*\/\/engine\/refusals.* belongs to .* in cluster .*drop --initial-cluster/,
    );
    expect(changes).toEqual([]);
    double.fault = () => null;
    const again = await begin(storage);
    await again.waitReady(30_000);
    expect(await again.client().getText("k")).toBe("v");
    await again.stop();
  });
});

describe("an engine with DynamoDB as its storage", () => {
  let double: DynamoDbDouble;
  beforeAll(async () => {
    double = await DynamoDbDouble.start();
  });
  afterAll(() => double.stop());

  it.each<[string, string, string, RegExp]>([
    [
      "no such table, or the wrong region",
      "ResourceNotFoundException",
      "Requested resource not found",
      /no table "engine" in region us-east-1.*Is the region right\? .*createTable/,
    ],
    ["no permission", "AccessDeniedException", "not authorized", /allow these credentials dynamodb:GetItem/],
    [
      "a key that another region knows",
      "UnrecognizedClientException",
      "The security token is invalid",
      /check the access key and the region/,
    ],
    [
      "a clock that is wrong",
      "InvalidSignatureException",
      "Signature expired: 20261122T000000Z is now earlier than",
      /clock of this machine is wrong: set it/,
    ],
  ])("does not start with %s", async (_name, name, message, told) => {
    double.requests.length = 0;
    double.fault = () => ({ status: 400, name, message });
    const said = await refusal(`dynamodb://engine/refusals?region=us-east-1&endpoint=${double.endpoint}`);
    double.fault = () => null;
    expect(said).toMatch(/^storageFailed: /);
    expect(said).toMatch(told);
    const asked = new Set(double.requests.map(({ operation }) => operation));
    expect(asked).toEqual(new Set(["GetItem"]));
  });
});
