import type { ByteReader, ByteWriter } from "../../bytes/index.ts";
import { assertNever } from "../../errors/index.ts";
import type { ConfChange, ConfChangeStep, Entry } from "../../raft/index.ts";

/**
 * The version of a log entry's bytes, on disk and on the wire. It shares the first byte with the kind, so that a
 * log of small entries does not pay for it: high four bits the version, low four bits the kind.
 */
export const ENTRY_VERSION = 1;

const KIND_COMMAND = 1;
const KIND_NOOP = 2;
const KIND_CONF_CHANGE = 3;

/** Kind, index and term: what the shortest entry takes. Bounds how many entries so many bytes can hold. */
export const MIN_ENTRY_BYTES = 3;

/** An upper bound of what an entry takes beside its data or context: for sizing buffers. */
export const ENTRY_OVERHEAD_BYTES = 24;

/** Entry := version and kind, index, term, and by kind: data | nothing | {@link encodeConfChange}. */
export function encodeEntry(writer: ByteWriter, entry: Entry): void {
  switch (entry.kind) {
    case "command":
      encodePosition(writer, KIND_COMMAND, entry);
      writer.bytes(entry.data);
      return;
    case "noop":
      encodePosition(writer, KIND_NOOP, entry);
      return;
    case "confChange":
      encodePosition(writer, KIND_CONF_CHANGE, entry);
      encodeConfChange(writer, entry.change);
      return;
    default:
      assertNever(entry, "entry");
  }
}

/**
 * Reads one entry. A command's `data` is a view of the reader's bytes: whoever keeps the entry longer than those
 * must have copied them first.
 */
export function decodeEntry(reader: ByteReader): Entry {
  const head = reader.u8();
  const version = head >>> 4;
  if (version !== ENTRY_VERSION) {
    reader.fail(`a log entry has format version ${version}, this build reads version ${ENTRY_VERSION}`);
  }
  const index = reader.uint();
  if (index === 0) reader.fail("a log entry has index 0");
  const term = reader.uint();
  switch (head & 0x0f) {
    case KIND_COMMAND:
      return { kind: "command", index, term, data: reader.bytes() };
    case KIND_NOOP:
      return { kind: "noop", index, term };
    case KIND_CONF_CHANGE:
      return { kind: "confChange", index, term, change: decodeConfChange(reader) };
    default:
      return reader.fail(`${head & 0x0f} is no kind of log entry`);
  }
}

const STEP_TYPES = ["addVoter", "addLearner", "remove"] as const satisfies readonly ConfChangeStep["type"][];
const TRANSITIONS = ["auto", "implicit", "explicit"] as const satisfies readonly ConfChange["transition"][];

/** ConfChange := transition, count of steps, (type, node)*, context. */
export function encodeConfChange(writer: ByteWriter, change: ConfChange): void {
  writer.u8(TRANSITIONS.indexOf(change.transition)).uint(change.steps.length);
  for (const step of change.steps) writer.u8(STEP_TYPES.indexOf(step.type)).u64(step.node);
  writer.bytes(change.context);
}

/** Reads a ConfChange; `context` is a view of the reader's bytes. */
export function decodeConfChange(reader: ByteReader): ConfChange {
  const transitionTag = reader.u8();
  const transition = TRANSITIONS[transitionTag];
  if (transition === undefined) return reader.fail(`${transitionTag} is no transition`);
  const steps: ConfChangeStep[] = [];
  const count = reader.count(9);
  for (let i = 0; i < count; i++) {
    const typeTag = reader.u8();
    const type = STEP_TYPES[typeTag];
    if (type === undefined) return reader.fail(`${typeTag} is no step of a membership change`);
    const node = reader.u64();
    if (node === 0n) reader.fail("a membership change names node 0");
    steps.push({ type, node });
  }
  return { transition, steps, context: reader.bytes() };
}

function encodePosition(writer: ByteWriter, kind: number, entry: Entry): void {
  writer
    .u8((ENTRY_VERSION << 4) | kind)
    .uint(entry.index)
    .uint(entry.term);
}
