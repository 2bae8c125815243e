/**
 * How deep transactions may nest, the outermost counted. etcd has no such number, but its limit of 128 operations,
 * of which a nested transaction gets what is left, allows no more.
 */
export const MAX_TXN_DEPTH = 128;
