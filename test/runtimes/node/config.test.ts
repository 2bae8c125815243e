import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadEmbeddedConfig, loadServerConfig } from "../../../src/runtimes/node/config/load-config.ts";
import type { ServerConfig } from "../../../src/runtimes/node/config/server-config.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "d-engine-config-"));
  write("cert.pem", "cert");
  write("secret", "  0123456789abcdef\n");
});
afterAll(() => rmSync(dir, { recursive: true }));

function write(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const load = (args: string[], env: Record<string, string> = {}): ServerConfig => {
  const loaded = loadServerConfig(args, env);
  if (loaded === null) throw new Error("help was asked for");
  return loaded.config;
};

describe("defaults", () => {
  it("are etcd's for a server: one member on loopback", () => {
    expect(load([])).toMatchObject({
      name: "default",
      dataDir: "default.d-engine",
      listenClientUrls: ["http://localhost:2379"],
      advertiseClientUrls: ["http://localhost:2379"],
      listenPeerUrls: ["http://localhost:2380"],
      advertisePeerUrls: ["http://localhost:2380"],
      initialCluster: [{ name: "default", peerUrls: ["http://localhost:2380"] }],
      initialClusterGiven: false,
      initialClusterState: "new",
      heartbeatIntervalMs: 100,
      electionTimeoutMs: 1000,
      maxRequestBytes: 1572864,
      maxTxnOps: 128,
      maxRangeBytes: 2 ** 27,
      quotaBytes: 2 ** 30,
      autoCompaction: null,
      defaultConsistency: "linearizable",
      clientTls: null,
      clientToken: null,
      peerSecret: new Uint8Array(0),
    });
  });

  it("let an embedded engine listen nowhere", () => {
    const { config } = loadEmbeddedConfig({ dataDir: "x" }, {});
    expect(config).toMatchObject({
      dataDir: "x",
      listenClientUrls: [],
      listenPeerUrls: [],
      initialCluster: [],
    });
  });

  it("follow from what is given: URLs from the cluster, the directory from the name", () => {
    const config = load(["--name=n2", "--initial-cluster", "n1=http://127.0.0.1:1,n2=http://127.0.0.1:2"]);
    expect(config.listenPeerUrls).toEqual(["http://127.0.0.1:2"]);
    expect(config.advertisePeerUrls).toEqual(["http://127.0.0.1:2"]);
    expect(config.dataDir).toBe("n2.d-engine");
  });
});

describe("sources", () => {
  it("go flag, environment, file", () => {
    const file = write(
      "a.json",
      JSON.stringify({ name: "file", "max-txn-ops": 5, "heartbeat-interval": 20 }),
    );
    const env = { ETCD_NAME: "env", ETCD_MAX_TXN_OPS: "6" };
    const config = load(["--name", "flag", `--config-file=${file}`], env);
    expect([config.name, config.maxTxnOps, config.heartbeatIntervalMs]).toEqual(["flag", 6, 20]);
    expect(load([], { D_ENGINE_CONFIG_FILE: file }).name).toBe("file");
  });

  it("may be lists and objects where that is natural", () => {
    const file = write(
      "b.json",
      JSON.stringify({ "listen-client-urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"] }),
    );
    expect(load(["--config-file", file]).listenClientUrls).toEqual([
      "http://127.0.0.1:1",
      "http://127.0.0.1:2",
    ]);
    const { config } = loadEmbeddedConfig(
      {
        dataDir: "x",
        name: "a",
        initialCluster: { a: "http://127.0.0.1:1", b: ["http://h:2", "http://i:2"] },
      },
      { ETCD_NAME: "z" },
    );
    expect(config.initialCluster).toEqual([
      { name: "a", peerUrls: ["http://127.0.0.1:1"] },
      { name: "b", peerUrls: ["http://h:2", "http://i:2"] },
    ]);
  });

  it("read secrets from files", () => {
    const config = load([
      "--peer-secret-file",
      join(dir, "secret"),
      "--client-token-file",
      join(dir, "secret"),
    ]);
    expect(new TextDecoder().decode(config.peerSecret)).toBe("0123456789abcdef");
    expect(config.clientToken).toBe("0123456789abcdef");
  });

  it("only warn of unknown variables, since ETCD_PORT and the like are set by others", () => {
    const loaded = loadServerConfig([], {
      ETCD_PORT: "tcp://1.2.3.4:1",
      ETCD_NAMES: "x",
      D_ENGINE_TOKEN: "t",
      ETCD_NAME: "",
    });
    expect(loaded?.warnings).toEqual([
      expect.stringContaining("ETCD_PORT"),
      "unknown environment variable ETCD_NAMES (did you mean ETCD_NAME?)",
    ]);
    expect(loaded?.config.name).toBe("default");
  });

  it("read switches with and without a value", () => {
    const open = ["--listen-client-urls=http://0.0.0.0:1", "--advertise-client-urls=http://h:1"];
    expect(() => load([...open, "--insecure"])).not.toThrow();
    expect(() => load([...open, "--insecure=true"])).not.toThrow();
    expect(() => load([...open, "--insecure=false"])).toThrow(/reachable from other machines/);
  });

  it("know loopback by all its names, and nothing else for it", () => {
    for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]"]) {
      expect(() => load([`--listen-client-urls=http://${host}:1`])).not.toThrow();
    }
    for (const host of ["10.0.0.1", "[::2]", "0.0.0.0", "[::]", "[::ffff:10.0.0.1]"]) {
      const args = [`--listen-client-urls=http://${host}:1`, "--advertise-client-urls=http://h:1"];
      expect(() => load(args)).toThrow(/is reachable from other machines/);
    }
  });

  it("give way to --help", () => {
    expect(loadServerConfig(["--name", "x", "--help"], {})).toBeNull();
    expect(loadServerConfig(["-h"], {})).toBeNull();
  });
});

const SECRET = "--peer-secret=0123456789abcdef";
const PUBLIC_PEER = ["--listen-peer-urls=http://0.0.0.0:2380", "--initial-advertise-peer-urls=http://h:2380"];

describe("compaction by itself", () => {
  it.each<[string[], object | null]>([
    [[], null],
    [["--auto-compaction-retention=0"], null],
    [["--auto-compaction-retention=0s"], null],
    [["--auto-compaction-retention=2"], { mode: "periodic", retentionMs: 7_200_000 }],
    [["--auto-compaction-retention=1h30m"], { mode: "periodic", retentionMs: 5_400_000 }],
    [["--auto-compaction-retention=10s500ms"], { mode: "periodic", retentionMs: 10_500 }],
    [
      ["--auto-compaction-mode=revision", "--auto-compaction-retention=1000"],
      { mode: "revision", retention: 1000 },
    ],
    [["--auto-compaction-mode=revision"], null],
  ])("%j", (flags, expected) => {
    expect(loadServerConfig(flags, {})!.config.autoCompaction).toEqual(expected);
  });
});

describe("what is refused", () => {
  it.each<[string, string[], RegExp]>([
    [
      "an unknown flag",
      ["--heartbeat-intervall", "1"],
      /--heartbeat-intervall is not a known setting \(did you mean --heartbeat-interval\?\)/,
    ],
    ["an unknown flag like nothing", ["--zzzzzzzzzz"], /--zzzzzzzzzz is not a known setting$/],
    ["a flag of etcd's", ["--wal-dir=x"], /--wal-dir is not supported yet: log and state share --data-dir/],
    [
      "a time that is none",
      ["--auto-compaction-retention", "1 hour"],
      /--auto-compaction-retention must be a time like 30m or 1h30m, or a number of hours, not "1 hour"/,
    ],
    [
      "a time where revisions are counted",
      ["--auto-compaction-mode=revision", "--auto-compaction-retention=1h"],
      /--auto-compaction-retention must be a whole number of revisions/,
    ],
    [
      "another mode",
      ["--auto-compaction-mode=daily"],
      /--auto-compaction-mode must be one of periodic, revision/,
    ],
    ["a flag given twice", ["--name", "a", "--name=b"], /--name is given twice/],
    ["a flag without its value", ["--name"], /--name needs a value/],
    ["a flag that swallowed the next", ["--name", "--data-dir", "x"], /--name needs a value/],
    ["a stray word", ["serve-me"], /"serve-me" belongs to no flag/],
    [
      "a number that is none",
      ["--heartbeat-interval=5s"],
      /--heartbeat-interval must be a whole number of milliseconds from 1 to 600000, not "5s"/,
    ],
    [
      "a number out of bounds",
      ["--quota-backend-bytes", "-1"],
      /--quota-backend-bytes must be a whole number of bytes from 0 to 34359738368, not "-1"/,
    ],
    [
      "a number that is too small",
      ["--max-txn-ops", "0"],
      /--max-txn-ops must be a whole number of operations from 1/,
    ],
    [
      "a choice that is none",
      ["--default-consistency=strong"],
      /must be one of linearizable, lease, eventual, not "strong"/,
    ],
    ["a log level that is none", ["--log-level=verbose"], /--log-level must be one of debug/],
    ["a cluster state that is none", ["--initial-cluster-state=old"], /must be one of new, existing/],
    ["a switch that is neither", ["--insecure=maybe"], /--insecure must be true or false, not "maybe"/],
    [
      "heartbeats too rare",
      ["--heartbeat-interval=400"],
      /--election-timeout \(1000 ms\) must be at least three times --heartbeat-interval \(400 ms\)/,
    ],
    [
      "a URL that is none",
      ["--listen-client-urls=localhost:2379"],
      /--listen-client-urls: "localhost:2379" is not a URL like/,
    ],
    ["a URL without port", ["--listen-client-urls=http://localhost"], /must name its port/],
    ["a URL with a path", ["--listen-client-urls=http://localhost:1/x"], /must end after the port/],
    ["a URL with a user", ["--listen-client-urls=http://a@localhost:1"], /is not a URL like/],
    ["an impossible port", ["--listen-client-urls=http://localhost:65536"], /impossible port/],
    [
      "a name to listen on",
      ["--listen-client-urls=http://example.com:1"],
      /"http:\/\/example.com:1" must have an IP address or localhost/,
    ],
    ["an unusable name", ["--name=a,b"], /--name must be up to 100 characters/],
    ["an empty name", ["--name= "], /--name must not be empty/],
    ["an unusable group", ["--group=a/b"], /--group must be/],
    [
      "a cluster without this member",
      ["--initial-cluster=a=http://127.0.0.1:1"],
      /--initial-cluster does not contain this member's --name "default"/,
    ],
    [
      "a cluster entry without name",
      ["--initial-cluster=http://127.0.0.1:1"],
      /"http:\/\/127.0.0.1:1" is not of the form name=/,
    ],
    [
      "two members with one URL",
      ["--name=a", "--initial-cluster=a=http://127.0.0.1:1,b=http://127.0.0.1:1"],
      /a and b have the same URL/,
    ],
    [
      "other URLs than the cluster knows",
      [
        "--name=a",
        "--initial-cluster=a=http://127.0.0.1:1",
        "--initial-advertise-peer-urls=http://127.0.0.1:2",
      ],
      /gives a the URLs http:\/\/127.0.0.1:1, but --initial-advertise-peer-urls says http:\/\/127.0.0.1:2/,
    ],
    [
      "a name in the cluster and nowhere to listen",
      ["--name=a", "--initial-cluster=a=http://h:1"],
      /set --listen-peer-urls: http:\/\/h:1/,
    ],
    ["joining nobody", ["--initial-cluster-state=existing"], /--initial-cluster must name the members/],
    [
      "announcing every address",
      ["--listen-client-urls=http://0.0.0.0:1", "--insecure"],
      /set --advertise-client-urls: --listen-client-urls is http:\/\/0.0.0.0:1/,
    ],
    [
      "a public peer URL without secret",
      PUBLIC_PEER,
      /--listen-peer-urls: http:\/\/0.0.0.0:2380 is reachable from other machines, but no peer secret is set.*--peer-secret-file.*--insecure/,
    ],
    [
      "a public client URL without token",
      [SECRET, "--listen-client-urls=http://10.0.0.1:1"],
      /no client token is set.*--client-token-file.*--insecure/,
    ],
    [
      "a secret that could be guessed",
      ["--peer-secret=short"],
      /--peer-secret: at least 16 characters are needed, 5 are given/,
    ],
    [
      "a token no header can carry",
      ["--client-token=ä123456789012345"],
      /--client-token: only printable ASCII/,
    ],
    ["two secrets", [SECRET, "--peer-secret-file=x"], /exclude each other/],
    [
      "a file that is not there",
      ["--peer-secret-file=/does/not/exist"],
      /--peer-secret-file: cannot read \/does\/not\/exist/,
    ],
    ["a config file that is not there", ["--config-file=/does/not/exist"], /--config-file: cannot read/],
    [
      "https without certificate",
      ["--listen-client-urls=https://127.0.0.1:1"],
      /https:\/\/127.0.0.1:1 needs --cert-file and --key-file/,
    ],
    [
      "peers' https without certificate",
      ["--listen-peer-urls=https://127.0.0.1:1"],
      /needs --peer-cert-file and --peer-key-file/,
    ],
    [
      "an authority without certificate",
      ["--client-cert-auth"],
      /--client-cert-auth needs --cert-file and --key-file/,
    ],
  ])("%s", (_name, args, message) => {
    expect(() => load(args)).toThrow(message);
    expect(() => load(args)).toThrow(expect.objectContaining({ code: "invalidConfig" }));
  });

  it("names the certificate settings that do not fit together", () => {
    const cert = join(dir, "cert.pem");
    const https = "--listen-client-urls=https://127.0.0.1:1";
    expect(() => load([`--cert-file=${cert}`])).toThrow(/--cert-file needs --key-file as well/);
    expect(() => load([`--key-file=${cert}`])).toThrow(/--key-file needs --cert-file as well/);
    expect(() => load([`--cert-file=${cert}`, `--key-file=${cert}`])).toThrow(/would protect nothing/);
    expect(() => load([https, `--cert-file=${cert}`, `--key-file=${cert}`, "--client-cert-auth"])).toThrow(
      /--client-cert-auth needs --trusted-ca-file/,
    );
  });

  it("knows what members' certificates must be called, and the oldest version of TLS", () => {
    const cert = join(dir, "cert.pem");
    const peers = "--listen-peer-urls=https://127.0.0.1:1";
    const args = ["cert", "key", "trusted-ca"].map((name) => `--peer-${name}-file=${cert}`);
    expect(load([peers, ...args]).peerTls).toMatchObject({
      minVersion: "TLSv1.2",
      requireClientCert: false,
      allowedCn: null,
      files: { cert, key: cert, ca: cert },
    });
    const named = [peers, ...args, "--peer-cert-allowed-cn=m"];
    expect(() => load(named)).toThrow(/--peer-cert-allowed-cn needs --peer-client-cert-auth/);
    const all = [...named, "--peer-client-cert-auth", "--tls-min-version=TLS1.3"];
    expect(load(all).peerTls).toMatchObject({ minVersion: "TLSv1.3", allowedCn: "m" });
    expect(() => load([...named, "--tls-min-version=TLS1.1"])).toThrow(/must be one of TLS1.2, TLS1.3/);
  });

  it("wants the same of clients and members on one address", () => {
    const cert = join(dir, "cert.pem");
    const urls = ["client", "peer"].map((name) => `--listen-${name}-urls=https://127.0.0.1:1`);
    const pair = ["", "peer-"].flatMap((of) => [`--${of}cert-file=${cert}`, `--${of}key-file=${cert}`]);
    const both = [...urls, ...pair, ...["", "peer-"].map((of) => `--${of}trusted-ca-file=${cert}`)];
    expect(load([...urls, ...pair]).clientTls?.requireClientCert).toBe(false);
    expect(() => load(both)).toThrow(/must be the same/);
    const demanded = [...both, "--client-cert-auth", "--peer-client-cert-auth"];
    expect(load(demanded).peerTls?.requireClientCert).toBe(true);
    expect(() => load([...demanded, "--peer-cert-allowed-cn=m"])).toThrow(/must be the same/);
  });

  it("takes a demanded client certificate for a key", () => {
    const cert = join(dir, "cert.pem");
    const args = [`--cert-file=${cert}`, `--key-file=${cert}`, `--trusted-ca-file=${cert}`];
    const urls = "--listen-client-urls=https://10.0.0.1:1";
    expect(load([urls, ...args, "--client-cert-auth"]).clientTls?.requireClientCert).toBe(true);
    // As with etcd, to name the authority is to demand its certificates.
    expect(load([urls, ...args]).clientTls).toMatchObject({ requireClientCert: true, certNamesUser: false });
    expect(() => load([urls, ...args.slice(0, 2)])).toThrow(/no client token/);
    expect(() => load([`${urls},http://10.0.0.1:2`, ...args, "--client-cert-auth"])).toThrow(
      /http:\/\/10.0.0.1:2 is/,
    );
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ["a bad value", { ETCD_ELECTION_TIMEOUT: "x" }, /ETCD_ELECTION_TIMEOUT must be a whole number/],
    ["an unsupported variable", { ETCD_WAL_DIR: "x" }, /ETCD_WAL_DIR is not supported yet/],
    ["a short token", { D_ENGINE_CLIENT_TOKEN: "x" }, /D_ENGINE_CLIENT_TOKEN: at least/],
  ])("names the variable of %s", (_name, env, message) => {
    expect(() => load([], env)).toThrow(message);
  });

  it.each<[string, string, RegExp]>([
    ["no JSON", "{", /config.json is not JSON/],
    ["no object", "[]", /must hold a JSON object/],
    [
      "an unknown key",
      '{"nmae":"x"}',
      /"nmae" in .*config.json is not a known setting \(did you mean name\?\)/,
    ],
    ["a bad value", '{"max-txn-ops":"x"}', /"max-txn-ops" in .*config.json must be a whole number/],
    ["a value of the wrong type", '{"name":{}}', /"name" in .*config.json must be a string/],
    ["another config file", '{"config-file":"x"}', /one file does not name another/],
    ["an unsupported key", '{"wal-dir":"x"}', /"wal-dir" in .*config.json is not supported yet/],
  ])("names the key in a file with %s", (_name, content, message) => {
    expect(() => load([`--config-file=${write("config.json", content)}`])).toThrow(message);
  });

  it("names the option of an embedded engine", () => {
    expect(() => loadEmbeddedConfig({ dataDirectory: "x" }, {})).toThrow(/no option dataDirectory/);
    expect(() => loadEmbeddedConfig({ requestTimeouts: 1 }, {})).toThrow(/did you mean requestTimeout\?/);
    expect(() => loadEmbeddedConfig({ requestTimeout: -1 }, {})).toThrow(
      /option requestTimeout must be a whole/,
    );
    expect(() =>
      loadEmbeddedConfig({ listenClientUrls: "http://0.0.0.0:1", advertiseClientUrls: "http://h:1" }, {}),
    ).toThrow(/option listenClientUrls: .* is reachable/);
  });
});
