import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Taken before anything is looked at, and so made where there was none. Always empty. */
const LOCK = "lock";

/** Every file below a directory, with a hash of what is in it. */
export function contents(dir: string): string {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .sort((a, b) => (a < b ? -1 : 1))
    .filter(
      (name) =>
        statSync(join(dir, name)).isFile() && !(name === LOCK && statSync(join(dir, name)).size === 0),
    )
    .map(
      (name) =>
        `${name} ${createHash("sha256")
          .update(readFileSync(join(dir, name)))
          .digest("hex")}`,
    )
    .join("\n");
}
