import type { DirectCommand } from "./arbitraries.ts";
import type {
  KvResult,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseOp,
} from "../../../src/core/kv/index.ts";
import type { Compare, TxnRequest } from "../../../src/core/kv/index.ts";
import { text } from "./support.ts";

interface NaiveKey {
  readonly value: string;
  readonly create: number;
  readonly mod: number;
  readonly version: number;
  readonly lease: bigint;
}

interface NaiveLease {
  readonly ttlMs: number;
  readonly serial: number;
  /** Goes with its last key. */
  readonly isPrivate: boolean;
}

/** Of the log entries that carry the commands. */
const ENTRY_TERM = 1;

type NaiveState = ReadonlyMap<string, NaiveKey>;

/** What a step gives, in a form that is easy to compare: everything as JSON values. */
export type Plain = unknown;

/** A step of a transaction cannot be done after the earlier ones. etcd crashes; here nothing has happened. */
class Undone extends Error {}

/**
 * The store as one would explain it: a full copy of all keys for every revision. Keys and values are ASCII text.
 * Written from the specification, sharing nothing with the store but the request types.
 */
export class NaiveModel {
  #states: NaiveState[] = [new Map(), new Map()];
  #compacted = 0;
  #leases = new Map<bigint, NaiveLease>();
  #serial = 0;

  get revision(): number {
    return this.#states.length - 1;
  }

  get compactRevision(): number {
    return this.#compacted;
  }

  apply(command: DirectCommand): Plain {
    if (command.type === "compact") {
      const { revision } = command.request;
      if (revision <= this.#compacted) return this.#error("compacted");
      if (revision > this.revision) return this.#error("futureRevision");
      this.#compacted = revision;
      return { type: "compact", revision: this.revision };
    }
    if (command.type === "leaseGrant") {
      const { id, ttlMs } = command.request;
      if (this.#leases.has(id)) return this.#error("leaseExists");
      this.#leases.set(id, { ttlMs, serial: ++this.#serial, isPrivate: false });
      return { type: "leaseGrant", revision: this.revision };
    }
    if (command.type === "leaseRevoke") {
      if (!this.#leases.has(command.request.id)) return this.#error("leaseNotFound");
      this.#endLease(command.request.id);
      return { type: "leaseRevoke", revision: this.revision };
    }
    if (command.type === "leaseExpire") {
      const { term, leases } = command.request;
      const expired: bigint[] = [];
      for (const { id, serial } of leases) {
        if (term !== ENTRY_TERM || this.#leases.get(id)?.serial !== serial) continue;
        this.#endLease(id);
        expired.push(id);
      }
      return { type: "leaseExpire", expired, revision: this.revision };
    }
    const problem = this.#problem(command, this.#now);
    if (problem !== null) return this.#error(problem);
    const working = new Map(this.#now);
    const dirty = { changed: false };
    const before = { leases: new Map(this.#leases), serial: this.#serial };
    let response: object;
    try {
      response = this.#run(command, working, dirty);
    } catch (error) {
      if (!(error instanceof Undone)) throw error;
      this.#leases = before.leases;
      this.#serial = before.serial;
      return this.#error(error.message);
    }
    this.#dropPrivateLeases(working);
    if (dirty.changed) this.#states.push(working);
    return { ...response, revision: this.revision };
  }

  range(request: RangeRequest): Plain {
    const problem = this.#revisionProblem(request.revision ?? 0);
    return problem ?? this.#range(request, this.#now);
  }

  #endLease(id: bigint): void {
    this.#leases.delete(id);
    const left = new Map([...this.#now].filter(([, key]) => key.lease !== id));
    if (left.size < this.#now.size) this.#states.push(left);
  }

  #dropPrivateLeases(state: NaiveState): void {
    const used = new Set([...state.values()].map(({ lease }) => lease));
    for (const [id, { isPrivate }] of this.#leases) if (isPrivate && !used.has(id)) this.#leases.delete(id);
  }

  /** Every lease with its keys. */
  leases(): Plain {
    return [...this.#leases].map(([id, lease]) => [
      { id, ...lease },
      sortedEntries(this.#now).flatMap(([key, { lease: of }]) => (of === id ? [key] : [])),
    ]);
  }

  /** Every key with everything known about it, at a revision. */
  dump(revision: number): Plain {
    return sortedEntries(this.#states[revision]!);
  }

  get #now(): NaiveState {
    return this.#states[this.revision]!;
  }

  #error(code: string): Plain {
    return { type: "error", code, revision: this.revision };
  }

  #revisionProblem(revision: number): string | null {
    if (revision > this.revision) return "futureRevision";
    return revision > 0 && revision < this.#compacted ? "compacted" : null;
  }

  #problem(op: RequestOp, state: NaiveState): string | null {
    switch (op.type) {
      case "range":
        return this.#revisionProblem(op.request.revision ?? 0);
      case "put": {
        const [key, lease] = this.#putProblems(op.request, state);
        return lease ?? key ?? null;
      }
      case "deleteRange":
        return null;
      case "txn": {
        const taken = this.#takenOps(op.request);
        const ofPuts = taken.flatMap((inner) =>
          inner.type === "put" ? this.#putProblems(inner.request, state) : [],
        );
        const ofRanges = taken.map((inner) => (inner.type === "range" ? this.#problem(inner, state) : null));
        return [...ofPuts, ...ofRanges].find((problem) => problem !== null) ?? null;
      }
    }
  }

  /** In the order in which a transaction looks for them; a put alone looks for the lease first. */
  #putProblems(request: PutRequest, state: NaiveState): [key: string | null, lease: string | null] {
    const ignores = request.ignoreValue || request.ignoreLease;
    return [ignores && !state.has(text(request.key)) ? "keyNotFound" : null, this.#leaseProblem(request)];
  }

  #leaseProblem({ lease = 0n, ttlMs = 0 }: PutRequest): string | null {
    if (ttlMs > 0) return this.#leases.has(lease) ? "leaseExists" : null;
    return lease === 0n || this.#leases.has(lease) ? null : "leaseNotFound";
  }

  #takenOps(request: TxnRequest): RequestOp[] {
    return this.#branch(request).flatMap((op) => (op.type === "txn" ? this.#takenOps(op.request) : [op]));
  }

  /** Compares always look at the state before the outermost transaction. */
  #branch(request: TxnRequest): readonly RequestOp[] {
    return request.compare.every((compare) => holds(compare, this.#now)) ? request.success : request.failure;
  }

  #run(op: RequestOp, state: Map<string, NaiveKey>, dirty: { changed: boolean }): object {
    switch (op.type) {
      case "range":
        return { type: "range", response: this.#range(op.request, state) };
      case "put": {
        const key = text(op.request.key);
        const before = state.get(key);
        const mod = this.revision + 1;
        if (op.request.ignoreValue && before === undefined) throw new Undone("keyNotFound");
        if (op.request.ignoreLease && before === undefined) throw new Undone("keyNotFound");
        const { lease = 0n, ttlMs = 0 } = op.request;
        if (ttlMs > 0) {
          if (this.#leases.has(lease)) throw new Undone("leaseExists");
          this.#leases.set(lease, { ttlMs, serial: ++this.#serial, isPrivate: true });
        }
        state.set(key, {
          value: op.request.ignoreValue ? before!.value : text(op.request.value ?? new Uint8Array()),
          create: before?.create ?? mod,
          mod,
          version: (before?.version ?? 0) + 1,
          lease: op.request.ignoreLease ? before!.lease : lease,
        });
        dirty.changed = true;
        const prevKv = op.request.prevKv && before !== undefined ? [key, before] : null;
        return { type: "put", response: { prevKv } };
      }
      case "deleteRange": {
        const gone = inRange(state, op.request.key, op.request.rangeEnd);
        for (const [key] of gone) state.delete(key);
        if (gone.length > 0) dirty.changed = true;
        return {
          type: "deleteRange",
          response: { deleted: gone.length, prevKvs: op.request.prevKv ? gone : [] },
        };
      }
      case "txn": {
        const branch = this.#branch(op.request);
        const responses = branch.map((inner) => this.#run(inner, state, dirty));
        const succeeded = op.request.compare.every((compare) => holds(compare, this.#now));
        return { type: "txn", response: { succeeded, responses } };
      }
    }
  }

  #range(request: RangeRequest, present: NaiveState): Plain {
    const revision = request.revision ?? 0;
    const all = inRange(revision > 0 ? this.#states[revision]! : present, request.key, request.rangeEnd);
    if (request.countOnly) return { kvs: [], more: false, count: all.length };
    const limit = request.limit ?? 0;
    const target = request.sortTarget ?? "key";
    let order = request.sortOrder ?? "none";
    let kvs = all.filter(
      ([, kv]) =>
        (!request.minModRevision || kv.mod >= request.minModRevision) &&
        (!request.maxModRevision || kv.mod <= request.maxModRevision) &&
        (!request.minCreateRevision || kv.create >= request.minCreateRevision) &&
        (!request.maxCreateRevision || kv.create <= request.maxCreateRevision),
    );
    const filtered =
      request.minModRevision ||
      request.maxModRevision ||
      request.minCreateRevision ||
      request.maxCreateRevision;
    // etcd's quirk: a target without an order sorts what the limit has left, and one key more.
    if (order === "none" && limit > 0 && !filtered) kvs = kvs.slice(0, limit + 1);
    if (order === "none" && target !== "key") order = "ascend";
    const by = (a: [string, NaiveKey], b: [string, NaiveKey]): number => {
      const [x, y] = [sortValue(a, target), sortValue(b, target)];
      return x < y ? -1 : x > y ? 1 : 0;
    };
    if (order === "ascend") kvs = kvs.toSorted(by);
    if (order === "descend") kvs = kvs.toSorted((a, b) => by(b, a));
    const more = limit > 0 && kvs.length > limit;
    if (more) kvs = kvs.slice(0, limit);
    if (request.keysOnly) kvs = kvs.map(([key, kv]) => [key, { ...kv, value: "" }]);
    return { kvs, more, count: all.length };
  }
}

function inRange(state: NaiveState, from: Uint8Array, to: Uint8Array | undefined): [string, NaiveKey][] {
  const first = text(from);
  if (to === undefined || to.length === 0) return sortedEntries(state).filter(([key]) => key === first);
  const open = to.length === 1 && to[0] === 0;
  return sortedEntries(state).filter(([key]) => key >= first && (open || key < text(to)));
}

function sortedEntries(state: NaiveState): [string, NaiveKey][] {
  return [...state].sort(([a], [b]) => (a < b ? -1 : 1));
}

function sortValue([key, kv]: [string, NaiveKey], target: string): string | number {
  return target === "key" ? key : kv[target as "value" | "create" | "mod" | "version"];
}

function holds(compare: Compare, state: NaiveState): boolean {
  const found = inRange(state, compare.key, compare.rangeEnd).map(([, kv]) => kv);
  if (found.length === 0) {
    if (compare.target === "value") return false;
    found.push({ value: "", create: 0, mod: 0, version: 0, lease: 0n });
  }
  return found.every((kv) => {
    const [have, want] = operands(compare, kv);
    switch (compare.result) {
      case "equal":
        return have === want;
      case "notEqual":
        return have !== want;
      case "greater":
        return have > want;
      case "less":
        return have < want;
    }
  });
}

function operands(compare: Compare, kv: NaiveKey): [string | number, string | number] {
  switch (compare.target) {
    case "value":
      return [kv.value, text(compare.value)];
    case "version":
      return [kv.version, compare.version];
    case "create":
      return [kv.create, compare.createRevision];
    case "mod":
      return [kv.mod, compare.modRevision];
    case "lease":
      return [Number(kv.lease), Number(compare.lease)];
  }
}

/** A store's result in the model's form. */
export function plainResult(result: KvResult): Plain {
  switch (result.type) {
    case "put":
    case "deleteRange":
    case "txn":
      return { ...(plainOp(result) as object), revision: result.revision };
    default:
      return result;
  }
}

export function plainOp(op: ResponseOp): Plain {
  switch (op.type) {
    case "range":
      return { type: "range", response: plainRange(op.response) };
    case "put":
      return {
        type: "put",
        response: { prevKv: op.response.prevKv === null ? null : plainKv(op.response.prevKv) },
      };
    case "deleteRange":
      return {
        type: "deleteRange",
        response: { deleted: op.response.deleted, prevKvs: op.response.prevKvs.map(plainKv) },
      };
    case "txn":
      return {
        type: "txn",
        response: { succeeded: op.response.succeeded, responses: op.response.responses.map(plainOp) },
      };
  }
}

export function plainRange(response: {
  readonly kvs: readonly Parameters<typeof plainKv>[0][];
  readonly more: boolean;
  readonly count: number;
}): Plain {
  return { kvs: response.kvs.map(plainKv), more: response.more, count: response.count };
}

export function plainKv(kv: {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease: bigint;
}): Plain {
  const { createRevision: create, modRevision: mod, version, lease } = kv;
  return [text(kv.key), { value: text(kv.value), create, mod, version, lease }];
}
