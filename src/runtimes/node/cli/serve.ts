import { EngineError } from "../../../core/errors/index.ts";
import type { KvEngine, Logger } from "../../../core/node/index.ts";
import { loadServerConfig } from "../config/load-config.ts";
import { SECTIONS, SETTINGS, UNSUPPORTED } from "../config/settings.ts";
import { startKvHost } from "../kv-host.ts";
import type { NodeHost } from "../node-host.ts";
import { nodeLogger } from "../node-logger.ts";
import { describeStorage } from "../storage/describe-storage.ts";
import { ExitCode } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";

/** Runs a server until it is told to stop, or has to. Null when help was asked for. */
export async function serve(args: readonly string[], { env }: Terminal): Promise<ExitCode | null> {
  const loaded = loadServerConfig(args, env);
  if (loaded === null) return null;
  const { config, warnings } = loaded;
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const logger = nodeLogger({ level: config.logLevel, format });
  for (const warning of warnings) logger.log("warn", warning);
  let host: NodeHost<KvEngine>;
  try {
    host = await startKvHost({ config, logger, replaceGlobals: true });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    logger.log("error", "the server did not start", { problem: error.message });
    return exitCodeOf(error);
  }
  return untilStopped(host, logger);
}

/**
 * Waits for a signal or a failure. The first SIGTERM or SIGINT stops gracefully, a second one at once. A node whose
 * disk failed or whose invariant broke must not go on: the process ends, and whoever supervises it decides.
 */
async function untilStopped(host: NodeHost<KvEngine>, logger: Logger): Promise<ExitCode> {
  let signalled = false;
  const failed = new Promise<ExitCode>((resolve) => {
    host.onFailure((error) => {
      const exitCode = exitCodeOf(error);
      if (exitCode === ExitCode.fenced)
        logger.log("error", FENCED, { storage: describeStorage(host.config) });
      resolve(exitCode);
    });
  });
  const told = new Promise<ExitCode>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (signalled) process.exit(128 + (signal === "SIGTERM" ? 15 : 2));
        signalled = true;
        logger.log("info", "stopping; a second signal stops at once", { signal });
        resolve(ExitCode.ok);
      });
    }
  });
  const exitCode = await Promise.race([failed, told]);
  // Why the engine failed it has said itself; what else goes wrong on the way out does not change the verdict.
  await host.stop().catch((error: unknown) => logger.log("error", "stopping failed", { error }));
  return exitCode;
}

const FENCED =
  "another process has taken over this member's storage, so this one ends, and has acknowledged nothing since";

function exitCodeOf(error: unknown): ExitCode {
  const code = error instanceof EngineError ? error.code : null;
  if (code === "fenced") return ExitCode.fenced;
  return code === "invalidConfig" ? ExitCode.usage : ExitCode.failed;
}

/** Generated from the table of settings, so that it cannot miss one. */
export function serveHelp(): string {
  const lines = [
    "d-engine serve [flags]",
    "",
    "Runs one member of a cluster. With no flags: a cluster of one, on loopback.",
    "",
  ];
  for (const section of SECTIONS) {
    lines.push(section);
    for (const { name, kind, help, default: byDefault, env, section: home } of SETTINGS.values()) {
      if (home !== section) continue;
      const flag = kind === "switch" ? `--${name}` : `--${name} <${PLACEHOLDERS[kind]}>`;
      const shown = byDefault === undefined ? "" : ` (default ${byDefault})`;
      lines.push(`  ${flag.padEnd(40)} ${help}${shown}`, `  ${"".padEnd(40)} ${env}`);
    }
    lines.push("");
  }
  lines.push(
    "  --config-file <file>                     JSON object of the settings above, by flag name",
    "",
    "A flag wins over the environment, and that over the configuration file.",
    `Flags of etcd's that are not supported yet: ${[...UNSUPPORTED.keys()].map((name) => `--${name}`).join(", ")}`,
    "",
  );
  return lines.join("\n");
}

const PLACEHOLDERS = { text: "text", urls: "urls", number: "n", file: "path" } as const;
