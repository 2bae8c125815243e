import { readFileSync } from "node:fs";

// As far up from the source as from the compiled file.
const PACKAGE_FILE = new URL("../../../package.json", import.meta.url);

/** The package's version. */
export const VERSION: string = (JSON.parse(readFileSync(PACKAGE_FILE, "utf8")) as { version: string })
  .version;
