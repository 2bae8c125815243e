import { describe, expect, it } from "vitest";
import { clientToken } from "../../../src/runtimes/lambda/client-token.ts";
import { type Env, frontConfig } from "../../../src/runtimes/lambda/front-config.ts";

const ENDPOINTS = { D_ENGINE_ENDPOINTS: "http://10.0.0.1:2379, https://n2.example.com" };

function refusal(env: Env): string {
  try {
    frontConfig(env);
  } catch (error) {
    return (error as Error).message;
  }
  return "not refused";
}

describe("what a function in front of nodes is told", () => {
  it("has safe choices where nothing is said", () => {
    expect(frontConfig(ENDPOINTS)).toEqual({
      endpoints: ["http://10.0.0.1:2379", "https://n2.example.com"],
      store: null,
      token: { token: null, secretId: null },
      maxAgeMs: 1000,
      maxStateBytes: 512 << 20,
      maxRequestBytes: 1.5 * (1 << 20),
      streaming: false,
      logLevel: "info",
    });
  });

  it("finds the node's store by the names that the node has it by, and takes half of the memory", () => {
    const config = frontConfig({
      D_ENGINE_STORAGE: "s3://bucket/prod?region=eu-central-1",
      ETCD_NAME: "n1",
      D_ENGINE_GROUP: "orders",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
    });
    expect(config.store?.prefix).toBe("prod/d-engine-cluster/orders/n1");
    expect(config.maxStateBytes).toBe(128 << 20);
  });

  it.each<[Env, string]>([
    [{}, "D_ENGINE_ENDPOINTS: the client URLs of the nodes are needed, or D_ENGINE_STORAGE"],
    [{ D_ENGINE_ENDPOINTS: "n1:2379" }, "D_ENGINE_ENDPOINTS must be http or https URLs"],
    [{ D_ENGINE_ENDPOINTS: "http://user:secret@n1:2379" }, "without a path or credentials"],
    [{ D_ENGINE_ENDPOINTS: "http://n1:2379/v3" }, "without a path or credentials"],
    [{ ...ENDPOINTS, D_ENGINE_STORAGE: "sqlite:./data" }, "no disk of another machine"],
    [{ ...ENDPOINTS, D_ENGINE_STORAGE: "s3://bucket" }, "ETCD_NAME: the name of the node"],
    [{ ...ENDPOINTS, D_ENGINE_STORAGE: "ftp://bucket" }, "there is no storage of the kind ftp"],
    [
      { ...ENDPOINTS, D_ENGINE_MAX_AGE: "1s" },
      'D_ENGINE_MAX_AGE must be a whole number from 0 to 3600000, not "1s"',
    ],
    [{ ...ENDPOINTS, D_ENGINE_STREAMING: "yes" }, "D_ENGINE_STREAMING must be one of true, false"],
    [{ ...ENDPOINTS, ETCD_LOG_LEVEL: "loud" }, "ETCD_LOG_LEVEL must be one of"],
  ])("refuses %j", (env, expected) => {
    const told = refusal(env);
    expect(told).toContain(expected);
    expect(told).not.toContain("secret@");
  });

  it.each([
    ["short", "D_ENGINE_CLIENT_TOKEN: at least 16 characters are needed, 5 are given"],
    ["with spaces in between them", "only printable ASCII without spaces"],
  ])("refuses the token %j", async (token, expected) => {
    await expect(clientToken({ token, secretId: null })).rejects.toThrow(expected);
  });

  it("says how a token is given, and that a secret cannot be read", async () => {
    await expect(clientToken({ token: null, secretId: null })).rejects.toThrow(
      "D_ENGINE_CLIENT_TOKEN_SECRET",
    );
    const denied = {
      SecretsManagerClient: class {
        send(): Promise<never> {
          return Promise.reject(Object.assign(new Error("x"), { name: "AccessDeniedException" }));
        }
      },
      GetSecretValueCommand: class {},
    };
    await expect(clientToken({ token: null, secretId: "s" }, () => Promise.resolve(denied))).rejects.toThrow(
      "the store does not answer: the secret s cannot be read: AccessDeniedException",
    );
  });
});
