import { KvEngine, type NodeObserver } from "../../core/node/index.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { hostAndPort, isLoopback } from "./config/urls.ts";
import { nodeBase64 } from "./node-base64.ts";
import { type BaseHostOptions, NodeHost } from "./node-host.ts";
import { VERSION } from "./version.ts";

/** A node that runs the key-value store, and serves it over HTTP where its configuration says so. */
export async function startKvHost(options: BaseHostOptions): Promise<NodeHost<KvEngine>> {
  const { config, logger } = options;
  const isServer = config.listenClientUrls.length > 0;
  // Loaded only here: an engine that serves nobody over HTTP has no use for a metrics library.
  const metrics = isServer ? new (await import("./metrics.ts")).NodeMetrics() : null;
  const observer = metrics === null ? {} : { observer: both(metrics.observer, options.observer) };
  return await NodeHost.start({
    ...options,
    ...observer,
    start: (nodeOptions) => KvEngine.start(nodeOptions),
    serveClients: async (engine, doors, transport) => {
      if (metrics === null) return;
      const measured = metrics.of(engine, transport);
      doors.serveClients({
        engine: measured.engine,
        auth: {
          ...(config.clientToken === null ? {} : { clientToken: config.clientToken }),
          // The configuration was refused unless this is safe, or someone said so.
          allowInsecure: true,
          ...ownHosts(config),
        },
        version: VERSION,
        metrics: measured.render,
        limits: { maxRequestBytes: Math.ceil(config.maxRequestBytes * 1.4) + (64 << 10) },
        base64: nodeBase64,
        logger,
      });
    },
  });
}

function both(first: NodeObserver, second: NodeObserver | undefined): NodeObserver {
  if (second === undefined) return first;
  return (measurement, value) => {
    first(measurement, value);
    second(measurement, value);
  };
}

/** On loopback alone the names are known; elsewhere, open because someone said so, there may be others. */
function ownHosts({ listenClientUrls, advertiseClientUrls }: ServerConfig): { readonly hosts?: string[] } {
  if (!listenClientUrls.every(isLoopback)) return {};
  return { hosts: advertiseClientUrls.map((url) => hostAndPort(url).host) };
}
