import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MAX_COMMAND_BYTES } from "../../../core/node/codec/index.ts";
import {
  type AutoCompaction,
  NODE_DEFAULTS,
  type Consistency,
  type LogLevel,
} from "../../../core/node/index.ts";
import { RAFT_DEFAULTS } from "../../../core/raft/index.ts";
import { MAX_GROUP_ID_BYTES } from "../../http/peer/index.ts";
import type { GrpcSettings } from "../grpc/settings.ts";
import { LOG_LEVELS, type LogFormat } from "../node-logger.ts";
import { type ClusterAddresses, clusterAddresses, type Profile } from "./cluster-addresses.ts";
import { durationMs } from "./duration.ts";
import { grpcSettings } from "./grpc-settings.ts";
import { invalid, type RawSettings } from "./raw-settings.ts";
import { SettingReader } from "./setting-reader.ts";
import { parseStorageUrl, type StorageLocation } from "./storage-url.ts";
import type { Pem } from "../tls/pem.ts";
import { tlsConfig } from "./tls-settings.ts";
import { isHttps, isLoopback } from "./urls.ts";

/** Certificates of one kind of listener, as they were when the configuration was read. */
export interface TlsConfig extends Pem {
  /** Where they came from. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string | null };
  readonly minVersion: TlsVersion;
  /** Whoever connects must show a certificate of that authority. */
  readonly requireClientCert: boolean;
  /** The common name of such a certificate is that of a user, for those who present no token. */
  readonly certNamesUser: boolean;
  /** What the other side's certificate must have for a common name. */
  readonly allowedCn: string | null;
}

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Everything that a server can be told. Durations in milliseconds, sizes in bytes. */
export interface ServerConfig extends ClusterAddresses {
  readonly dataDir: string;
  /** Where the log and the snapshots are kept, and the metadata unless `storageMeta` says otherwise. */
  readonly storage: StorageLocation;
  readonly storageMeta: StorageLocation | null;
  readonly groupId: string;
  readonly initialClusterToken: string;
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  /** After so long with nothing to do the group sleeps; 0: never. */
  readonly sleepAfterMs: number;
  readonly snapshotEntries: number;
  readonly maxRequestBytes: number;
  readonly maxTxnOps: number;
  /** Infinity: no bound. */
  readonly maxRangeBytes: number;
  readonly grpc: GrpcSettings;
  readonly quotaBytes: number;
  readonly autoCompaction: AutoCompaction | null;
  readonly defaultConsistency: Consistency;
  readonly requestTimeoutMs: number;
  readonly clientTls: TlsConfig | null;
  readonly peerTls: TlsConfig | null;
  /** Empty when there is none. */
  readonly peerSecret: Uint8Array;
  readonly clientToken: string | null;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat | null;
}

const CONSISTENCIES: readonly Consistency[] = ["linearizable", "lease", "eventual"];

/**
 * Turns settings into a configuration that can work, or says which setting cannot and why.
 *
 * @param profile a `server` listens on loopback when nothing else is said; what is `embedded` does not listen at all.
 * @throws EngineError `invalidConfig`.
 */
export function serverConfig(settings: RawSettings, profile: Profile): ServerConfig {
  const reader = new SettingReader(settings);
  const addresses = clusterAddresses(reader, profile);
  const clientTls = tlsConfig(reader, "", addresses.listenClientUrls);
  const peerTls = tlsConfig(reader, "peer-", addresses.listenPeerUrls);
  refuseMixedListener(reader, addresses, clientTls, peerTls);
  const peerSecret = reader.secret("peer-secret");
  const clientToken = reader.secret("client-token");
  if (clientToken !== null && !/^[\x21-\x7e]+$/.test(clientToken)) {
    throw invalid(
      `${reader.label(reader.has("client-token") ? "client-token" : "client-token-file")}: ` +
        "only printable ASCII characters without spaces can be sent in a header",
    );
  }
  if (!reader.switch("insecure")) {
    refuseOpenDoors(reader, addresses.listenPeerUrls, PEERS, peerSecret !== null, peerTls);
    refuseOpenDoors(reader, addresses.listenClientUrls, CLIENTS, clientToken !== null, clientTls);
  }
  return {
    ...addresses,
    ...timing(reader),
    ...storageLocations(reader, addresses.name),
    groupId: groupId(reader),
    initialClusterToken: initialClusterToken(reader),
    snapshotEntries: reader.number(
      "snapshot-count",
      { min: 1, max: 1e9, unit: "writes" },
      NODE_DEFAULTS.snapshotEntries,
    ),
    maxRequestBytes: reader.number(
      "max-request-bytes",
      { min: 1024, max: MAX_COMMAND_BYTES, unit: "bytes" },
      NODE_DEFAULTS.maxRequestBytes,
    ),
    maxTxnOps: reader.number(
      "max-txn-ops",
      { min: 1, max: 10_000, unit: "operations" },
      NODE_DEFAULTS.maxTxnOps,
    ),
    maxRangeBytes: reader.number("max-range-bytes", RANGE_LIMITS, NODE_DEFAULTS.maxRangeBytes) || Infinity,
    grpc: grpcSettings(reader),
    // As etcd reads 0.
    quotaBytes: reader.number("quota-backend-bytes", QUOTA_LIMITS, 0) || NODE_DEFAULTS.quotaBytes,
    autoCompaction: autoCompaction(reader),
    defaultConsistency: reader.oneOf("default-consistency", CONSISTENCIES, NODE_DEFAULTS.defaultConsistency),
    clientTls,
    peerTls,
    peerSecret: new TextEncoder().encode(peerSecret ?? ""),
    clientToken,
    // A library speaks up only when something is wrong.
    logLevel: reader.oneOf("log-level", LOG_LEVELS, profile === "embedded" ? "warn" : "info"),
    logFormat: reader.has("log-format")
      ? reader.oneOf<LogFormat>("log-format", ["text", "json"], "text")
      : null,
  };
}

/** Where a member keeps its stores. @throws EngineError `invalidConfig`. */
export function storageLocations(
  reader: SettingReader,
  name: string,
): Pick<ServerConfig, "dataDir" | "storage" | "storageMeta"> {
  const dataDir = reader.text("data-dir", join(".", `${name}.d-engine`));
  const [main, meta] = [reader.raw("storage"), reader.raw("storage-meta")];
  const location: StorageLocation =
    main === undefined ? { type: "sqlite", dir: dataDir } : parseStorageUrl(main);
  const storageMeta = meta === undefined ? null : parseStorageUrl(meta);
  if (isDeepStrictEqual(location, storageMeta)) {
    throw invalid(`${reader.label("storage-meta")} names the place of --storage: leave it out`);
  }
  return { dataDir, storage: location, storageMeta };
}

function timing(
  reader: SettingReader,
): Pick<ServerConfig, "heartbeatIntervalMs" | "electionTimeoutMs" | "sleepAfterMs" | "requestTimeoutMs"> {
  const limits = { min: 1, max: 600_000, unit: "milliseconds" };
  const heartbeatIntervalMs = reader.number("heartbeat-interval", limits, RAFT_DEFAULTS.heartbeatIntervalMs);
  const electionTimeoutMs = reader.number("election-timeout", limits, RAFT_DEFAULTS.electionTimeoutMs);
  if (electionTimeoutMs < heartbeatIntervalMs * 3) {
    throw invalid(
      `${reader.label("election-timeout")} (${electionTimeoutMs} ms) must be at least three times ` +
        `${reader.label("heartbeat-interval")} (${heartbeatIntervalMs} ms)`,
    );
  }
  const requestTimeoutMs = reader.number("request-timeout", limits, NODE_DEFAULTS.requestTimeoutMs);
  const day = { min: 0, max: 86_400_000, unit: "milliseconds" };
  const sleepAfterMs = reader.number("sleep-after", day, RAFT_DEFAULTS.quiesceAfterMs);
  return { heartbeatIntervalMs, electionTimeoutMs, sleepAfterMs, requestTimeoutMs };
}

/** Up to what a record heap can address. */
const RANGE_LIMITS = { min: 0, max: 2 ** 35, unit: "bytes" } as const;
const QUOTA_LIMITS = { min: 0, max: 2 ** 35, unit: "bytes" } as const;
const MODES: readonly AutoCompaction["mode"][] = ["periodic", "revision"];

/** As etcd reads it: a number of revisions; or a duration, of which a bare number means hours. 0 switches it off. */
function autoCompaction(reader: SettingReader): AutoCompaction | null {
  const mode = reader.oneOf("auto-compaction-mode", MODES, "periodic");
  const name = "auto-compaction-retention";
  const text = reader.text(name, "0");
  if (mode === "revision") {
    const retention = reader.number(name, { min: 0, max: Number.MAX_SAFE_INTEGER, unit: "revisions" }, 0);
    return retention === 0 ? null : { mode, retention };
  }
  const retentionMs = /^\d{1,6}$/.test(text) ? Number(text) * 3_600_000 : durationMs(text);
  if (retentionMs === null || retentionMs > MAX_RETENTION_MS) {
    throw invalid(
      `${reader.label(name)} must be a time like 30m or 1h30m, or a number of hours, not "${text}"`,
    );
  }
  return retentionMs === 0 ? null : { mode, retentionMs };
}

const MAX_RETENTION_MS = 10 * 365 * 24 * 3_600_000;

export function initialClusterToken(reader: SettingReader): string {
  return reader.text("initial-cluster-token", "d-engine-cluster");
}

export function groupId(reader: SettingReader): string {
  const id = reader.text("group", "default");
  if (/^[\w.-]+$/.test(id) && id.length <= MAX_GROUP_ID_BYTES) return id;
  throw invalid(
    `${reader.label("group")} must be up to ${MAX_GROUP_ID_BYTES} letters, digits, dots, dashes and underscores`,
  );
}

/** One socket has one certificate. */
function refuseMixedListener(
  reader: SettingReader,
  { listenClientUrls, listenPeerUrls }: ClusterAddresses,
  clientTls: TlsConfig | null,
  peerTls: TlsConfig | null,
): void {
  const shared = listenClientUrls.find((url) => isHttps(url) && listenPeerUrls.includes(url));
  if (shared === undefined || isDeepStrictEqual(clientTls, peerTls)) return;
  throw invalid(
    `${reader.label("listen-client-urls")}: ${shared} serves members as well, so the certificate settings of both ` +
      "must be the same",
  );
}

interface Door {
  readonly listen: string;
  readonly danger: string;
  readonly remedy: string;
}

const PEERS: Door = {
  listen: "listen-peer-urls",
  danger: "no peer secret is set, so anyone who reaches it could take over the cluster",
  remedy: "Set the same --peer-secret-file (or D_ENGINE_PEER_SECRET) on every member",
};

const CLIENTS: Door = {
  listen: "listen-client-urls",
  danger: "no client token is set, so anyone who reaches it could read and write everything",
  remedy: "Set --client-token-file (or D_ENGINE_CLIENT_TOKEN)",
};

/** Nothing is open on a public address unless someone said so. A demanded client certificate is a key as well. */
function refuseOpenDoors(
  reader: SettingReader,
  urls: readonly string[],
  door: Door,
  hasSecret: boolean,
  tls: TlsConfig | null,
): void {
  const demandsCert = tls !== null && tls.requireClientCert;
  const open = urls.find((url) => !isLoopback(url) && !hasSecret && !(demandsCert && isHttps(url)));
  if (open === undefined) return;
  throw invalid(
    `${reader.label(door.listen)}: ${open} is reachable from other machines, but ${door.danger}. ` +
      `${door.remedy}, listen on 127.0.0.1, or say --insecure`,
  );
}
