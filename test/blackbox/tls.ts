// Three servers with mutual TLS for clients and members. Their authority is replaced by another while writes go on,
// none of which is lost; afterwards etcdctl and curl speak with them, and nobody with a certificate of the old one.

import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Authority,
  type Certificate,
  type CertificateFiles,
  writeCertificates,
} from "../runtimes/node/certificates.ts";
import { Etcdctl } from "./etcdctl/tool.ts";
import { encode } from "./support/api.ts";
import { cluster, workDir } from "./support/cluster.ts";
import { execute } from "./support/command.ts";
import { type Run, program } from "./support/program.ts";
import type { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";
import { type Identity, secureCall } from "./tls/secure-call.ts";
import { SecureWriter } from "./tls/secure-writer.ts";

/** Members' certificates, and those of clients, who are users by them. */
const MEMBER = "member";
const USERS = ["root", "writer"] as const;

/** What an authority has signed. */
interface Issued {
  readonly ca: string;
  readonly member: Certificate;
  readonly users: Readonly<Record<(typeof USERS)[number], Certificate>>;
}

interface Secured {
  readonly server: Server;
  readonly url: string;
  readonly files: CertificateFiles;
}

await program("tls", 150, async (run) => {
  const dir = await workDir(run);
  const [old, now] = [await issue("the old authority"), await issue("the new authority")];
  const members = await secureCluster(run, dir, old);
  await makeUsers(run, members, tool(run, dir, "old", members, old.ca, old.users.root));

  let client: Identity = { ca: old.ca, ...old.users.writer };
  const writer = new SecureWriter(
    members.map(({ url }) => url),
    () => client,
  );
  await writer.more(50);
  run.observe(`${writer.count} writes by the certificate of a user, a handshake each; ${writer.problems}`);

  await refuseHalfOf(run, members[0]!, now);
  await writer.more(50);

  const both = old.ca + now.ca;
  await replace(run, members, both, old.member, "both authorities are trusted");
  client = { ca: both, ...old.users.writer };
  await writer.more(50);
  await replace(run, members, both, now.member, "members show certificates of the new one");
  client = { ca: now.ca, ...now.users.writer };
  await writer.more(50);
  await replace(run, members, now.ca, now.member, "the new one alone is trusted");
  await writer.more(50);
  run.require(
    writer.problems === "{}",
    `not one of ${writer.count} writes failed meanwhile: ${writer.problems}`,
  );

  // Whatever connections stood from before are gone with it.
  for (const { server, url } of members) {
    await server.signal("SIGKILL");
    server.launch();
    await writer.more(50);
    const { status } = await until(20, `${server.name} to be one of them again`, async () => {
      const outcome = await secureCall(url, "kv/range", { key: encode("written/0-0") }, client);
      return outcome.status === "ok" ? outcome : null;
    });
    run.require(status === "ok", `${server.name} was killed, and is one of them again`);
  }
  await writer.stop();
  run.observe(`${writer.count} writes were acknowledged; not: ${writer.problems}`);
  for (const { server, url } of members) {
    const lost = await writer.lostAt(url);
    run.require(
      lost.length === 0,
      `${server.name} has all of them${lost.length === 0 ? "" : `, but ${lost.join()}`}`,
    );
  }
  await afterwards(run, dir, members, old, now);
});

async function issue(name: string): Promise<Issued> {
  const authority = await Authority.create(name);
  const users = await Promise.all(USERS.map(async (user) => [user, await authority.issue(user)]));
  return {
    ca: authority.cert,
    member: await authority.issue(MEMBER),
    users: Object.fromEntries(users) as Issued["users"],
  };
}

async function secureCluster(run: Run, dir: string, { ca, member, users }: Issued): Promise<Secured[]> {
  const servers = await cluster(run, dir, 3);
  const urls = ["listen-client-urls", "advertise-client-urls", "listen-peer-urls"];
  const peerUrls = ["initial-advertise-peer-urls", "initial-cluster"];
  const members = servers.map((server): Secured => {
    const place = join(dir, `${server.name}-certificates`);
    mkdirSync(place);
    const files = writeCertificates(place, member, ca);
    const flags = Object.fromEntries(
      [...urls, ...peerUrls].map((flag) => [flag, server.flags[flag]!.replaceAll("http:", "https:")]),
    );
    // The same again and again, at every start.
    Object.assign(server.flags, flags, {
      "cert-file": files.cert,
      "key-file": files.key,
      "trusted-ca-file": files.ca,
      "client-cert-auth": "true",
      "peer-cert-file": files.cert,
      "peer-key-file": files.key,
      "peer-trusted-ca-file": files.ca,
      "peer-client-cert-auth": "true",
      "peer-cert-allowed-cn": MEMBER,
    });
    return { server, url: server.url.replace("http:", "https:"), files };
  });
  for (const { server } of members) server.launch();
  for (const { url, server } of members) {
    await until(30, `${server.name} to serve`, async () => {
      const { status } = await secureCall(url, "kv/range", { key: encode("k") }, { ca, ...users.root });
      return status === "ok";
    });
  }
  run.require(true, "three servers form a cluster, each with a certificate for clients and members");
  return members;
}

/** etcdctl as somebody. */
function tool(
  run: Run,
  dir: string,
  name: string,
  members: readonly Secured[],
  ca: string,
  as: Certificate,
): Etcdctl {
  const place = join(dir, `client-${name}`);
  mkdirSync(place);
  const files = writeCertificates(place, as, ca);
  const flags = [`--cacert=${files.ca}`, `--cert=${files.cert}`, `--key=${files.key}`];
  return new Etcdctl(
    run,
    members.map(({ url }) => url),
    flags,
  );
}

/** By the certificate of root, who has no token either. */
async function makeUsers(run: Run, members: readonly Secured[], etcdctl: Etcdctl): Promise<void> {
  for (const command of [
    "user add root --no-password",
    "user grant-role root root",
    "user add writer --no-password",
    "role add writer",
    "role grant-permission writer readwrite written/ written0",
    "user grant-role writer writer",
    "auth enable",
  ]) {
    await etcdctl.ok(...command.split(" "));
  }
  await etcdctl.prints("root\nwriter\n", "user", "list");
  run.require(members.length === 3, "authentication is on, and etcdctl is root by its certificate");
}

/** The certificate comes, and its key does not. */
async function refuseHalfOf(run: Run, { server, files }: Secured, { member }: Issued): Promise<void> {
  const before = `${files.cert}.before`;
  renameSync(files.cert, before);
  writeFileSync(files.cert, member.cert);
  await until(20, "the half to be refused", async () =>
    /are refused.*key values mismatch/.test(server.log()),
  );
  renameSync(before, files.cert);
  run.require(true, "a certificate without its key is refused, with the reason, and writes go on");
}

/** Replaces files at all members, and waits until each has taken them, for clients and members, when it came to look. */
async function replace(
  run: Run,
  members: readonly Secured[],
  ca: string,
  member: Certificate,
  what: string,
): Promise<void> {
  const replaceAt = async ({ server, files }: Secured): Promise<void> => {
    const taken = (): number => server.log().match(/certificates were replaced/g)?.length ?? 0;
    const before = taken();
    writeCertificates(join(files.cert, ".."), member, ca);
    await until(20, `${server.name} to take new certificates`, async () => taken() >= before + 2);
  };
  await Promise.all(members.map(replaceAt));
  run.require(true, `without a restart, ${what}`);
}

async function afterwards(
  run: Run,
  dir: string,
  members: readonly Secured[],
  old: Issued,
  now: Issued,
): Promise<void> {
  const etcdctl = tool(run, dir, "root", members, now.ca, now.users.root);
  await etcdctl.prints("OK\n", "put", "k", "v");
  await etcdctl.prints("k\nv\n", "get", "k");
  const hashes = await until(20, "the same hash on all members", async () => {
    const printed = await etcdctl.ok("endpoint", "hashkv", "--write-out=json");
    const seen = (JSON.parse(printed) as { HashKV: { hash: number } }[]).map(({ HashKV }) => HashKV.hash);
    return seen.length === 3 && new Set(seen).size === 1 ? seen : null;
  });
  run.require(true, `all members have the same keys: ${hashes.join(", ")}`);
  const writer = tool(run, dir, "writer", members, now.ca, now.users.writer);
  await writer.refuses("permission denied", "put", "k", "v2");
  const late = tool(run, dir, "late", members, now.ca, old.users.root).with("--command-timeout=4s");
  // Each server ends the handshake, and etcdctl says that it has no connection left to use.
  await late.refuses("all SubConns are in TransientFailure", "get", "k");

  const place = join(dir, "client-root");
  const curl = async (...flags: string[]): Promise<string> => {
    const url = `${members[0]!.url}/v3/kv/range`;
    const body = JSON.stringify({ key: encode("k") });
    const { exitCode, stdout } = await execute("curl", ["-sS", ...flags, url, "-d", body]);
    return exitCode === 0 ? stdout : `curl ended with ${exitCode}`;
  };
  const trust = ["--cacert", join(place, "ca.pem")];
  const show = ["--cert", join(place, "cert.pem"), "--key", join(place, "key.pem")];
  const reply = await curl(...trust, ...show);
  run.require(reply.includes(`"value":"${encode("v")}"`), `curl with a certificate gets the value: ${reply}`);
  const stranger = await curl(...trust);
  run.require(/^curl ended with (35|52|55|56)$/.test(stranger), `curl without one gets nothing: ${stranger}`);
}
