import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

/** A change of one place in a source file, made while it is loaded: the file itself, and what is published, stay. */
export interface Rewrite {
  /** From the repository's root. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const ROOT = new URL("../../", import.meta.url);

/**
 * The files with the changes in them, by URL.
 *
 * @throws Error when a place is no longer there, or there twice: a change that changes nothing shows nothing.
 */
export function rewritten(rewrites: readonly Rewrite[]): ReadonlyMap<string, string> {
  const sources = new Map<string, string>();
  for (const { file, find, replace } of rewrites) {
    const { href } = new URL(file, ROOT);
    const source = sources.get(href) ?? readFileSync(new URL(href), "utf8");
    const found = source.split(find).length - 1;
    if (found !== 1) throw new Error(`${file} holds this ${found} times, not once:\n${find}`);
    sources.set(
      href,
      source.replace(find, () => replace),
    );
  }
  return sources;
}

/** From now on these files are loaded with the changes in them. To be called before anything imports them. */
export function rewriteSources(rewrites: readonly Rewrite[]): void {
  const sources = rewritten(rewrites);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const source = sources.get(url);
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}
