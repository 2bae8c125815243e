/**
 * How deep transactions may nest, the outermost counted. etcd has no such number, but its limit of 128 operations,
 * of which a nested transaction gets what is left, allows no more.
 */
export const MAX_TXN_DEPTH = 128;

/** etcd's longest time to live, in seconds. */
export const MAX_LEASE_TTL_SECONDS = 9_000_000_000;
export const MAX_LEASE_TTL_MS: number = MAX_LEASE_TTL_SECONDS * 1000;

/** Leases at one time; etcd has no such limit. Each takes memory that no quota frees. The same on all members. */
export const MAX_LEASES: number = 1 << 18;
/** Alarms at one time. A member raises one of each kind, but anybody who may can raise one for any number. */
export const MAX_ALARMS = 256;

/**
 * Keys that one transaction may look at, with comparisons of ranges, with ranges, and counting as of earlier revisions;
 * what it deletes does not count. Where it writes, every member does all that in one go. The same on all members.
 */
export const MAX_TXN_READ_KEYS: number = 1 << 20;
/** Bytes that one transaction that writes, or one deletion, may be answered, as size.ts counts them. Likewise. */
export const MAX_TXN_READ_BYTES: number = 64 << 20;

/**
 * Most that a counter in a snapshot may say: revisions, versions of a key, serials. No store gets there by itself, and
 * from there it can still count for ever, where one that was crafted to stand at the last safe integer would count on to
 * numbers that are none.
 */
export const MAX_COUNTER: number = 2 ** 52;

/** Longest name that a write can be given so that it is done once. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 64;
/**
 * Results of named writes that are kept, at most: of the user with the most of them the oldest goes first. The same on
 * all members, or they would differ.
 */
export const MAX_REMEMBERED_WRITES = 65_536;
export const MAX_REMEMBERED_BYTES: number = 16 << 20;
/** Largest result that is kept; of a write with a larger one it is only known that it was done. */
export const MAX_REMEMBERED_RESULT_BYTES: number = 16 << 10;
