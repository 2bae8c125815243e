import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFunction } from "../../../lambda/build.ts";
import type { Run } from "../support/program.ts";
import type { FunctionOptions } from "./function-host.ts";

/**
 * The bundle, as it is deployed, and what runs it: `--ric=DIR`, where aws-lambda-ric is installed, or else a small runtime
 * of ours; `--emulator=FILE`, AWS's Runtime Interface Emulator, or else a Runtime API of ours.
 */
export async function deploy(
  run: Run,
  dir: string,
  settings: Pick<FunctionOptions, "handler" | "env" | "timeoutMs">,
): Promise<FunctionOptions> {
  const task = join(dir, "task");
  await mkdir(task);
  const ofGoogle = settings.env["D_ENGINE_STORAGE"]?.startsWith("gs:") === true;
  await buildFunction(task, { gcs: ofGoogle });
  // On Lambda AWS's SDK is beside the runtime, and no other.
  const modules = fileURLToPath(new URL("../../../node_modules", import.meta.url));
  await mkdir(join(task, "node_modules"));
  for (const scope of ["@aws-sdk", "@smithy", "@aws-crypto"]) {
    await symlink(join(modules, scope), join(task, "node_modules", scope));
  }
  const ric = run.option("ric");
  const own = fileURLToPath(new URL("small-runtime.ts", import.meta.url));
  const runtime = ric === undefined ? own : join(ric, "node_modules/aws-lambda-ric/index.mjs");
  const emulator = run.option("emulator") ?? null;
  run.observe(
    `${ric === undefined ? "a runtime of our own" : "AWS's aws-lambda-ric"}, ` +
      `${emulator === null ? "on a Runtime API of our own" : "on AWS's Runtime Interface Emulator"}`,
  );
  return {
    runtime: [process.execPath, runtime],
    emulator,
    dir: task,
    logFile: join(dir, "function.log"),
    ...settings,
  };
}
