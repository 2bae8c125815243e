import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { freePorts } from "./runtimes/node/free-ports.ts";

const EXAMPLES = fileURLToPath(new URL("../examples", import.meta.url));

/** What each example prints, which is also what its comments say. */
const PRINTED: Readonly<Record<string, readonly string[]>> = {
  "quick-start.ts": ["hello", "true", "false", "good evening", "2 tasks at revision 5", "true"],
  "one-to-three.ts": ["3 members, 3 voters", "one member / two of three"],
  "service-discovery.ts": ["mail-1", "mail-1 mail-2", "mail-1", "10.0.0.1"],
  "leader-election.ts": ["true", "null"],
  "fenced-lock.ts": ["true", "true", "true", "false", "false", "leaseLost", "by Ben / Ben's page"],
  "custom-state-machine.ts": ["true", "false", "ann", "ann"],
  "custom-storage.ts": ["true true"],
};

describe("examples", () => {
  it.each(Object.entries(PRINTED))(
    "%s",
    async (file, lines) => {
      const cwd = await mkdtemp(join(tmpdir(), "d-engine-example-"));
      onTestFinished(() => rm(cwd, { recursive: true, force: true }));
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        [join(EXAMPLES, file), ...(await freePorts(3)).map(String)],
        { cwd, env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1" }, timeout: 60_000 },
      );
      expect({ stdout: stdout.trimEnd().split("\n"), stderr }).toMatchObject({ stdout: lines });
    },
    60_000,
  );

  it("are all run here", async () => {
    const files = (await readdir(EXAMPLES)).filter((name) => name.endsWith(".ts"));
    expect(new Set(files)).toEqual(new Set(Object.keys(PRINTED)));
  });
});
