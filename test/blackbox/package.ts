// The package as npm installs it: its command, its modules, its types, and the programs of the README and of examples/.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { useContainerfile } from "./package/containerfile.ts";
import { workDir } from "./support/cluster.ts";
import { execute } from "./support/command.ts";
import { installedPackage, REPOSITORY } from "./support/installed-package.ts";
import { program, type Run } from "./support/program.ts";
import { readmeSteps } from "./support/read-me.ts";
import { until } from "./support/waiting.ts";
import { spawn } from "node:child_process";

await program("package", 170, async (run) => {
  const dir = await workDir(run);
  await installedPackage(run, dir);
  await useCommand(run, dir);
  await useContainerfile(run, dir);
  await useModules(run, dir);
  const programs = [...readmePrograms(dir), ...examplePrograms(dir)];
  await checkTypes(run, dir, programs);
  for (const file of programs) {
    mkdirSync(join(dir, `run-${file}`));
    const ports = (await freePorts(3)).map(String);
    const { exitCode, stdout, stderr } = await execute("node", [join(dir, file), ...ports], {
      cwd: join(dir, `run-${file}`),
    });
    run.require(
      exitCode === 0,
      `${file} runs: ${stdout.trimEnd().split("\n").at(-1)} ${exitCode === 0 ? "" : stderr}`,
    );
  }
});

async function useCommand(run: Run, cwd: string): Promise<void> {
  const [port, peerPort] = await freePorts(2);
  const url = `http://127.0.0.1:${port}`;
  const args = [
    "d-engine",
    "serve",
    `--listen-client-urls=${url}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
  ];
  const server = spawn("npx", args, { cwd, stdio: "ignore", detached: true });
  run.cleanUp(() => {
    if (server.exitCode === null) process.kill(-server.pid!, "SIGKILL");
  });
  await until(
    30,
    "the server to serve",
    async () => (await fetch(`${url}/health`).catch(() => null))?.ok === true,
  );
  const put = await execute("npx", ["d-engine", "put", "greeting", "hello", `--endpoints=${url}`], { cwd });
  const get = await execute("npx", ["d-engine", "get", "greeting", `--endpoints=${url}`], { cwd });
  run.require(
    put.stdout === "revision 2\n" && get.stdout === "hello\n",
    `npx d-engine serve, put, get: ${put.stdout.trim()}, ${get.stdout.trim()} ${put.stderr}${get.stderr}`,
  );
}

/** Every subpath that package.json exports can be imported. */
async function useModules(run: Run, cwd: string): Promise<void> {
  const manifest = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as {
    exports: Record<string, unknown>;
  };
  const specifiers = Object.keys(manifest.exports)
    .filter((path) => !path.endsWith(".json"))
    .map((path) => path.replace(/^\./, "d-engine"));
  const source = `for (const name of ${JSON.stringify(specifiers)}) console.log(name, Object.keys(await import(name)).join(" "));
    import { EmbeddedEngine } from "d-engine/node";
    const engine = await EmbeddedEngine.start("./embedded");
    await engine.waitReady(5000);
    await engine.client().put("greeting", "hello");
    console.log(await engine.client().getText("greeting"));
    await engine.stop();`;
  const { exitCode, stdout, stderr } = await execute("node", ["--input-type=module", "--eval", source], {
    cwd,
  });
  const lines = stdout.trimEnd().split("\n");
  run.require(
    exitCode === 0 && lines.at(-1) === "hello",
    `an ESM script imports d-engine/node, puts and gets ${stderr}`,
  );
  for (const line of lines.slice(0, -1)) run.observe(line);
}

function readmePrograms(dir: string): string[] {
  return readmeSteps()
    .filter((step) => step.type === "program")
    .map(({ source, line }) => {
      const file = `readme-line-${line}.ts`;
      writeFileSync(join(dir, file), source);
      return file;
    });
}

/** As a reader would have them: importing the package. */
function examplePrograms(dir: string): string[] {
  const examples = join(REPOSITORY, "examples");
  return readdirSync(examples)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => {
      const source = readFileSync(join(examples, name), "utf8")
        .replaceAll('"../src/index.ts"', '"d-engine"')
        .replaceAll('"../src/runtimes/client/index.ts"', '"d-engine/client"')
        .replaceAll('"../src/adapters/sqlite/index.ts"', '"d-engine/adapters/sqlite"');
      if (source.includes("../src/"))
        throw new Error(`examples/${name} imports what the package does not export`);
      writeFileSync(join(dir, `example-${name}`), source);
      return `example-${name}`;
    });
}

async function checkTypes(run: Run, cwd: string, files: readonly string[]): Promise<void> {
  const compilerOptions = {
    target: "es2024",
    lib: ["es2024", "dom"],
    types: ["node"],
    typeRoots: [join(REPOSITORY, "node_modules/@types")],
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    noEmit: true,
  };
  writeFileSync(join(cwd, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  const { exitCode, stdout } = await execute(join(REPOSITORY, "node_modules/.bin/tsc"), ["-p", cwd], { cwd });
  run.require(
    exitCode === 0,
    `tsc finds nothing wrong in ${files.length} programs that use the package, nor in its types ${stdout}`,
  );
}
