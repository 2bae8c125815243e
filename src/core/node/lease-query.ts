import { ByteReader, ByteWriter } from "../bytes/index.ts";

/*
 * What members ask the leader about leases, and its answers.
 *
 *   question  version u8 = 1, kind u8 (1 renew, 2 look), lease id i64
 *   answer    version u8 = 1, found u8, and if it is: ttlMs, remainingMs
 */

const VERSION = 1;
const KINDS = ["renew", "look"] as const;

export interface LeaseQuestion {
  readonly kind: (typeof KINDS)[number];
  readonly id: bigint;
}

/** Null: there is no such lease. */
export type LeaseAnswer = { readonly ttlMs: number; readonly remainingMs: number } | null;

export function encodeLeaseQuestion({ kind, id }: LeaseQuestion): Uint8Array {
  return new ByteWriter(16)
    .u8(VERSION)
    .u8(KINDS.indexOf(kind) + 1)
    .u64(id)
    .finish();
}

/** @throws EngineError `malformed`. */
export function decodeLeaseQuestion(bytes: Uint8Array): LeaseQuestion {
  const reader = open(bytes);
  const tag = reader.u8();
  const kind = KINDS[tag - 1] ?? reader.fail(`${tag} is no kind of question`);
  const id = reader.i64();
  reader.end();
  return { kind, id };
}

export function encodeLeaseAnswer(answer: LeaseAnswer): Uint8Array {
  const writer = new ByteWriter(32).u8(VERSION).bool(answer !== null);
  if (answer !== null) writer.uint(answer.ttlMs).uint(answer.remainingMs);
  return writer.finish();
}

/** @throws EngineError `malformed`. */
export function decodeLeaseAnswer(bytes: Uint8Array): LeaseAnswer {
  const reader = open(bytes);
  const answer = reader.bool() ? { ttlMs: reader.uint(), remainingMs: reader.uint() } : null;
  reader.end();
  return answer;
}

function open(bytes: Uint8Array): ByteReader {
  const reader = new ByteReader(bytes, "lease query");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`unknown version ${version}`);
  return reader;
}
