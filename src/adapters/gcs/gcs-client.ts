import { EngineError } from "../../core/errors/index.ts";
import { GcsCredentialsError, GcsError } from "./gcs-errors.ts";
import type { GcsClientLike, GcsObjectStoreOptions } from "./options.ts";

/** An error's JSON is a few hundred bytes; the rest of whatever else comes is of no interest. */
const MAX_ERROR_CHARACTERS = 2000;

/** Loads the SDK, which is installed only where it is used, for credentials and endpoint. */
export async function makeGcsClient({ endpoint }: GcsObjectStoreOptions): Promise<GcsClientLike> {
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new EngineError("invalidConfig", {
      detail: `endpoint: ${JSON.stringify(endpoint)} is no http(s) URL`,
    });
  }
  let sdk: typeof import("@google-cloud/storage");
  try {
    sdk = await import("@google-cloud/storage");
  } catch (cause) {
    throw new EngineError("invalidConfig", {
      detail:
        "storage on GCS needs the package @google-cloud/storage: npm install @google-cloud/storage, " +
        "and for a function on AWS Lambda: npm run build:lambda -- --gcs",
      cause,
    });
  }
  return new sdk.Storage(endpoint === undefined ? {} : { apiEndpoint: endpoint });
}

export interface GcsRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** With query, after the endpoint. */
  readonly path: string;
  readonly contentType?: string;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/**
 * Makes one request of the JSON API with the SDK's credentials. Not by way of the SDK's own methods, since these cannot
 * be given up, and switch their repetitions off and on in a field that all calls share. Rejects with
 * {@link GcsError} unless the status is a success.
 */
export async function gcsFetch(
  client: GcsClientLike,
  { method, path, contentType, body }: GcsRequest,
  signal: AbortSignal,
): Promise<Response> {
  const url = `${client.apiEndpoint.replace(/\/+$/, "")}${path}`;
  const headers = await authorization(client, url);
  if (contentType !== undefined) headers.set("content-type", contentType);
  // What were compressed on the way would have another length than its header says.
  headers.set("accept-encoding", "identity");
  const response = await fetch(url, {
    method,
    headers,
    signal,
    // A write goes to where it was sent, or nowhere.
    redirect: method === "GET" ? "follow" : "error",
    ...(body === undefined ? {} : { body }),
  });
  if (response.ok) return response;
  throw await errorOf(response);
}

async function authorization(client: GcsClientLike, url: string): Promise<Headers> {
  if (client.customEndpoint === true && client.useAuthWithCustomEndpoint !== true) return new Headers();
  try {
    return new Headers(await client.authClient.getRequestHeaders(url));
  } catch (error) {
    throw new GcsCredentialsError(error);
  }
}

async function errorOf(response: Response): Promise<GcsError> {
  const text = (await response.text()).slice(0, MAX_ERROR_CHARACTERS);
  try {
    const { error } = JSON.parse(text) as {
      readonly error?: {
        readonly message?: unknown;
        readonly errors?: readonly { readonly reason?: unknown }[];
      };
    };
    const reason = error?.errors?.[0]?.reason;
    const message = typeof error?.message === "string" ? error.message : "";
    return new GcsError(response.status, typeof reason === "string" ? reason : "", message);
  } catch {
    // Media downloads fail in plain text.
    return new GcsError(response.status, "", text.trim());
  }
}
