import { execFile } from "node:child_process";
import { parseArgs } from "node:util";

/**
 * Plants each bug and has an explorer run seeds until it is found; prints what came of each, and fails the process if
 * one was missed. The command line's arguments: --only NAMES, --seeds N.
 *
 * @param explorer takes `--plant NAME --seeds N`, and prints a line that begins with `seed ` when it has found something.
 * @param defaultSeeds how many it runs at the most for each, unless told otherwise.
 */
export async function huntPlanted(
  planted: readonly { readonly name: string }[],
  explorer: URL,
  defaultSeeds: number,
): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: "string" }, seeds: { type: "string", default: `${defaultSeeds}` } },
  });
  const only = values.only?.split(",");
  const chosen = planted.filter(({ name }) => only?.includes(name) ?? true);
  if (chosen.length === 0) throw new Error(`no such planted bug: ${values.only}`);
  let missed = 0;
  for (const { name } of chosen) {
    const found = await hunt(explorer.pathname, name, values.seeds);
    if (found === null) missed++;
    console.log(`${name.padEnd(32)} ${(found ?? "NOT FOUND").slice(0, 160)}`);
  }
  console.log(`${chosen.length - missed} of ${chosen.length} planted bugs found`);
  process.exitCode = missed === 0 ? 0 : 1;
}

/** The line that says what was found; null when nothing was. */
function hunt(explorer: string, name: string, seeds: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(process.execPath, [explorer, "--plant", name, "--seeds", seeds], (_error, stdout) => {
      resolve(stdout.startsWith("seed ") ? stdout.split("\n")[0]! : null);
    });
  });
}
