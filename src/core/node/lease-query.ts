import { ByteReader, ByteWriter } from "../bytes/index.ts";
import { assert } from "../errors/index.ts";
import { ANONYMOUS, type AuthErrorCode, type Caller, readCaller, writeCaller } from "../kv/index.ts";

/*
 * What members ask the leader about leases, and its answers.
 *
 *   question  version u8 = 2, kind u8 (1 renew, 2 look), lease id i64, isSomebody u8, [caller: see auth-codec.ts]
 *   answer    version u8 = 2, kind u8 (0 no such lease, 1 alive, 2... refused), and if it is alive: ttlMs, remainingMs
 */

const VERSION = 2;
const KINDS = ["renew", "look"] as const;
const GONE = 0;
const ALIVE = 1;
const FIRST_REFUSAL = 2;
/** Of callers who are nobody. The order is part of the format. */
const REFUSALS: readonly AuthErrorCode[] = ["userEmpty", "authOldRevision"];

export interface LeaseQuestion {
  readonly kind: (typeof KINDS)[number];
  readonly id: bigint;
  /** On whose behalf. */
  readonly caller: Caller;
}

/** Null: there is no such lease. */
export type LeaseAnswer =
  | { readonly ttlMs: number; readonly remainingMs: number }
  | { readonly refused: AuthErrorCode }
  | null;

export function encodeLeaseQuestion({ kind, id, caller }: LeaseQuestion): Uint8Array {
  const writer = new ByteWriter(32)
    .u8(VERSION)
    .u8(KINDS.indexOf(kind) + 1)
    .u64(id)
    .bool(caller.type !== "anonymous");
  if (caller.type !== "anonymous") writeCaller(writer, caller);
  return writer.finish();
}

/** @throws EngineError `malformed`. */
export function decodeLeaseQuestion(bytes: Uint8Array): LeaseQuestion {
  const reader = open(bytes);
  const tag = reader.u8();
  const kind = KINDS[tag - 1] ?? reader.fail(`${tag} is no kind of question`);
  const id = reader.i64();
  const caller = reader.bool() ? readCaller(reader) : ANONYMOUS;
  reader.end();
  return { kind, id, caller };
}

export function encodeLeaseAnswer(answer: LeaseAnswer): Uint8Array {
  const writer = new ByteWriter(32).u8(VERSION);
  if (answer === null) writer.u8(GONE);
  else if ("refused" in answer) {
    const index = REFUSALS.indexOf(answer.refused);
    assert(index >= 0, "a caller is refused for what is no reason");
    writer.u8(FIRST_REFUSAL + index);
  } else writer.u8(ALIVE).uint(answer.ttlMs).uint(answer.remainingMs);
  return writer.finish();
}

/** @throws EngineError `malformed`. */
export function decodeLeaseAnswer(bytes: Uint8Array): LeaseAnswer {
  const reader = open(bytes);
  const answer = readAnswer(reader, reader.u8());
  reader.end();
  return answer;
}

function readAnswer(reader: ByteReader, kind: number): LeaseAnswer {
  if (kind === GONE) return null;
  if (kind === ALIVE) return { ttlMs: reader.uint(), remainingMs: reader.uint() };
  return { refused: REFUSALS[kind - FIRST_REFUSAL] ?? reader.fail(`${kind} is no kind of answer`) };
}

function open(bytes: Uint8Array): ByteReader {
  const reader = new ByteReader(bytes, "lease query");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`unknown version ${version}`);
  return reader;
}
