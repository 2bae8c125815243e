/*
 * Every setting of a server, once. Names are etcd's where the meaning is etcd's. A setting is given as a flag
 * (`--name value` or `--name=value`), in the environment, in a JSON configuration file under the flag's name, or to
 * EmbeddedEngine in camelCase; the first of these that names it wins.
 */

export type SettingKind = "text" | "urls" | "number" | "switch" | "file";

export interface Setting {
  readonly name: string;
  readonly kind: SettingKind;
  /** Variable in the environment. */
  readonly env: string;
  readonly section: "Member" | "Cluster" | "Security" | "Limits and timing" | "Logging";
  readonly help: string;
  /** As the help shows it. */
  readonly default?: string;
}

type Row = readonly [name: string, kind: SettingKind, help: string, byDefault?: string];

const ETCD: Readonly<Record<Setting["section"], readonly Row[]>> = {
  Member: [
    ["name", "text", "this member's name, unique in the cluster", "default"],
    ["data-dir", "file", "where this member keeps its log and snapshots", "<name>.d-engine"],
    ["listen-client-urls", "urls", "where to listen for clients", "http://localhost:2379"],
    ["advertise-client-urls", "urls", "where clients reach this member", "the listen URLs"],
    ["listen-peer-urls", "urls", "where to listen for other members", "http://localhost:2380"],
  ],
  Cluster: [
    ["initial-advertise-peer-urls", "urls", "where other members reach this one", "the listen URLs"],
    ["initial-cluster", "text", "founding members: name=peer-url,name=peer-url,...", "this member alone"],
    ["initial-cluster-state", "text", "new: found the cluster; existing: join it after `member add`", "new"],
    ["initial-cluster-token", "text", "tells clusters with the same URLs apart", "d-engine-cluster"],
  ],
  Security: [
    ["cert-file", "file", "certificate for https client URLs (PEM)"],
    ["key-file", "file", "its key (PEM)"],
    ["trusted-ca-file", "file", "authority of client certificates (PEM)"],
    ["client-cert-auth", "switch", "demand a client certificate; its common name is a user's"],
    ["peer-cert-file", "file", "certificate for peer URLs, both ways (PEM)"],
    ["peer-key-file", "file", "its key (PEM)"],
    ["peer-trusted-ca-file", "file", "authority of members' certificates (PEM)"],
    ["peer-client-cert-auth", "switch", "demand a certificate from other members"],
    ["peer-cert-allowed-cn", "text", "common name that members' certificates must have"],
    ["tls-min-version", "text", "TLS1.2 or TLS1.3", "TLS1.2"],
  ],
  "Limits and timing": [
    ["heartbeat-interval", "number", "milliseconds between a leader's heartbeats", "100"],
    [
      "election-timeout",
      "number",
      "milliseconds without a leader before an election; the same on all members",
      "1000",
    ],
    ["snapshot-count", "number", "writes between two snapshots", "100000"],
    [
      "quota-backend-bytes",
      "number",
      "memory that keys, values and their history may take; 0: the default",
      "1073741824",
    ],
    ["max-request-bytes", "number", "largest request", "1572864"],
    ["max-txn-ops", "number", "operations in one transaction", "128"],
    ["max-concurrent-streams", "number", "gRPC calls under way on one connection", "10000"],
    ["grpc-keepalive-min-time", "text", "gRPC clients that ping more often are sent away", "5s"],
    ["grpc-keepalive-interval", "text", "ping a gRPC client from whom nothing has come for so long", "2h"],
    ["grpc-keepalive-timeout", "text", "and hang up when it has not answered after this", "20s"],
    ["auto-compaction-mode", "text", "what is kept of history: periodic or revision", "periodic"],
    [
      "auto-compaction-retention",
      "text",
      "how much: a time like 30m (a bare number means hours), or a number of revisions; 0: everything",
      "0",
    ],
  ],
  Logging: [["log-level", "text", "debug, info, warn or error", "info"]],
};

const OURS: Readonly<Partial<Record<Setting["section"], readonly Row[]>>> = {
  Member: [
    [
      "storage",
      "text",
      "sqlite:DIR, memory:, s3://BUCKET/PREFIX, gs://..., r2://... or dynamodb://TABLE/PREFIX",
      "sqlite: in the data directory",
    ],
    ["storage-meta", "text", "the same for term, vote and identity alone", "where the log is"],
  ],
  Cluster: [["group", "text", "Raft group that this process serves", "default"]],
  Security: [
    [
      "peer-secret",
      "text",
      "shared by all members; better in the environment or a file than on a command line",
    ],
    ["peer-secret-file", "file", "file with the peer secret"],
    ["client-token", "text", "clients send it as `Authorization: Bearer ...`"],
    ["client-token-file", "file", "file with the client token"],
    ["insecure", "switch", "listen on public addresses without secrets"],
  ],
  "Limits and timing": [
    [
      "default-consistency",
      "text",
      "reads that name no policy: linearizable, lease or eventual",
      "linearizable",
    ],
    [
      "max-range-bytes",
      "number",
      "largest answer to a read, keys and values and 64 bytes for each key; 0: no limit",
      "134217728",
    ],
    ["request-timeout", "number", "milliseconds until a request is given up", "5000"],
    [
      "sleep-after",
      "number",
      "milliseconds with nothing to do until members fall silent; 0: never; the same on all members",
      "0",
    ],
  ],
  Logging: [["log-format", "text", "text or json", "text on a terminal, else json"]],
};

/** Sections in the order of the help text. */
export const SECTIONS: readonly Setting["section"][] = [
  "Member",
  "Cluster",
  "Security",
  "Limits and timing",
  "Logging",
];

export const SETTINGS: ReadonlyMap<string, Setting> = new Map(
  SECTIONS.flatMap((section) => [
    ...ETCD[section].map((row) => setting(section, row, "ETCD")),
    ...(OURS[section] ?? []).map((row) => setting(section, row, "D_ENGINE")),
  ]).map((each) => [each.name, each]),
);

/** etcd's settings whose meaning this server does not have: refused, since to ignore one would be to lie about it. */
export const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ["auto-tls", "make a certificate and give --cert-file and --key-file"],
  ["peer-auto-tls", "make a certificate and give --peer-cert-file and --peer-key-file"],
  ["wal-dir", "log and state share --data-dir"],
  ["discovery", "name the members in --initial-cluster"],
  ["discovery-srv", "name the members in --initial-cluster"],
  ["force-new-cluster", "there is no recovery from a lost quorum"],
  ["listen-metrics-urls", "metrics are at /metrics of the client URLs"],
  ["auth-token", "tokens are signed with a key that the cluster draws for itself"],
  ["client-crl-file", "there are no revocation lists"],
  ["peer-crl-file", "there are no revocation lists"],
  [
    "client-cert-allowed-hostname",
    "a certificate's common name is a user's, and roles say what that user may do",
  ],
  ["peer-cert-allowed-hostname", "say --peer-cert-allowed-cn"],
  ["cipher-suites", "they are those of Node, for TLS 1.2 and later"],
  ["host-whitelist", "there is no check of the Host header"],
  ["cors", "there are no cross-origin headers"],
]);

/** A setting's name as an environment variable. */
export function envName(prefix: string, name: string): string {
  return `${prefix}_${name.replaceAll("-", "_").toUpperCase()}`;
}

/** A setting's name as an option of EmbeddedEngine. */
export function optionName(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

function setting(section: Setting["section"], [name, kind, help, byDefault]: Row, prefix: string): Setting {
  const env = envName(prefix, name);
  return { name, kind, env, section, help, ...(byDefault === undefined ? {} : { default: byDefault }) };
}
