// `npm run build:lambda`: the function as one file, and the zip that is deployed. The same sources give the same bytes.
//
// AWS's SDK stays outside: Lambda's Node runtimes have it on board. Google's they have not: `npm run build:lambda -- --gcs`
// puts it in, for a log on Google Cloud Storage. It is part of the file, but runs only where that storage is used.

import { build, type Plugin } from "esbuild";
import { zipSync } from "fflate";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { VERSION } from "../src/runtimes/node/version.ts";

export interface BuiltFunction {
  /** The bundled file. */
  readonly file: string;
  readonly fileBytes: number;
  readonly zip: string;
  readonly zipBytes: number;
}

const ENTRY = fileURLToPath(new URL("index.ts", import.meta.url));

const REQUIRE =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** The version is read from package.json, which is not beside a bundle. */
const withoutPackageFile: Plugin = {
  name: "version",
  setup: (build) => {
    build.onLoad({ filter: /runtimes\/node\/version\.ts$/ }, () => ({
      contents: `export const VERSION = ${JSON.stringify(VERSION)};`,
    }));
  },
};

export interface BuildOptions {
  /** With `@google-cloud/storage`. */
  readonly gcs?: boolean;
}

export async function buildFunction(dir: string, { gcs = false }: BuildOptions = {}): Promise<BuiltFunction> {
  const file = join(dir, "index.mjs");
  await mkdir(dir, { recursive: true });
  await build({
    entryPoints: [ENTRY],
    outfile: file,
    bundle: true,
    minify: true,
    // Errors and logs name functions and classes.
    keepNames: true,
    platform: "node",
    format: "esm",
    target: "node22",
    external: ["@aws-sdk/*", ...(gcs ? [] : ["@google-cloud/storage"])],
    // Google's SDK is CommonJS, and asks for Node's own modules by a function that such modules have.
    ...(gcs ? { banner: { js: REQUIRE } } : {}),
    plugins: [withoutPackageFile],
    logLevel: "warning",
  });
  const content = await readFile(file);
  // In local time, as zip has it: the oldest date that it knows.
  const entry = [content, { level: 9, mtime: new Date(1980, 0, 1), os: 3, attrs: 0o100644 << 16 }] as const;
  const packed = zipSync({ "index.mjs": [entry[0], { ...entry[1] }] });
  const zip = join(dir, "function.zip");
  await writeFile(zip, packed);
  return { file, fileBytes: content.length, zip, zipBytes: packed.length };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values } = parseArgs({ options: { gcs: { type: "boolean", default: false } } });
  const { file, fileBytes, zip, zipBytes } = await buildFunction("dist/lambda", values);
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
  console.log(`${file}  ${kib(fileBytes)}\n${zip}  ${kib(zipBytes)}`);
}
