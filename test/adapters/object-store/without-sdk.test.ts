import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";

/** The sources in a place where no package is installed. */
function sourcesAlone(): string {
  const dir = mkdtempSync(join(tmpdir(), "d-engine-alone-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  cpSync(fileURLToPath(new URL("../../../src", import.meta.url)), join(dir, "src"), { recursive: true });
  cpSync(fileURLToPath(new URL("../../../package.json", import.meta.url)), join(dir, "package.json"));
  return dir;
}

it.each([
  ["s3", "s3ObjectStore", "@aws-sdk/client-s3"],
  ["gcs", "gcsObjectStore", "@google-cloud/storage"],
  ["dynamodb", "dynamoDbObjectStore", "@aws-sdk/client-dynamodb"],
])("the adapter %s can be imported without its SDK, and names it when it is used", (adapter, open, sdk) => {
  const dir = sourcesAlone();
  const script = `const { ${open} } = await import("./src/adapters/${adapter}/index.ts");
    await ${open}({ bucket: "bucket", table: "table" }).catch(({ code, message }) => console.log(code, message));`;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  const said = execFileSync(process.execPath, args, { cwd: dir, encoding: "utf8" });
  expect(said).toContain("invalidConfig");
  expect(said).toContain(`npm install ${sdk}`);
});
