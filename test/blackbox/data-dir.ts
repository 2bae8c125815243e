// What must be refused, is, with words that say why and nothing changed; a full disk stops a server and loses nothing.
//
//     node test/blackbox/data-dir.ts <scenario> [directory]

import {
  copyFileSync,
  cpSync,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
  readFileSync,
} from "node:fs";
import { join } from "node:path";
import { Authority } from "../runtimes/node/certificates.ts";
import { contents } from "./data-dir/contents.ts";
import { call, encode, status } from "./support/api.ts";
import { cluster, leaderOf, workDir } from "./support/cluster.ts";
import { execute } from "./support/command.ts";
import { program, type Run } from "./support/program.ts";
import type { Flags, Server } from "./support/server.ts";
import { sleep, until } from "./support/waiting.ts";

const scenarios: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  "second-process": secondProcess,
  "foreign-directory": foreignDirectory,
  "corrupt-directory": corruptDirectory,
  "open-doors": openDoors,
  "wrong-peer-secret": wrongPeerSecret,
  tls: overTls,
  "full-disk": fullDisk,
};

const [, , name = "", givenDir] = process.argv;
const scenario = scenarios[name];
if (scenario === undefined) throw new Error(`scenarios: ${Object.keys(scenarios).join(", ")}`);
await program(`data-dir ${name}`, 100, scenario);

async function single(run: Run, flags: Flags = {}): Promise<Server> {
  const [server] = await cluster(run, await workDir(run), 1, { "log-format": "json", ...flags });
  return server!;
}

async function put(server: Server, key: string, value: string): Promise<boolean> {
  const outcome = await call(server, "kv/put", { key: encode(key), value: encode(value) });
  return outcome.status === "ok";
}

async function value(server: Server, key: string): Promise<string> {
  const outcome = await call(server, "kv/range", { key: encode(key) });
  if (outcome.status !== "ok") throw new Error(outcome.problem);
  return Buffer.from(outcome.reply.kvs?.[0]?.value ?? "", "base64").toString();
}

/** A server that was used and has stopped: what its directory holds is what it must hold. */
async function usedServer(run: Run): Promise<Server> {
  const server = await single(run);
  await server.start();
  await until(20, "a first write", () => put(server, "key", "value"));
  for (let i = 0; i < 50; i++) await put(server, `filler/${i}`, "x".repeat(2000));
  await server.signal("SIGTERM");
  return server;
}

/** The server ends by itself, names the reason, and has changed nothing. */
async function expectRefusal(
  run: Run,
  server: Server,
  what: string,
  reason: RegExp,
  extra: Flags = {},
): Promise<void> {
  const dir = server.flags["data-dir"]!;
  const before = contents(dir);
  const logged = server.log().length;
  const exitCode = await server.startInVain(20, extra);
  const said = server.log().slice(logged);
  const problem = /"problem":"((?:[^"\\]|\\.)*)"/.exec(said)?.[1] ?? said;
  run.require(exitCode !== 0 && reason.test(said), `${what}: status ${exitCode}, "${problem}"`);
  run.require(contents(dir) === before, "and nothing was changed");
}

async function secondProcess(run: Run): Promise<void> {
  const first = await single(run);
  await first.start();
  await until(20, "a first write", () => put(first, "key", "value"));
  const second = await single(run, { "data-dir": first.flags["data-dir"]! });
  const exitCode = await second.startInVain(20);
  run.require(
    exitCode === 1 && second.log().includes("in use by another process"),
    `a second process is refused: ${second.logTail().trim()}`,
  );
  run.require(
    (await put(first, "key", "next")) && (await value(first, "key")) === "next",
    "the first goes on",
  );
  await first.signal("SIGKILL");
  await first.start();
  await until(20, "the value", async () => (await value(first, "key").catch(() => "")) === "next");
  run.require(true, "and starts again after SIGKILL: no lock is left behind");
}

async function foreignDirectory(run: Run): Promise<void> {
  const server = await usedServer(run);
  const dir = server.flags["data-dir"]!;
  const belongs = /belongs to another/;
  await expectRefusal(run, server, "another cluster's directory", belongs, {
    "initial-cluster-token": "other",
  });
  await expectRefusal(run, server, "another group's directory", belongs, { group: "other" });
  await server.start();
  run.require((await value(server, "key")) === "value", "its own server finds everything in place");
  await server.signal("SIGTERM");

  const elsewhere = `${dir}-elsewhere`;
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "log.db"), "This is somebody's diary, not a database.\n".repeat(200));
  const stranger = await single(run, { "data-dir": elsewhere });
  await expectRefusal(run, stranger, "a file that is no database", /corrupt|belongs to another/);
  rmSync(join(elsewhere, "log.db"));
  const sql =
    "import { DatabaseSync } from 'node:sqlite'; const db = new DatabaseSync(process.argv[1]); db.exec('CREATE TABLE songs (title TEXT)'); db.close();";
  await execute(process.execPath, ["--input-type=module", "--eval", sql, join(elsewhere, "log.db")]);
  await expectRefusal(run, stranger, "another program's database", belongs);
}

async function corruptDirectory(run: Run): Promise<void> {
  const server = await usedServer(run);
  const dir = server.flags["data-dir"]!;
  const whole = `${dir}-whole`;
  cpSync(dir, whole, { recursive: true });
  const file = join(dir, "log.db");
  const bytes = readFileSync(file);
  const size = bytes.length;
  for (const share of [0.1, 0.5, 0.8]) {
    // Pages have room to spare, and what happens there means nothing: so in the middle of a value.
    const offset = bytes.indexOf("x".repeat(500), Math.floor(size * share));
    copyFileSync(join(whole, "log.db"), file);
    const handle = openSync(file, "r+");
    writeSync(handle, "y", offset + 200);
    closeSync(handle);
    await expectRefusal(run, server, `one of ${size} bytes changed, at ${offset}`, /stored data is corrupt/);
  }
  copyFileSync(join(whole, "log.db"), file);
  truncateSync(file, size >> 1);
  await expectRefusal(run, server, "a file cut in half", /stored data is corrupt/);
  copyFileSync(join(whole, "log.db"), file);
  await server.start();
  run.require((await value(server, "key")) === "value", "with the file as it was, everything is there");
}

async function openDoors(run: Run): Promise<void> {
  const server = await single(run);
  const doors: readonly (readonly [flags: Flags, remedy: RegExp])[] = [
    [{ "listen-client-urls": server.url.replace("127.0.0.1", "0.0.0.0") }, /--client-token-file/],
    [
      { "listen-peer-urls": server.flags["listen-peer-urls"]!.replace("127.0.0.1", "0.0.0.0") },
      /--peer-secret-file/,
    ],
  ];
  for (const [flags, remedy] of doors) {
    const exitCode = await server.startInVain(20, flags);
    const said = server.log();
    const isClear = said.includes("is reachable from other machines") && remedy.test(said);
    run.require(
      exitCode === 2 && isClear,
      `${Object.keys(flags).join()} on 0.0.0.0 without a secret is refused`,
    );
  }
  await server.start({ "client-token": "a-token-for-clients" });
  const unauthenticated = await fetch(`${server.url}/v3/kv/range`, {
    method: "POST",
    body: '{"key":"YQ=="}',
  });
  run.require(unauthenticated.status === 401, "with a client token, requests without it are refused");
  const authenticated = await fetch(`${server.url}/v3/kv/range`, {
    method: "POST",
    body: '{"key":"YQ=="}',
    headers: { authorization: "Bearer a-token-for-clients" },
  });
  run.require(authenticated.status === 200, "and those with it are served");
}

async function wrongPeerSecret(run: Run): Promise<void> {
  const servers = await cluster(run, await workDir(run), 3, { "log-format": "json" });
  await Promise.all(
    servers.map((server) => server.start({ "peer-secret": `the secret of ${server.name} alone` })),
  );
  await sleep(4000);
  for (const server of servers) {
    const seen = await status(server);
    run.require(seen?.leaderId === null, `${server.name} knows no leader`);
    run.require(
      server.log().includes("do all members have the same peer secret?"),
      `and its log says: ${/"problem":"([^"]*)"/.exec(server.log())?.[1]}`,
    );
  }
  const outcome = await call(servers[0]!, "kv/put", { key: encode("a") }, 10_000);
  run.require(outcome.status === "failed", `a write is refused: ${JSON.stringify(outcome)}`);
  await Promise.all(servers.map((server) => server.signal("SIGTERM")));
  await Promise.all(servers.map((server) => server.start({ "peer-secret": "one secret for all of them" })));
  const leader = await leaderOf(servers);
  run.require(true, `with one secret ${leader.name} is elected`);
}

async function overTls(run: Run): Promise<void> {
  const dir = await workDir(run);
  const authority = await Authority.create("an authority of its own");
  const { cert, key } = await authority.issue("member");
  const file = (fileName: string, content: string): string => {
    writeFileSync(join(dir, fileName), content);
    return join(dir, fileName);
  };
  const [ca, certFile, keyFile] = [
    file("ca.pem", authority.cert),
    file("cert.pem", cert),
    file("key.pem", key),
  ];
  const https = (server: Server): Flags => {
    const flags = [
      "listen-client-urls",
      "advertise-client-urls",
      "listen-peer-urls",
      "initial-advertise-peer-urls",
      "initial-cluster",
    ];
    return Object.fromEntries(flags.map((flag) => [flag, server.flags[flag]!.replaceAll("http:", "https:")]));
  };
  const servers = await cluster(run, dir, 3, {
    "cert-file": certFile,
    "key-file": keyFile,
    "peer-cert-file": certFile,
    "peer-key-file": keyFile,
    "peer-trusted-ca-file": ca,
    "peer-client-cert-auth": "true",
  });
  const curl = async (server: Server, path: string, body: string, ...options: string[]): Promise<string> => {
    const url = server.url.replace("http:", "https:") + path;
    const { exitCode, stdout } = await execute("curl", ["-sS", ...options, url, "-d", body]);
    return exitCode === 0 ? stdout : `curl ended with ${exitCode}`;
  };
  for (const server of servers) server.launch(https(server));
  const written = await until(30, "a write over TLS", async () => {
    const reply = await curl(servers[0]!, "/v3/kv/put", '{"key":"Zm9v","value":"YmFy"}', "--cacert", ca);
    return reply.includes('"revision"') ? reply : null;
  });
  run.observe(`curl --cacert, put: ${written}`);
  for (const server of servers) {
    const reply = await curl(server, "/v3/kv/range", '{"key":"Zm9v"}', "--cacert", ca);
    run.require(reply.includes('"value":"YmFy"'), `${server.name} has it`);
  }
  const untrusted = await curl(servers[0]!, "/v3/kv/range", '{"key":"Zm9v"}');
  run.require(untrusted === "curl ended with 60", "curl without the authority does not trust the server");
  const plain = await fetch(`${servers[0]!.url}/health`).then(
    (reply) => reply.status,
    () => "broken off",
  );
  run.require(plain !== 200, `plain HTTP on the same port: ${plain}`);
}

/** `givenDir` is on a disk of a few megabytes. */
async function fullDisk(run: Run): Promise<void> {
  if (givenDir === undefined) throw new Error("on which small disk?");
  const server = await single(run, { "data-dir": join(givenDir, "data"), "snapshot-count": "1000000" });
  await server.start();
  await until(20, "a first write", () => put(server, "key", "value"));
  const acknowledged: string[] = [];
  const filling = "x".repeat(100_000);
  while (server.isRunning && acknowledged.length < 1000) {
    const key = `filler/${acknowledged.length}`;
    if (await put(server, key, filling)) acknowledged.push(key);
    else break;
  }
  const exitCode = await server.ended(10);
  const problem = /"error":"([^"]*)"/.exec(server.log())?.[1];
  run.require(
    exitCode === 1 && server.log().includes("no space left"),
    `after ${acknowledged.length} writes of 100 kB the disk is full, and the server stops: "${problem}"`,
  );
  const again = await server.startInVain(20).catch(() => null);
  run.observe(
    again === null ? "it starts on the full disk" : `it does not start on the full disk: status ${again}`,
  );
  if (server.isRunning) await server.signal("SIGKILL");
  rmSync(join(givenDir, "ballast"));
  await server.start();
  await until(20, "a write", () => put(server, "key", "after"));
  for (const key of acknowledged) {
    const length = (await value(server, key)).length;
    if (length !== filling.length) run.require(false, `${key} has ${length} characters`);
  }
  run.require(true, `with space freed it starts, has all ${acknowledged.length} of them, and takes writes`);
}
