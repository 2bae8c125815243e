import type { Consistency, Logger, LogLevel, StorageEngine } from "../../core/node/index.ts";
import type { LogFormat } from "./node-logger.ts";

/**
 * Settings of an embedded engine: those of `d-engine serve` in camelCase. What is not given is taken from `ETCD_...`
 * and `D_ENGINE_...` variables, and then from the defaults: a single member that listens nowhere.
 */
export interface EmbeddedOptions {
  /** This member's name, unique in the cluster. */
  readonly name?: string;
  /** Where to listen for HTTP clients. Default: nowhere. */
  readonly listenClientUrls?: string | readonly string[];
  readonly advertiseClientUrls?: string | readonly string[];
  /** Where to listen for other members. Default: this member's URLs in `initialCluster`. */
  readonly listenPeerUrls?: string | readonly string[];
  readonly initialAdvertisePeerUrls?: string | readonly string[];
  /** Founding members, as `name=url,name=url` or an object: `{ n1: "http://10.0.0.1:2380", ... }`. */
  readonly initialCluster?: string | Readonly<Record<string, string | readonly string[]>>;
  /** `existing` joins a cluster that this member was added to. */
  readonly initialClusterState?: "new" | "existing";
  readonly initialClusterToken?: string;
  readonly group?: string;
  readonly peerSecret?: string;
  readonly peerSecretFile?: string;
  readonly clientToken?: string;
  readonly clientTokenFile?: string;
  readonly insecure?: boolean;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly trustedCaFile?: string;
  readonly clientCertAuth?: boolean;
  readonly peerCertFile?: string;
  readonly peerKeyFile?: string;
  readonly peerTrustedCaFile?: string;
  readonly peerClientCertAuth?: boolean;
  /** Milliseconds. */
  readonly heartbeatInterval?: number;
  /** Milliseconds. */
  readonly electionTimeout?: number;
  /** Milliseconds. */
  readonly requestTimeout?: number;
  readonly snapshotCount?: number;
  readonly maxRequestBytes?: number;
  readonly maxTxnOps?: number;
  readonly defaultConsistency?: Consistency;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  /** Takes what the engine has to say. Default: warnings and errors on standard error. */
  readonly logger?: Logger;
  /** Instead of SQLite in the data directory. */
  readonly storage?: StorageEngine;
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}
