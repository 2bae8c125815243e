import { readFileSync, writeFileSync } from "node:fs";

/** Flips a bit at an offset of a file, or in the one place where these bytes stand. */
export function flipBytes(path: string, at: number | Uint8Array): void {
  const content = readFileSync(path);
  const offset = typeof at === "number" ? at : content.indexOf(at);
  if (offset < 0 || offset >= content.length) throw new Error(`nothing to flip in ${path}`);
  content[offset]! ^= 0x10;
  writeFileSync(path, content);
}
