import type { Seeded } from "../support/random.ts";
import type { WatchSpec } from "./watches.ts";

/** A request as it goes over the wire. */
export interface Request {
  readonly path: string;
  readonly body: object;
}

/** Where the store stands, so that some revisions are real, some compacted and some of the future. */
export interface Horizon {
  readonly revision: number;
  readonly compacted: number;
}

type Fields = Record<string, unknown>;

/** Few keys, so that requests meet: text, bytes that are no text, and prefixes of each other. */
const KEYS: readonly string[] = [
  "a",
  "a\0",
  "aa",
  "ab",
  "b",
  "b\xff",
  "b\xff\xff",
  "c",
  "\0",
  "\xff",
  "longer/key/1",
];
const VALUES: readonly string[] = [
  "",
  "1",
  "2",
  "10",
  "\0",
  "\xff\x80",
  "a value of some length that is the same",
];
const RESULTS: readonly string[] = ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"];
const ORDERS: readonly string[] = ["NONE", "ASCEND", "DESCEND"];
/** Few, so that requests meet, and one that nobody may have. */
const LEASES: readonly string[] = ["1", "2", "3", "4", "-5", "0"];
const TARGETS: readonly string[] = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"];

/** Draws requests of every kind, most of them sensible, many about the edges. */
export class Requests {
  readonly #random: Seeded;

  constructor(random: Seeded) {
    this.#random = random;
  }

  next(horizon: Horizon): Request {
    if (this.#sometimes(0.12)) return this.#lease();
    const dice = this.#random.next();
    if (dice < 0.3) return { path: "/v3/kv/put", body: this.#put() };
    if (dice < 0.6) return { path: "/v3/kv/range", body: this.#range(horizon) };
    if (dice < 0.72) return { path: "/v3/kv/deleterange", body: this.#deleteRange() };
    if (dice < 0.98) return { path: "/v3/kv/txn", body: this.#txn(horizon, 0, this.#sometimes(0.5)) };
    return { path: "/v3/kv/compaction", body: this.#compaction(horizon) };
  }

  /** A watch from now on, or from a revision that may be compacted, there or to come. */
  watch(horizon: Horizon | null): WatchSpec {
    const bounds = this.#bounds() as { readonly key: string; readonly range_end?: string };
    return {
      ...bounds,
      ...(horizon === null
        ? {}
        : { start_revision: String(Math.min(this.#revision(horizon), horizon.revision)) }),
      ...(this.#sometimes(0.5) ? { prev_kv: true } : {}),
      ...(this.#sometimes(0.3) ? { filters: [this.#random.pick(["NOPUT", "NODELETE"] as const)] } : {}),
    };
  }

  /** Changes of every key, each of which is one for sure. */
  *marks(): Generator<{ readonly request: Request; readonly key: string; readonly type: "PUT" | "DELETE" }> {
    for (const key of KEYS.map(base64)) {
      yield { request: { path: "/v3/kv/put", body: { key, value: base64("mark") } }, key, type: "PUT" };
      yield { request: { path: "/v3/kv/deleterange", body: { key } }, key, type: "DELETE" };
    }
  }

  #put(mayIgnore = true): Fields {
    const fields: Fields = { key: this.#key(), value: this.#value() };
    if (this.#sometimes(0.3)) fields["prev_kv"] = true;
    if (mayIgnore && this.#sometimes(0.08)) fields["ignore_value"] = true;
    if (this.#sometimes(0.05)) delete fields["value"];
    if (mayIgnore && this.#sometimes(0.04)) fields["ignore_lease"] = true;
    if (this.#sometimes(0.15)) fields["lease"] = this.#leaseId();
    return fields;
  }

  /** All that live, live longer than the run: when one ends is each server's own affair. */
  #lease(): Request {
    const ID = this.#leaseId();
    const dice = this.#random.next();
    if (dice < 0.35) {
      // An id that the server chooses would be another in each.
      const named = ID === "0" ? "6" : ID;
      const TTL = this.#sometimes(0.05) ? "9000000001" : String(1000 + this.#random.below(9_000_000));
      return { path: "/v3/lease/grant", body: { ID: named, TTL } };
    }
    if (dice < 0.55) return { path: this.#pick(["", "/kv"], "/lease/revoke"), body: { ID } };
    if (dice < 0.75) {
      const keys = this.#sometimes(0.7) ? { keys: true } : {};
      return { path: this.#pick(["", "/kv"], "/lease/timetolive"), body: { ID, ...keys } };
    }
    if (dice < 0.85) return { path: this.#pick(["", "/kv"], "/lease/leases"), body: {} };
    return { path: "/v3/lease/keepalive", body: { ID } };
  }

  #pick(prefixes: readonly string[], path: string): string {
    return `/v3${this.#random.pick(prefixes)}${path}`;
  }

  #leaseId(): string {
    return this.#random.pick(LEASES);
  }

  #range(horizon: Horizon): Fields {
    const fields: Fields = { ...this.#bounds() };
    if (this.#sometimes(0.4)) fields["limit"] = this.#random.below(4);
    if (this.#sometimes(0.4)) fields["revision"] = String(this.#revision(horizon));
    if (this.#sometimes(0.3)) fields["sort_order"] = this.#random.pick(ORDERS);
    if (this.#sometimes(0.3)) fields["sort_target"] = this.#random.pick(TARGETS);
    if (this.#sometimes(0.1)) fields["keys_only"] = true;
    if (this.#sometimes(0.1)) fields["count_only"] = true;
    for (const filter of ["min_mod", "max_mod", "min_create", "max_create"]) {
      if (this.#sometimes(0.08)) fields[`${filter}_revision`] = String(this.#revision(horizon));
    }
    return fields;
  }

  #deleteRange(): Fields {
    const fields: Fields = { ...(this.#sometimes(0.6) ? { key: this.#key() } : this.#bounds()) };
    if (this.#sometimes(0.4)) fields["prev_kv"] = true;
    return fields;
  }

  /** Without negative revisions: etcd means the latest by them, but inside a transaction calls them compacted. */
  #rangeInTxn(horizon: Horizon): Fields {
    const fields = this.#range(horizon);
    return Number(fields["revision"]) < 0 ? { ...fields, revision: "0" } : fields;
  }

  /**
   * @param deletes whether it has deletions; else puts may keep the present value. Both together can crash an etcd 3.4:
   *   where a deletion with an open end takes the key away that a later put wants to keep the value of, it panics.
   */
  #txn(horizon: Horizon, depth: number, deletes: boolean): Fields {
    return {
      compare: this.#list(3, () => this.#compare(horizon)),
      success: this.#list(4, () => this.#operation(horizon, depth, deletes)),
      failure: this.#list(4, () => this.#operation(horizon, depth, deletes)),
    };
  }

  #compare(horizon: Horizon): Fields {
    const fields: Fields = { key: this.#key(), result: this.#random.pick(RESULTS) };
    if (this.#sometimes(0.2)) fields["range_end"] = this.#key();
    const revision = String(this.#revision(horizon));
    switch (this.#random.below(5)) {
      case 0:
        return { ...fields, target: "VERSION", version: this.#random.below(4) };
      case 1:
        return { ...fields, target: "CREATE", create_revision: this.#sometimes(0.4) ? "0" : revision };
      case 2:
        return { ...fields, target: "MOD", mod_revision: this.#sometimes(0.4) ? "0" : revision };
      case 3:
        return { ...fields, target: "LEASE", lease: this.#leaseId() };
      default:
        return { ...fields, target: "VALUE", value: this.#value() };
    }
  }

  #operation(horizon: Horizon, depth: number, deletes: boolean): Fields {
    const dice = this.#random.next();
    if (dice < 0.4) return { request_put: this.#put(!deletes) };
    if (dice < 0.7 || (depth > 1 && !deletes)) return { request_range: this.#rangeInTxn(horizon) };
    if (depth > 1 || (dice < 0.85 && deletes)) return { request_delete_range: this.#deleteRange() };
    return { request_txn: this.#txn(horizon, depth + 1, deletes) };
  }

  #compaction({ revision, compacted }: Horizon): Fields {
    const near = this.#sometimes(0.2) ? compacted : revision - this.#random.below(20) + 1;
    // At 0 the first compaction of an etcd succeeds, and does nothing; there is no use in doing that alike.
    return { revision: String(Math.max(1, near)), ...(this.#sometimes(0.5) ? { physical: true } : {}) };
  }

  #bounds(): Fields {
    const dice = this.#random.next();
    if (dice < 0.3) return { key: this.#key() };
    if (dice < 0.45) return { key: base64("\0"), range_end: base64("\0") };
    if (dice < 0.6) return { key: this.#key(), range_end: base64("\0") };
    // As likely the wrong way round.
    return { key: this.#key(), range_end: this.#key() };
  }

  #revision({ revision, compacted }: Horizon): number {
    const dice = this.#random.next();
    if (dice < 0.1) return this.#random.below(3) - 1;
    if (dice < 0.2) return revision + this.#random.below(3) - 1;
    if (dice < 0.3) return compacted + this.#random.below(3) - 1;
    return compacted + this.#random.below(Math.max(1, revision - compacted + 1));
  }

  #key(): string {
    return this.#sometimes(0.01) ? "" : base64(this.#random.pick(KEYS));
  }

  #value(): string {
    return base64(this.#random.pick(VALUES));
  }

  #list<T>(limit: number, draw: () => T): T[] {
    return Array.from({ length: this.#random.below(limit) }, draw);
  }

  #sometimes(probability: number): boolean {
    return this.#random.chance(probability);
  }
}

/** Each character stands for one byte. */
function base64(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("base64");
}
