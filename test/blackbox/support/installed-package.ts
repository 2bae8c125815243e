import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execute } from "./command.ts";
import type { Run } from "./program.ts";

export const REPOSITORY: string = fileURLToPath(new URL("../../..", import.meta.url));

/** An empty project with nothing but this package in it, installed from its tarball by npm. */
export async function installedPackage(run: Run, dir: string): Promise<void> {
  await npm(REPOSITORY, "pack", "--pack-destination", dir);
  const tarball = readdirSync(dir).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack made no tarball");
  writeFileSync(
    join(dir, "package.json"),
    JSON.stringify({ name: "project", private: true, type: "module" }),
  );
  await npm(dir, "install", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`);
  if (!existsSync(join(dir, "node_modules/d-engine/package.json"))) throw new Error("npm installed nothing");
  run.observe(`${tarball} was installed into an empty project`);
}

async function npm(cwd: string, ...args: readonly string[]): Promise<void> {
  const { exitCode, stderr, stdout } = await execute("npm", args, { cwd, timeoutMs: 120_000 });
  if (exitCode !== 0) throw new Error(`npm ${args.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
}
