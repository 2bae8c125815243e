import { KvEngine } from "../../core/node/index.ts";
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
  return await NodeHost.start({
    ...options,
    start: (nodeOptions) =>
      KvEngine.start(metrics === null ? nodeOptions : { ...nodeOptions, observer: metrics.observer }),
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

/** On loopback alone the names are known; elsewhere, open because someone said so, there may be others. */
function ownHosts({ listenClientUrls, advertiseClientUrls }: ServerConfig): { readonly hosts?: string[] } {
  if (!listenClientUrls.every(isLoopback)) return {};
  return { hosts: advertiseClientUrls.map((url) => hostAndPort(url).host) };
}
