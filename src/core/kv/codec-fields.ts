import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import { assert, EngineError } from "../errors/index.ts";

/*
 * What the fields of commands have in common.
 */

export const NOTHING: Uint8Array = new Uint8Array(0);

export function writeKey(writer: ByteWriter, key: Uint8Array): void {
  assert(key.length > 0, "a command without a key is encoded: it was not validated");
  writer.bytes(key);
}

export function readKey(reader: ByteReader): Uint8Array {
  const key = reader.bytes();
  return key.length > 0 ? key : reader.fail("a key is empty");
}

export function readWhole(reader: ByteReader): number {
  const value = reader.f64();
  return Number.isInteger(value) ? value : reader.fail(`${value} is not a whole number`);
}

export function readFlags(flags: number, known: number, reader: ByteReader): number {
  return (flags & ~known) === 0 ? flags : reader.fail(`unknown flags ${flags}`);
}

export function indexIn<T>(names: readonly T[], name: T): number {
  const index = names.indexOf(name);
  if (index < 0) throw new EngineError("invalidArgument", { detail: `unknown name ${String(name)}` });
  return index;
}

export function pick<T>(names: readonly T[], reader: ByteReader, what: string): T {
  const index = reader.u8();
  return names[index] ?? reader.fail(`unknown ${what} ${index}`);
}
