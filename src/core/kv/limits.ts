/**
 * How deep transactions may nest, the outermost counted. etcd has no such number, but its limit of 128 operations,
 * of which a nested transaction gets what is left, allows no more.
 */
export const MAX_TXN_DEPTH = 128;

/** etcd's longest time to live, in seconds. */
export const MAX_LEASE_TTL_SECONDS = 9_000_000_000;
export const MAX_LEASE_TTL_MS: number = MAX_LEASE_TTL_SECONDS * 1000;
