/** What a server's gRPC connections may do. Durations in milliseconds; the defaults are etcd's but for the streams. */
export interface GrpcSettings {
  /** Calls under way on one connection. */
  readonly maxConcurrentStreams: number;
  /** A client that pings more often, again and again and without a word from the server meanwhile, is sent away. */
  readonly minPingIntervalMs: number;
  /** A connection on which nothing has happened for so long is asked whether it lives; 0: never. */
  readonly pingIntervalMs: number;
  /** How long it has to answer. */
  readonly pingTimeoutMs: number;
}

export const GRPC_DEFAULTS: GrpcSettings = {
  // etcd allows 4 thousand million, which is no bound.
  maxConcurrentStreams: 10_000,
  minPingIntervalMs: 5000,
  pingIntervalMs: 2 * 3_600_000,
  pingTimeoutMs: 20_000,
};
