// Style that neither the compiler nor the linter can keep, kept by reading the repository's own files.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const MAX_SOURCE_LINES = 450;

interface RepositoryFile {
  readonly path: string;
  readonly text: string;
}

/** Tracked files, and those that are about to be: everything that git does not ignore. */
function repositoryFiles(): RepositoryFile[] {
  const root = new URL("..", import.meta.url);
  const listing = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return listing
    .split("\0")
    .filter((path) => path !== "" && existsSync(new URL(path, root)))
    .map((path) => ({ path, text: readFileSync(new URL(path, root), "utf8") }));
}

const files = repositoryFiles();
const sources = files.filter(({ path }) => /^src\/.*\.ts$/.test(path));
const tests = files.filter(({ path }) => /^test\/.*\.ts$/.test(path));

/** "path:line: text" of every line that matches, so that a failure names its place. */
function linesMatching(among: readonly RepositoryFile[], pattern: RegExp): string[] {
  return among.flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

describe("tidy", () => {
  it("reads the repository, so that the rules below cannot pass on nothing", () => {
    expect(sources.length).toBeGreaterThan(0);
    expect(tests.map(({ path }) => path)).toContain("test/tidy.test.ts");
  });

  it(`keeps source files under ${MAX_SOURCE_LINES} lines: past that a file has a second reason to change`, () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > MAX_SOURCE_LINES);
    expect(long).toEqual([]);
  });

  it("names every export: no `export *`", () => {
    expect(linesMatching(sources, /^\s*export\s+\*/)).toEqual([]);
  });

  it("names files in kebab-case, and none of them utils", () => {
    const misnamed = [...sources, ...tests]
      .map(({ path }) => path)
      .filter(
        (path) =>
          !/^([a-z0-9-]+\/)+[a-z0-9-]+(\.test|\.workerd\.test|\.d)?\.ts$/.test(path) ||
          /\/utils?\.ts$/.test(path),
      );
    expect(misnamed).toEqual([]);
  });

  it("keeps the core platform-free even by way of globalThis, which the linter does not look through", () => {
    const core = sources.filter(({ path }) => path.startsWith("src/core/"));
    expect(linesMatching(core, /\bglobalThis\b/)).toEqual([]);
  });

  it("runs every test: no `.only(`", () => {
    expect(linesMatching(tests, /\b(?:it|test|describe|suite)\.only\(/)).toEqual([]);
  });

  it("names no directory of one machine", () => {
    expect(linesMatching(files, /(?:^|[\s"'`(=:])\/(?:work|root|home\/[\w-]+|Users\/[\w-]+)\//)).toEqual([]);
  });

  it("names no package registry's host, so that any mirror can serve an install", () => {
    expect(linesMatching(files, /registry\.(?:npmjs|yarnpkg|npmmirror)|"resolved":\s*"https?:/)).toEqual([]);
  });
});
