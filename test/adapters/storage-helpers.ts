import { EngineError } from "../../src/core/errors/index.ts";
import { crc32, equalBytes } from "../../src/core/bytes/index.ts";
import type { CommandEntry, Entry } from "../../src/core/raft/index.ts";

/** An entry whose bytes tell its index and term, so that one in another's place is noticed. */
export function command(index: number, term: number, bytes = 20): CommandEntry {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = (index * 7 + term * 13 + i) & 0xff;
  return { kind: "command", index, term, data };
}

export function commands(from: number, count: number, term: number): CommandEntry[] {
  return Array.from({ length: count }, (_, i) => command(from + i, term));
}

/** Bytes of which no two blocks are alike. */
export function patternBytes(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + (i >>> 16) * 3 + seed) & 0xff;
  return bytes;
}

/** Entries in a form that can be compared without looking at every byte in turn; data as length and checksum. */
export function summary(entries: readonly Entry[]): unknown[] {
  return entries.map((entry) =>
    entry.kind === "command" ? { ...entry, data: `${entry.data.length} bytes, ${crc32(entry.data)}` } : entry,
  );
}

export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  if (!equalBytes(actual, expected)) {
    throw new Error(`${actual.length} bytes differ from the ${expected.length} expected`);
  }
}

/** The code with which it was refused; anything else than an EngineError is not an answer. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  return "not refused";
}

/** Everything that comes, in one piece. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
