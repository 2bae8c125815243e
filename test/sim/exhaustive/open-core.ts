import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type {
  ClusterConfig,
  ConfChange,
  ConfChangeRefusal,
  Raft,
  RaftOptions,
  RaftState,
  RandomSource,
} from "../../../src/core/raft/index.ts";

/** A bug to plant: in one source file, text that must occur there exactly once, and what stands there instead. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** The Raft core with its private state laid open: every `#name` is a plain property `_name`. */
export interface OpenCore {
  readonly Raft: new (
    options: Partial<RaftOptions> & Pick<RaftOptions, "nodeId">,
    state: RaftState,
    random: RandomSource,
    nowMs: number,
  ) => Raft;
  readonly changeConfig: (config: ClusterConfig, change: ConfChange) => ClusterConfig | ConfChangeRefusal;
  /** Every class of the core by its name, so that a copy of an instance can be made without its constructor. */
  readonly prototypes: ReadonlyMap<string, object>;
}

const SOURCE = new URL("../../../src/core/", import.meta.url);
const FOLDERS = ["errors", "raft"] as const;

/**
 * Loads the core from its sources as they are, but for two rewritings of the text: private fields become plain
 * properties, because a search must copy and compare the whole state of a node, and `patches` are planted. Nothing
 * of this is left in the product: the rewritten files live in a temporary folder until they are loaded.
 */
export async function loadOpenCore(patches: readonly Patch[] = []): Promise<OpenCore> {
  const folder = mkdtempSync(join(tmpdir(), "d-engine-open-core-"));
  try {
    const modules = writeSources(folder, patches);
    const prototypes = new Map<string, object>();
    const exported = new Map<string, unknown>();
    for (const path of modules) {
      const url = pathToFileURL(path).href;
      const module = (await import(/* @vite-ignore */ url)) as Record<string, unknown>;
      for (const [name, value] of Object.entries(module)) {
        exported.set(name, value);
        if (typeof value === "function" && value.prototype !== undefined)
          prototypes.set(name, value.prototype);
      }
    }
    return {
      Raft: exported.get("Raft") as OpenCore["Raft"],
      changeConfig: exported.get("changeConfig") as OpenCore["changeConfig"],
      prototypes,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeSources(folder: string, patches: readonly Patch[]): string[] {
  const raft: string[] = [];
  const unused = new Set(patches);
  // ES modules, whatever package the temporary folder may happen to lie in.
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  for (const name of FOLDERS) {
    mkdirSync(join(folder, name));
    for (const file of readdirSync(new URL(`${name}/`, SOURCE)).filter((entry) => entry.endsWith(".ts"))) {
      let text = readFileSync(new URL(`${name}/${file}`, SOURCE), "utf8");
      for (const patch of patches.filter((candidate) => candidate.file === `${name}/${file}`)) {
        text = plant(text, patch);
        unused.delete(patch);
      }
      const path = join(folder, name, file);
      writeFileSync(path, name === "raft" ? laidOpen(text, file) : text);
      if (name === "raft") raft.push(path);
    }
  }
  for (const { file } of unused) throw new Error(`there is no file ${file} to plant a bug in`);
  return raft;
}

function plant(text: string, { file, find, replace }: Patch): string {
  if (text.split(find).length !== 2) throw new Error(`${file} must contain exactly once: ${find}`);
  return text.replace(find, () => replace);
}

function laidOpen(text: string, file: string): string {
  if (/[^\w]_[a-z]\w*/.test(text))
    throw new Error(`${file} has names that the private ones could collide with`);
  return text.replaceAll(/#(?=[a-zA-Z])/g, "_");
}
