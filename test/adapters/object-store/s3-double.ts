import { createHash } from "node:crypto";
import { type DoubleReply, type DoubleRequest, ProtocolDouble } from "./protocol-double.ts";

export const S3_DOUBLE_BUCKET = "engine";

/**
 * One bucket that knows what the dialect asks of S3, and S3's ways of refusing it.
 *
 * @param ignored a header that it takes no notice of, as some servers do.
 */
export function startS3Double(ignored?: "if-match" | "if-none-match"): Promise<ProtocolDouble> {
  const objects = new Map<string, Buffer>();
  return ProtocolDouble.start((request) => {
    if (ignored !== undefined) delete request.headers[ignored];
    const [, bucket = "", ...rest] = request.url.pathname.split("/");
    if (bucket !== S3_DOUBLE_BUCKET) {
      return s3Error(404, "NoSuchBucket", "The specified bucket does not exist");
    }
    const key = decodeURIComponent(rest.join("/"));
    if (key === "") return ofBucket(objects, request);
    const found = objects.get(key);
    switch (request.method) {
      case "GET":
        return found === undefined
          ? s3Error(404, "NoSuchKey", "The specified key does not exist.")
          : { status: 200, headers: { etag: etagOf(found) }, body: found };
      case "PUT":
        return put(objects, key, found, request);
      case "DELETE":
        objects.delete(key);
        return { status: 204 };
      default:
        return s3Error(405, "MethodNotAllowed", request.method);
    }
  });
}

export function s3Error(status: number, code: string, message: string, more = ""): DoubleReply {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`;
  return { status, headers: { "content-type": "application/xml" }, body };
}

function put(
  objects: Map<string, Buffer>,
  key: string,
  found: Buffer | undefined,
  { headers, body }: DoubleRequest,
): DoubleReply {
  const match = headers["if-match"];
  if (headers["if-none-match"] === "*" && found !== undefined) return failedCondition();
  if (match !== undefined && found === undefined)
    return s3Error(404, "NoSuchKey", "There is nothing to match");
  if (match !== undefined && found !== undefined && match !== etagOf(found)) return failedCondition();
  objects.set(key, body);
  return { status: 200, headers: { etag: etagOf(body) } };
}

function failedCondition(): DoubleReply {
  return s3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
}

function ofBucket(objects: Map<string, Buffer>, { method, url, body }: DoubleRequest): DoubleReply {
  if (method === "POST" && url.searchParams.has("delete")) {
    for (const [, key = ""] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) objects.delete(key);
    return xml("<DeleteResult/>");
  }
  const prefix = url.searchParams.get("prefix") ?? "";
  const startAfter = url.searchParams.get("start-after") ?? "";
  const limit = Number(url.searchParams.get("max-keys"));
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > startAfter).toSorted();
  const lines = keys.slice(0, limit).map((key) => {
    const size = objects.get(key)?.length ?? 0;
    return `<Contents><Key>${key}</Key><Size>${size}</Size></Contents>`;
  });
  return xml(
    `<ListBucketResult><IsTruncated>${keys.length > limit}</IsTruncated>${lines.join("")}</ListBucketResult>`,
  );
}

function xml(content: string): DoubleReply {
  const body = `<?xml version="1.0" encoding="UTF-8"?>${content}`;
  return { status: 200, headers: { "content-type": "application/xml" }, body };
}

function etagOf(body: Uint8Array): string {
  return `"${createHash("md5").update(body).digest("hex")}"`;
}
