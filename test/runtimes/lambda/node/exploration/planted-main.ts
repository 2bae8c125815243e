// Plants each bug and runs seeds until it is found. Arguments: --only NAMES, --seeds N.

import { execFile } from "node:child_process";
import { parseArgs } from "node:util";
import { PLANTED } from "./planted.ts";

const { values } = parseArgs({
  options: { only: { type: "string" }, seeds: { type: "string", default: "2000" } },
});
const only = values.only?.split(",");
const chosen = PLANTED.filter(({ name }) => only?.includes(name) ?? true);
if (chosen.length === 0) throw new Error(`no such planted bug: ${values.only}`);
const main = new URL("./main.ts", import.meta.url).pathname;

/** The line that says what was found; null when nothing was. */
function hunt(name: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, "--plant", name, "--seeds", values.seeds], (_error, stdout) => {
      resolve(stdout.startsWith("seed ") ? stdout.split("\n")[0]! : null);
    });
  });
}

let missed = 0;
for (const { name } of chosen) {
  const found = await hunt(name);
  if (found === null) missed++;
  console.log(`${name.padEnd(32)} ${(found ?? "NOT FOUND").slice(0, 160)}`);
}
console.log(`${chosen.length - missed} of ${chosen.length} planted bugs found`);
process.exitCode = missed === 0 ? 0 : 1;
