import { EngineError } from "../../core/errors/index.ts";

/** Below this a secret could be guessed; as for every other runtime. */
const MIN_SECRET_LENGTH = 16;

/** Of `@aws-sdk/client-secrets-manager`, which Lambda's Node runtimes have on board; nothing else of it is used. */
export interface SecretsSdk {
  readonly SecretsManagerClient: new (config: object) => {
    send(command: unknown): Promise<{ readonly SecretString?: string }>;
  };
  readonly GetSecretValueCommand: new (input: { readonly SecretId: string }) => unknown;
}

export interface ClientTokenSource {
  /** As it is; null: it is elsewhere. */
  readonly token: string | null;
  /** Name or ARN of the secret that it is. */
  readonly secretId: string | null;
}

/** Not a literal: a bundler leaves it to the runtime, and whoever gives the token itself needs no SDK. */
const SDK: string = "@aws-sdk/client-secrets-manager";

/**
 * The token that clients must present, and that is presented to the nodes.
 *
 * @throws EngineError `invalidConfig`; `storageUnavailable` when the secret cannot be read now.
 */
export async function clientToken(
  { token, secretId }: ClientTokenSource,
  load: () => Promise<SecretsSdk> = async () => (await import(SDK)) as SecretsSdk,
): Promise<string> {
  if (token !== null) return checked(token, "D_ENGINE_CLIENT_TOKEN");
  if (secretId === null) {
    throw new EngineError("invalidConfig", {
      detail:
        "set D_ENGINE_CLIENT_TOKEN_SECRET to the name of a secret, or D_ENGINE_CLIENT_TOKEN to the token",
    });
  }
  const { SecretsManagerClient, GetSecretValueCommand } = await load();
  let secret: string | undefined;
  try {
    const answer = await new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId: secretId }));
    secret = answer.SecretString;
  } catch (cause) {
    const detail = `the secret ${secretId} cannot be read: ${(cause as Error).name}`;
    throw new EngineError("storageUnavailable", { detail, cause });
  }
  return checked(secret ?? "", `the secret ${secretId}`);
}

/** Nothing of the secret is told. */
function checked(text: string, origin: string): string {
  const token = text.trim();
  if (token.length < MIN_SECRET_LENGTH) {
    const detail = `${origin}: at least ${MIN_SECRET_LENGTH} characters are needed, ${token.length} are given`;
    throw new EngineError("invalidConfig", { detail });
  }
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new EngineError("invalidConfig", {
    detail: `${origin}: only printable ASCII without spaces can be sent in a header`,
  });
}
