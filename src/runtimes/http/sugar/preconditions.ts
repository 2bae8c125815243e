import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import type { Compare, Revision } from "../../../core/kv/index.ts";
import { errorReply } from "../errors.ts";

/** What `If-Match` and `If-None-Match` ask of a key before it is written; null for nothing. */
export function precondition(headers: Headers, key: Uint8Array): Compare | null {
  const match = headers.get("If-Match");
  const noneMatch = headers.get("If-None-Match");
  if (match !== null && noneMatch !== null) throw invalid("If-Match and If-None-Match exclude each other");
  if (match !== null) return mustMatch(match, key);
  if (noneMatch === null) return null;
  if (noneMatch !== "*") throw invalid("If-None-Match: only * makes sense for a write");
  return { key, result: "equal", target: "create", createRevision: 0 };
}

function mustMatch(match: string, key: Uint8Array): Compare {
  if (match === "*") return { key, result: "greater", target: "create", createRevision: 0 };
  return { key, result: "equal", target: "mod", modRevision: revisionOf(match) };
}

/** A revision as an ETag (`"7"`) or bare; 0 stands for a key that does not exist. */
function revisionOf(tag: string): Revision {
  const digits = /^(?:"([0-9]{1,16})"|([0-9]{1,16}))$/.exec(tag);
  const revision = Number(digits?.[1] ?? digits?.[2]);
  if (!Number.isSafeInteger(revision)) throw invalid('If-Match: not * or a revision, as in "7"');
  return revision;
}

/** Whether a reader already has this version, by its `If-None-Match`. */
export function alreadyHas(headers: Headers, revision: Revision): boolean {
  const tags = headers.get("If-None-Match");
  if (tags === null) return false;
  return tags
    .split(",")
    .some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag(revision));
}

export function etag(revision: Revision): string {
  return `"${revision}"`;
}

/** 412. The key's present state comes as an ETag, so that the client can decide at once what to do. */
export function preconditionFailed(present: Revision | null): Response {
  return errorReply({
    message:
      present === null ? "d-engine: the key does not exist" : `d-engine: the key is at revision ${present}`,
    code: GrpcCode.failedPrecondition,
    reason: "preconditionFailed",
    status: 412,
    ...(present === null ? {} : { headers: { ETag: etag(present) } }),
  });
}

function invalid(detail: string): EngineError {
  return new EngineError("invalidArgument", { detail });
}
