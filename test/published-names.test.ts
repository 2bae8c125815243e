// What `exports` of package.json offers is followed to where it is declared: each declaration says what it is.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const ROOT = new URL("..", import.meta.url);

/** The sources of the entries: what is compiled to the files that package.json names. */
function entries(): URL[] {
  const { exports } = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8")) as {
    readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
  };
  return Object.values(exports)
    .filter((entry) => typeof entry !== "string")
    .map(({ types }) => new URL(types.replace(/^\.\/dist\/(.*)\.d\.ts$/, "src/$1.ts"), ROOT));
}

const texts = new Map<string, string>();

function textOf(file: URL): string {
  const text = texts.get(file.href) ?? readFileSync(file, "utf8");
  texts.set(file.href, text);
  return text;
}

interface Name {
  /** In the module that it comes from. */
  readonly theirs: string;
  readonly ours: string;
  /** Null: what was imported, or declared, under that name in the module itself. */
  readonly from: URL | null;
}

/** The names of all `{ ... }` that follow the keyword: `a`, `type b`, `c as d`. */
function namesAfter(keyword: "import" | "export", file: URL): Name[] {
  const list = new RegExp(`^${keyword} (?:type )?\\{([^}]*)\\}(?: from "([^"]+)")?;`, "gm");
  return [...textOf(file).matchAll(list)].flatMap(([, names = "", from]) =>
    names
      .split(",")
      .map((name) => name.trim().replace(/^type /, ""))
      .filter((name) => name !== "")
      .map((name): Name => {
        const [theirs = "", ours = theirs] = name.split(" as ");
        return { theirs, ours, from: from === undefined ? null : new URL(from, file) };
      }),
  );
}

interface Declaration {
  readonly place: string;
  readonly documented: boolean;
}

const DECLARED = /^export (?:async )?(?:abstract )?(?:function\*?|const|class|interface|type) (\w+)/gm;

/** Where a name is declared, through however many modules that pass it on. */
function declarationOf(name: string, file: URL): Declaration {
  const text = textOf(file);
  const found = [...text.matchAll(DECLARED)].find((match) => match[1] === name);
  if (found !== undefined) {
    const before = text.slice(0, found.index).trimEnd();
    const place = `${file.pathname.slice(ROOT.pathname.length)}: ${name}`;
    // The comment that ends here, if one does, has to be one of a declaration: /** and not /*.
    return {
      place,
      documented: before.endsWith("*/") && before.startsWith("/**", before.lastIndexOf("/*")),
    };
  }
  const passed = [...namesAfter("export", file), ...namesAfter("import", file)].find(
    ({ ours, from }) => ours === name && from !== null,
  );
  if (passed === undefined || passed.from === null)
    throw new Error(`${file.pathname} does not declare ${name}`);
  return declarationOf(passed.theirs, passed.from);
}

describe("what is published", () => {
  const declarations = entries().flatMap((file) => [
    ...[...textOf(file).matchAll(DECLARED)].map((match) => declarationOf(match[1]!, file)),
    ...namesAfter("export", file).map(({ ours }) => declarationOf(ours, file)),
  ]);

  it("is found, so that the rule below cannot pass on nothing", () => {
    const places = declarations.map(({ place }) => place);
    expect(places).toContain("src/core/node/engine.ts: ReadOptions");
    expect(new Set(places).size).toBeGreaterThan(200);
  });

  it("says what it is", () => {
    const silent = declarations.filter(({ documented }) => !documented).map(({ place }) => place);
    expect([...new Set(silent)]).toEqual([]);
  });
});
