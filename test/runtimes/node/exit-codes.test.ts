import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { EXIT_CODE_HELP, ExitCode } from "../../../src/runtimes/node/cli/exit-codes.ts";

it("exit statuses are told by --help, and by the README in the same words", () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const told = new Map(
    [...EXIT_CODE_HELP.matchAll(/^ {2}(\d+) {2}(.*)$/gm)].map(([, code, text]) => [Number(code), text!]),
  );
  expect([...told.keys()]).toEqual(Object.values(ExitCode));
  for (const [code, text] of told) expect(readme).toContain(`\n| ${code} | ${text} |\n`);
});
