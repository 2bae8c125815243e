import { createHash } from "node:crypto";
import { type DoubleReply, type DoubleRequest, ProtocolDouble } from "./protocol-double.ts";

export const GCS_DOUBLE_BUCKET = "engine";

interface Stored {
  readonly body: Buffer;
  readonly generation: string;
}

/** One bucket that knows what the dialect asks of Cloud Storage's JSON API. */
export function startGcsDouble(): Promise<ProtocolDouble> {
  const objects = new Map<string, Stored>();
  let generations = 1_700_000_000_000_000;
  return ProtocolDouble.start((request) => {
    const path = /^\/(?:download\/|(upload\/))?storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(
      request.url.pathname,
    );
    if (path === null) return gcsError(404, "notFound", "Not Found");
    if (path[2] !== GCS_DOUBLE_BUCKET) {
      return gcsError(404, "notFound", "The specified bucket does not exist.");
    }
    if (path[1] !== undefined) return insert(objects, request, () => String(generations++));
    if (path[3] === undefined) return list(objects, request.url.searchParams);
    const key = decodeURIComponent(path[3]);
    const found = objects.get(key);
    if (found === undefined) return { status: 404, body: `No such object: ${GCS_DOUBLE_BUCKET}/${key}` };
    if (request.method === "DELETE") {
      objects.delete(key);
      return { status: 204 };
    }
    const headers = {
      "x-goog-generation": found.generation,
      "x-goog-hash": `crc32c=AAAAAA==,md5=${md5Of(found.body)}`,
    };
    return { status: 200, headers, body: found.body };
  });
}

export function gcsError(status: number, reason: string, message: string): DoubleReply {
  const error = { code: status, message, errors: [{ domain: "global", reason, message }] };
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify({ error }) };
}

function insert(
  objects: Map<string, Stored>,
  { url, headers, body }: DoubleRequest,
  nextGeneration: () => string,
): DoubleReply {
  const boundary = /boundary=(\S+)/.exec(headers["content-type"] ?? "")?.[1] ?? "";
  const metadataAt = body.indexOf("\r\n\r\n") + 4;
  const metadataEnd = body.indexOf(`\r\n--${boundary}`, metadataAt);
  const { name, md5Hash } = JSON.parse(body.toString("utf8", metadataAt, metadataEnd)) as {
    readonly name: string;
    readonly md5Hash: string;
  };
  const content = body.subarray(body.indexOf("\r\n\r\n", metadataEnd) + 4, body.length - boundary.length - 8);
  if (md5Of(content) !== md5Hash) return gcsError(400, "invalid", "Provided MD5 hash does not match");
  const generation = objects.get(name)?.generation ?? "0";
  if (url.searchParams.get("ifGenerationMatch") !== generation) {
    return gcsError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
  }
  const written = { body: Buffer.from(content), generation: nextGeneration() };
  objects.set(name, written);
  return json({ generation: written.generation });
}

function list(objects: Map<string, Stored>, query: URLSearchParams): DoubleReply {
  const prefix = query.get("prefix") ?? "";
  const offset = query.get("startOffset") ?? "";
  const limit = Number(query.get("maxResults"));
  const names = [...objects.keys()].filter((name) => name.startsWith(prefix) && name >= offset).toSorted();
  const items = names
    .slice(0, limit)
    .map((name) => ({ name, size: String(objects.get(name)?.body.length ?? 0) }));
  return json({
    ...(items.length === 0 ? {} : { items }),
    ...(names.length > limit ? { nextPageToken: "more" } : {}),
  });
}

function json(content: unknown): DoubleReply {
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(content) };
}

function md5Of(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}
