import { describe, expect, it } from "vitest";
import { loadServerConfig } from "../../../../src/runtimes/node/index.ts";
import { GRPC_DEFAULTS, type GrpcSettings } from "../../../../src/runtimes/node/grpc/settings.ts";

const load = (...args: string[]): GrpcSettings | undefined =>
  loadServerConfig(["--storage=memory:", ...args], {})?.config.grpc;

describe("gRPC's settings", () => {
  it("are etcd's, by name and by default", () => {
    expect(load()).toEqual(GRPC_DEFAULTS);
    expect(
      load(
        "--max-concurrent-streams=7",
        "--grpc-keepalive-min-time=1m30s",
        "--grpc-keepalive-interval=0",
        "--grpc-keepalive-timeout=500ms",
      ),
    ).toEqual({
      maxConcurrentStreams: 7,
      minPingIntervalMs: 90_000,
      pingIntervalMs: 0,
      pingTimeoutMs: 500,
    });
  });

  it.each([
    ["--grpc-keepalive-min-time=soon", "--grpc-keepalive-min-time must be a time like 5s or 2h"],
    ["--grpc-keepalive-interval=5", "must be a time like 5s or 2h"],
    ["--grpc-keepalive-timeout=1000h", "must be a time like 5s or 2h"],
    ["--max-concurrent-streams=0", "--max-concurrent-streams"],
  ])("refuse %s", (arg, message) => {
    expect(() => load(arg)).toThrow(message);
  });
});
