import type { Consistency, Logger, LogLevel, NodeObserver, StorageEngine } from "../../core/node/index.ts";
import { loadEmbeddedConfig } from "./config/load-config.ts";
import { invalid } from "./config/raw-settings.ts";
import type { BaseHostOptions } from "./node-host.ts";
import { type LogFormat, nodeLogger } from "./node-logger.ts";

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
  readonly peerCertAllowedCn?: string;
  readonly tlsMinVersion?: "TLS1.2" | "TLS1.3";
  /** Milliseconds. */
  readonly heartbeatInterval?: number;
  /** Milliseconds. */
  readonly electionTimeout?: number;
  /** Milliseconds. */
  readonly requestTimeout?: number;
  /**
   * Milliseconds with nothing to do after which members stop telling each other that they are there, until somebody asks
   * for something; 0: never, the default. The same on all members.
   */
  readonly sleepAfter?: number;
  readonly snapshotCount?: number;
  readonly maxRequestBytes?: number;
  readonly maxTxnOps?: number;
  /** Most that a read is answered, in bytes; 0: no bound. Default: 128 MiB. */
  readonly maxRangeBytes?: number;
  /** gRPC calls under way on one connection. */
  readonly maxConcurrentStreams?: number;
  /** gRPC clients that ping more often are sent away: a time like `5s`. */
  readonly grpcKeepaliveMinTime?: string;
  /** A gRPC client from whom nothing has come for so long is asked whether it lives: a time like `2h`. */
  readonly grpcKeepaliveInterval?: string;
  /** And how long it has to answer. */
  readonly grpcKeepaliveTimeout?: string;
  /** Memory that keys, values and their history may take, in bytes. Default: 1 GiB. */
  readonly quotaBackendBytes?: number;
  /** What `autoCompactionRetention` counts. Default: periodic. */
  readonly autoCompactionMode?: "periodic" | "revision";
  /** How much history is kept: a time like `30m` or `1h30m`, or a number of revisions. Default: all of it. */
  readonly autoCompactionRetention?: string | number;
  readonly defaultConsistency?: Consistency;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  /** Takes what the engine has to say. Default: warnings and errors on standard error. */
  readonly logger?: Logger;
  /** Told what the node measures, as it happens: for metrics of your own, with or without `/metrics`. */
  readonly observer?: NodeObserver;
  /** Instead of SQLite in the data directory: `--storage`'s URL, or stores of your own. */
  readonly storage?: string | StorageEngine;
  /** Term, vote and identity in another place than `storage`: a URL. */
  readonly storageMeta?: string;
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What a host is to be told, from what an embedding application said. @throws EngineError `invalidConfig`. */
export function embeddedHostOptions(dataDir: string, options: EmbeddedOptions): BaseHostOptions {
  const { logger: givenLogger, observer, storage, env = process.env, ...settings } = options;
  const own = typeof storage === "object" ? storage : undefined;
  if (own !== undefined && settings.storageMeta !== undefined) {
    throw invalid("option storageMeta: stores of your own bring their own metadata");
  }
  const named = typeof storage === "string" ? { storage } : {};
  const { config, warnings } = loadEmbeddedConfig({ ...settings, ...named, dataDir }, env);
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const logger = givenLogger ?? nodeLogger({ level: config.logLevel, format });
  for (const warning of warnings) logger.log("warn", warning);
  return {
    config,
    logger,
    replaceGlobals: false,
    ...(observer === undefined ? {} : { observer: harmless(observer, logger) }),
    ...(own === undefined ? {} : { storage: own }),
  };
}

/** It is called in the middle of the node's work, which must go on whatever it throws. */
function harmless(observer: NodeObserver, logger: Logger): NodeObserver {
  return (measurement, value) => {
    try {
      observer(measurement, value);
    } catch (error) {
      logger.log("error", "the observer failed", { measurement, error });
    }
  };
}
