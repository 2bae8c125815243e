import { GRPC_DEFAULTS, type GrpcSettings } from "../grpc/settings.ts";
import { durationMs } from "./duration.ts";
import { invalid } from "./raw-settings.ts";
import type { SettingReader } from "./setting-reader.ts";

/** What a timer can wait. */
const MAX_MS = 2 ** 31 - 1;

/** etcd's settings of its gRPC server. */
export function grpcSettings(reader: SettingReader): GrpcSettings {
  return {
    maxConcurrentStreams: reader.number(
      "max-concurrent-streams",
      { min: 1, max: 2 ** 32 - 1, unit: "streams" },
      GRPC_DEFAULTS.maxConcurrentStreams,
    ),
    minPingIntervalMs: duration(reader, "grpc-keepalive-min-time", GRPC_DEFAULTS.minPingIntervalMs),
    pingIntervalMs: duration(reader, "grpc-keepalive-interval", GRPC_DEFAULTS.pingIntervalMs),
    pingTimeoutMs: duration(reader, "grpc-keepalive-timeout", GRPC_DEFAULTS.pingTimeoutMs),
  };
}

function duration(reader: SettingReader, name: string, byDefault: number): number {
  if (!reader.has(name)) return byDefault;
  const text = reader.text(name, "");
  const ms = text === "0" ? 0 : durationMs(text);
  if (ms === null || ms > MAX_MS)
    throw invalid(`${reader.label(name)} must be a time like 5s or 2h, not "${text}"`);
  return ms;
}
