import { Agent, get } from "node:https";
import { text } from "node:stream/consumers";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedEngine, type EmbeddedOptions } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { Authority, type Certificate, type CertificateFiles, writeCertificates } from "./certificates.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const QUICK = { logger: { log: () => undefined }, env: {}, heartbeatInterval: 50, electionTimeout: 300 };

/** How a handshake ends that the other side broke off; which of these, depends on who was quicker. */
const REFUSED = /alert|ECONNRESET|EPIPE|hang up|disconnected/;

let authority: Authority;
let own: Certificate;
let foreign: Certificate;
const engines: EmbeddedEngine[] = [];

beforeAll(async () => {
  authority = await Authority.create("test authority");
  own = await authority.issue("member");
  foreign = await (await Authority.create("somebody else")).issue("member");
});

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
  await removeTempDirs();
});

async function files(certificate: Certificate, ca = authority.cert): Promise<CertificateFiles> {
  return writeCertificates(await tempDir(), certificate, ca);
}

async function start(options: EmbeddedOptions): Promise<EmbeddedEngine> {
  const engine = await EmbeddedEngine.start(await tempDir(), { ...QUICK, ...options });
  engines.push(engine);
  return engine;
}

function fetchBody(url: string, options: { ca?: string; cert?: string; key?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: new Agent(options) }, (response) => {
      text(response).then(resolve, reject);
    });
    request.on("error", reject);
  });
}

describe("TLS", () => {
  it("serves clients over https, and asks them for a certificate when told to", async () => {
    const [port] = await freePorts(1);
    const url = `https://127.0.0.1:${port}`;
    const { cert, key, ca } = await files(own);
    const engine = await start({
      listenClientUrls: url,
      certFile: cert,
      keyFile: key,
      trustedCaFile: ca,
      clientCertAuth: true,
    });
    await engine.waitReady(30_000);
    const trusted = { ca: authority.cert };
    expect(await fetchBody(`${url}/health`, { ...trusted, ...own })).toBe('{"health":"true"}');
    await expect(fetchBody(`${url}/health`, { ...own })).rejects.toThrow(/certificate/);
    await expect(fetchBody(`${url}/health`, trusted)).rejects.toThrow(REFUSED);
    await expect(fetchBody(`${url}/health`, { ...trusted, ...foreign })).rejects.toThrow(REFUSED);

    const terminal = new FakeTerminal();
    const flags = [`--endpoints=${url}`, `--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`];
    expect(await run(["put", "k", "v", ...flags], terminal)).toBe(0);
    expect(await run(["get", "k", ...flags], terminal)).toBe(0);
    expect(terminal.output).toMatch(/^revision \d+\nv\n$/);
    // Refused before anything was sent: the outcome is known.
    expect(await run(["put", "k", "v", `--endpoints=${url}`], terminal)).toBe(4);
  });

  it("joins members over https with certificates both ways", async () => {
    const ports = await freePorts(3);
    const { cert, key, ca } = await files(own);
    const initialCluster = Object.fromEntries(ports.map((port, i) => [`n${i}`, `https://127.0.0.1:${port}`]));
    const cluster = await Promise.all(
      Object.keys(initialCluster).map((name) =>
        start({
          name,
          initialCluster,
          peerCertFile: cert,
          peerKeyFile: key,
          peerTrustedCaFile: ca,
          peerClientCertAuth: true,
        }),
      ),
    );
    await Promise.all(cluster.map((engine) => engine.waitReady(30_000)));
    await cluster[0]!.client().put("k", "v");
    expect(await cluster[2]!.client().getText("k")).toBe("v");
    await expect(fetchBody(`https://127.0.0.1:${ports[0]}/raft`, { ca: authority.cert })).rejects.toThrow(
      REFUSED,
    );
  });

  it.each<[string, () => Promise<Certificate> | Certificate, RegExp]>([
    ["whose authority is another", () => foreign, /certificate|signature/],
    ["whose certificate has expired", () => authority.issue("member", -1), /certificate has expired/],
    ["who are called differently", () => authority.issue("stranger"), /common name is \W*stranger/],
  ])("keeps out members %s", async (_what, theirs, problem) => {
    const ports = await freePorts(2);
    const initialCluster = Object.fromEntries(ports.map((port, i) => [`n${i}`, `https://127.0.0.1:${port}`]));
    const problems: string[] = [];
    const settings = async (name: string, certificate: Certificate): Promise<EmbeddedOptions> => {
      const { cert, key, ca } = await files(certificate);
      const demand = { peerClientCertAuth: true, peerCertAllowedCn: "member" };
      return {
        name,
        initialCluster,
        peerCertFile: cert,
        peerKeyFile: key,
        peerTrustedCaFile: ca,
        ...demand,
      };
    };
    const logger = {
      log: (_level: string, _text: string, fields: object = {}) =>
        problems.push(JSON.stringify(fields, (_k, v) => (typeof v === "bigint" ? String(v) : v))),
    };
    const n0 = await start({ ...(await settings("n0", own)), logger });
    const n1 = await start(await settings("n1", await theirs()));
    await expect.poll(() => problems.join(), { timeout: 30_000 }).toMatch(problem);
    expect([n0.leaderId, n1.leaderId]).toEqual([null, null]);
  });

  it("refuses a certificate that is none, or not this key's", async () => {
    const [port] = await freePorts(1);
    const listenClientUrls = `https://127.0.0.1:${port}`;
    const good = await files(own);
    const other = await files(foreign);
    const broken = await files({ cert: "no certificate", key: own.key });
    for (const certFile of [other.cert, broken.cert]) {
      await expect(start({ listenClientUrls, certFile, keyFile: good.key })).rejects.toThrow(
        /the certificate or its key is unusable/,
      );
    }
  });
});
