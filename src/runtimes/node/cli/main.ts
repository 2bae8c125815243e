#!/usr/bin/env node
import { run } from "./run.ts";
import { processTerminal } from "./terminal.ts";

// A log that nobody reads any more is no reason to stop a server.
process.stderr.on("error", () => undefined);
process.exitCode = await run(process.argv.slice(2), processTerminal);
// What a stopped server may have left behind, an idle connection or a timer, must not keep the process.
if (process.argv[2] === "serve") process.exit();
