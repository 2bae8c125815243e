import { EngineError, assert, assertNever } from "../errors/index.ts";
import type { AuthStore } from "./auth/auth-store.ts";
import { mayDo, whyNot, whyNotRead } from "./auth/permissions.ts";
import { ANONYMOUS, type AuthErrorCode, type Caller } from "./auth/types.ts";
import { decodeCommand } from "./command-codec.ts";
import { Compactor } from "./compaction.ts";
import { History } from "./history.ts";
import { nameOf } from "./idempotency.ts";
import type { KeyRange } from "./key.ts";
import { type CountedPart, Keyspace } from "./keyspace.ts";
import { hashAll, KeyspaceSnapshot } from "./kv-snapshot.ts";
import type { KvSnapshot } from "./kv-snapshot.ts";
import { executeLeaseExpire, executeLeaseGrant, executeLeaseRevoke, leaseKeys } from "./lease-commands.ts";
import type { Lease } from "./lease-table.ts";
import { checkReadRevision, executeRange, readPage } from "./range.ts";
import type { PageLimits, RangePage } from "./range.ts";
import { decodeResult } from "./result-codec.ts";
import { MAX_COUNTER, MAX_TXN_READ_KEYS } from "./limits.ts";
import { ReadBudget, UNLIMITED } from "./read-budget.ts";
import { NO_RECORD } from "./record-heap.ts";
import { SnapshotReader } from "./snapshot-reader.ts";
import { StateHasher } from "./state-hash.ts";
import { Refused, executeDeleteRange, executePut, executeTxn } from "./txn.ts";
import type {
  CommandOf,
  Alarm,
  KvCommand,
  KvErrorCode,
  KvResult,
  NamedResult,
  NamedWrite,
  OnceCommand,
  RangeRequest,
  RangeResponse,
  RequestOp,
  Revision,
  TxnRequest,
  TxnResponse,
} from "./types.ts";
import { isReadOnly } from "./request-shape.ts";
import { LEASE_BYTES, growthOf } from "./size.ts";

/** A committed command, as far as the store looks at it. */
export interface KvEntry {
  readonly command: Uint8Array;
  /** Of the log entry: the expiry of leases counts only in the term in which it was decided. */
  readonly term: number;
}

/** Takes a snapshot's bytes and, at the end, replaces the store's state by them. */
export interface KvRestorer {
  /** The next bytes, in chunks of any size. @throws EngineError `storageCorrupt`, `malformed`. */
  push(chunk: Uint8Array): void;
  /** The store changes here and not before, if the snapshot is whole. @throws EngineError `malformed`. */
  finish(): void;
}

/** Keys that each applied command compacts besides: more than it can add, so that compaction catches up. */
const COMPACTED_KEYS_PER_COMMAND = 8;
/** What is done even where something is corrupt. A lease must end: somebody waits for what it holds. */
const GO_ON: ReadonlySet<KvCommand["type"]> = new Set(["alarm", "auth", "leaseExpire"]);
/** What keeps a write from being done now, and not for ever: its name stays free, so that it can be tried again. */
const PASSING: ReadonlySet<KvErrorCode> = new Set(["noSpace", "corrupt", "tooManyLeases", "rangeTooLarge"]);

/**
 * etcd's key-value store: multi-version, ordered by key, all in memory. Deterministic: the same commands in the same
 * order give the same results and the same state everywhere. Pure and synchronous: it knows neither log nor clock.
 */
export class KvStore {
  readonly #onLeaseChange: (id: bigint) => void;
  #keyspace: Keyspace;
  #compactor: Compactor;

  /** @param onLeaseChange told the id of every lease that comes or goes, but not of those that a snapshot brings. */
  constructor(onLeaseChange: (id: bigint) => void = () => {}) {
    this.#onLeaseChange = onLeaseChange;
    this.#keyspace = new Keyspace(onLeaseChange);
    this.#compactor = new Compactor(this.#keyspace);
  }

  /** The changes since the compacted revision. Another one after a snapshot was restored. */
  get history(): History {
    return new History(this.#keyspace);
  }

  /** Revision of the last change. */
  get revision(): Revision {
    return this.#keyspace.revision;
  }

  /** Revision up to which history has been compacted; 0: never. */
  get compactRevision(): Revision {
    return this.#keyspace.compactRevision;
  }

  /** Number of keys with any history left, deleted ones included. */
  get keyCount(): number {
    return this.#keyspace.tree.size;
  }

  /**
   * Bytes that the state takes, history included, as size.ts counts them. What compaction has yet to free counts; once
   * it has, the size is the same on all members.
   */
  get sizeBytes(): number {
    const { heap, leases, writes, auth } = this.#keyspace;
    return heap.contentBytes + leases.size * LEASE_BYTES + writes.sizeBytes + auth.sizeBytes;
  }

  /** Those that have been raised and not disarmed. */
  get alarms(): readonly Alarm[] {
    return this.#keyspace.alarms.all;
  }

  get leaseCount(): number {
    return this.#keyspace.leases.size;
  }

  /** Number of named writes ever done. */
  get lastWriteSerial(): number {
    return this.#keyspace.writes.lastSerial;
  }

  /** Who may do what. Another one after a snapshot was restored. */
  get auth(): AuthStore {
    return this.#keyspace.auth;
  }

  /** Why a caller may not have a command done, if it were applied now; null when it may. */
  whyNot(caller: Caller, command: CommandOf["command"]): AuthErrorCode | null {
    return whyNot(this.#keyspace, caller, command);
  }

  /** Why a caller may not read what `op`, which only reads, asks for; null when it may. */
  whyNotRead(caller: Caller, op: RequestOp): AuthErrorCode | null {
    return whyNotRead(this.auth.standing(caller), (granted) => mayDo(null, granted, op));
  }

  /** Bytes of a key's present value; 0 where there is none. */
  valueLength(key: Uint8Array): number {
    const handle = this.#keyspace.get(key, this.revision);
    return handle === NO_RECORD ? 0 : this.#keyspace.heap.valueLength(handle);
  }

  lease(id: bigint): Lease | undefined {
    return this.#keyspace.leases.get(id);
  }

  /** In the order in which they were granted. Not to be used after the next command. */
  leases(): Iterable<Lease> {
    return this.#keyspace.leases.all();
  }

  /** The keys attached to a lease, ascending. */
  leaseKeys(id: bigint): Uint8Array[] {
    return leaseKeys(this.#keyspace, id);
  }

  /**
   * Applies commands in order; one result for each. A command that cannot be applied changes nothing.
   *
   * @param applied called before anything is freed: every change of these commands is still in the history.
   */
  applyChunk(commands: readonly KvEntry[], applied: () => void = () => {}): KvResult[] {
    const results: KvResult[] = [];
    for (const entry of commands) results.push(this.#apply(entry));
    applied();
    this.#compactor.step(commands.length * COMPACTED_KEYS_PER_COMMAND);
    return results;
  }

  /**
   * Reads the present state, or that of an earlier revision. The request must have passed `validateRange`.
   *
   * @param maxBytes most that it may be answered, as size.ts counts keys and values.
   * @throws EngineError `compacted`, `futureRevision`, `rangeTooLarge`.
   */
  range(request: RangeRequest, maxBytes: number = Infinity): RangeResponse {
    this.#requireReadable(request.revision ?? 0);
    return executeRange(this.#keyspace, request, budgetOfRead(Infinity, maxBytes));
  }

  /** Number of changes after a revision: what it takes to count as of then. @throws EngineError `compacted`. */
  changesSince(revision: Revision): number {
    this.#requireReadable(revision);
    return this.#keyspace.changesSince(revision);
  }

  /**
   * The count of a range as of an earlier revision, in parts. Each looks at `maxKeys` keys at most.
   *
   * @throws EngineError `compacted`, `futureRevision`.
   */
  countPart(range: KeyRange, revision: Revision, maxKeys: number): CountedPart {
    this.#requireReadable(revision);
    return this.#keyspace.countPart(range, revision, maxKeys);
  }

  /**
   * Keys of a range as of `revision`, ascending, as many as the limits allow, and at least one if there is any.
   *
   * @throws EngineError `compacted`, `futureRevision`.
   */
  page(range: KeyRange, revision: Revision, limits: PageLimits): RangePage {
    this.#requireReadable(revision);
    return readPage(this.#keyspace, range, revision, limits);
  }

  /**
   * Runs a transaction that only reads on the present state. The request must have passed `validateTxn`.
   *
   * @param maxBytes as for `range`.
   * @throws EngineError `compacted`, `futureRevision`, `rangeTooLarge`.
   */
  readTxn(request: TxnRequest, maxBytes: number = Infinity): TxnResponse {
    assert(isReadOnly(request), "a transaction that writes is run as a read");
    return executeTxn(this.#keyspace, request, budgetOfRead(MAX_TXN_READ_KEYS, maxBytes));
  }

  /**
   * Frees what compaction has hidden, looking at up to `maxRecords` keys or versions. Returns whether it could go on
   * at once: not when it is done, nor while a snapshot is open.
   */
  compactStep(maxRecords: number): boolean {
    return this.#compactor.step(maxRecords);
  }

  /**
   * Hash of what a reader at `revision` (default: the present one) sees: equal on all replicas. Takes about a
   * microsecond for each key; where that is too long at once, take a snapshot's `hasher`.
   *
   * @throws EngineError `compacted`, `futureRevision`.
   */
  hash(revision: Revision = this.revision): string {
    this.#requireReadable(revision);
    return hashAll(new StateHasher(this.#keyspace, revision));
  }

  /**
   * Hash of the whole present state: of the keys, leases, named writes, users and roles, alarms, and of what has been
   * compacted. Equal on all members that have applied the same.
   */
  stateHash(): string {
    const snapshot = this.snapshot();
    const steps = snapshot.wholeHash(hashAll(snapshot.hasher()));
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    snapshot.release();
    return step.value;
  }

  /** Captures the state now, at next to no cost. */
  snapshot(): KvSnapshot {
    return new KeyspaceSnapshot(this.#keyspace);
  }

  /**
   * Goes on counting so many revisions later, as if there had been others, with all of history compacted: nobody who has
   * read later revisions of what this is a copy of finds anything that seems older. For what no log stands behind.
   *
   * @throws EngineError `invalidArgument`.
   */
  raiseRevisions(by: number): void {
    const keyspace = this.#keyspace;
    if (!Number.isInteger(by) || by < 1 || by > MAX_COUNTER - keyspace.revision) {
      throw new EngineError("invalidArgument", { detail: `${by} revisions more` });
    }
    keyspace.revision += by;
    keyspace.compactRevision = keyspace.revision;
  }

  /** A way to replace the state. Until it has finished, the store keeps the old one. */
  restorer(): KvRestorer {
    const reader = new SnapshotReader(this.#onLeaseChange);
    return {
      push: (chunk) => reader.push(chunk),
      finish: () => {
        this.#keyspace = reader.finish();
        this.#compactor = new Compactor(this.#keyspace);
      },
    };
  }

  #requireReadable(revision: Revision): void {
    const problem = checkReadRevision(revision, this.#keyspace.revision, this.#keyspace.compactRevision);
    if (problem !== null) throw new EngineError(problem);
  }

  #apply(entry: KvEntry): KvResult {
    let command: KvCommand;
    try {
      command = decodeCommand(entry.command);
    } catch (error) {
      if (error instanceof EngineError) return this.#refusal("malformed");
      throw error;
    }
    return command.type === "as"
      ? this.#permitted(command.request.caller, command.request.command, entry.term)
      : this.#permitted(ANONYMOUS, command, entry.term);
  }

  /** Permission is asked of the state that the command changes, whatever it was when the command was proposed. */
  #permitted(caller: Caller, command: CommandOf["command"], term: number): KvResult {
    const problem = this.auth.isEnabled ? this.whyNot(caller, command) : null;
    if (problem !== null) return this.#refusal(problem);
    return command.type === "once" ? this.#once(command.request, caller) : this.#attempt(command, term);
  }

  #once({ key: given, fingerprint, forgetTo, command }: OnceCommand, caller: Caller): KvResult {
    const { writes } = this.#keyspace;
    // Users have their names each for themselves: nobody learns what another's write gave, or stands in its way.
    const key = caller.type === "user" && this.auth.isEnabled ? nameOf(caller.name, given) : given;
    writes.forget(forgetTo);
    const known = writes.find(key, fingerprint);
    if (known === undefined) {
      const result = this.#attempt(command, 0);
      if (result.type !== "error" || !PASSING.has(result.code)) writes.remember(key, fingerprint, result);
      return result;
    }
    return known.fingerprint === fingerprint
      ? decodeResult(known.result)
      : this.#refusal("idempotencyKeyReused");
  }

  #attempt<C extends DirectCommand>(command: C, term: number): C extends NamedWrite ? NamedResult : KvResult;
  #attempt(command: DirectCommand, term: number): KvResult {
    try {
      return this.#execute(command, term);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#keyspace.rollback();
      return this.#refusal(error.code);
    }
  }

  #execute(command: DirectCommand, term: number): KvResult {
    const keyspace = this.#keyspace;
    this.#heedAlarms(command);
    switch (command.type) {
      case "put": {
        const response = executePut(keyspace, command.request, UNLIMITED);
        keyspace.commit();
        return { type: "put", response, revision: keyspace.revision };
      }
      case "deleteRange": {
        const response = executeDeleteRange(keyspace, command.request, budgetOfWrite());
        keyspace.commit();
        return { type: "deleteRange", response, revision: keyspace.revision };
      }
      case "txn": {
        const response = executeTxn(keyspace, command.request, budgetOfWrite());
        keyspace.commit();
        return { type: "txn", response, revision: keyspace.revision };
      }
      case "auth": {
        const wasEnabled = keyspace.auth.isEnabled;
        const problem = keyspace.auth.execute(command.request);
        if (wasEnabled && !keyspace.auth.isEnabled) keyspace.writes.disown();
        return problem === null ? { type: "auth", revision: keyspace.revision } : this.#refusal(problem);
      }
      case "compact":
        return this.#compact(command.request.revision);
      case "leaseGrant":
        executeLeaseGrant(keyspace, command.request);
        keyspace.commit();
        return { type: "leaseGrant", revision: keyspace.revision };
      case "leaseRevoke":
        executeLeaseRevoke(keyspace, command.request);
        keyspace.commit();
        return { type: "leaseRevoke", revision: keyspace.revision };
      case "leaseExpire": {
        const expired = executeLeaseExpire(keyspace, command.request, term);
        return { type: "leaseExpire", expired, revision: keyspace.revision };
      }
      case "alarm": {
        const alarms = keyspace.alarms.execute(command.request);
        if (alarms === null) throw new Refused("tooManyAlarms");
        return { type: "alarm", alarms, revision: keyspace.revision };
      }
      default:
        return assertNever(command, "command");
    }
  }

  /** @throws Refused what alarms forbid: the same everywhere, whatever the size of this replica. */
  #heedAlarms(command: DirectCommand): void {
    const { alarms } = this.#keyspace;
    if (alarms.all.length === 0) return;
    if (alarms.has("corrupt") && !GO_ON.has(command.type)) throw new Refused("corrupt");
    if (alarms.has("noSpace") && growthOf(command) > 0) throw new Refused("noSpace");
  }

  /** Hides what is older; the compactor frees it by and by. */
  #compact(revision: Revision): KvResult {
    const keyspace = this.#keyspace;
    if (revision <= keyspace.compactRevision) return this.#refusal("compacted");
    if (revision > keyspace.revision) return this.#refusal("futureRevision");
    keyspace.compactRevision = revision;
    return { type: "compact", revision: keyspace.revision };
  }

  #refusal(code: KvErrorCode): KvResult {
    return { type: "error", code, revision: this.#keyspace.revision };
  }
}

function budgetOfRead(maxKeys: number, maxBytes: number): ReadBudget {
  const detail =
    maxKeys === Infinity ? `${maxBytes} bytes` : `${maxBytes} bytes, or a look at ${maxKeys} keys`;
  return new ReadBudget(maxKeys, maxBytes, () => new EngineError("rangeTooLarge", { detail }));
}

/** The same on all members. */
function budgetOfWrite(): ReadBudget {
  return ReadBudget.ofTxn(() => new Refused("rangeTooLarge"));
}

type DirectCommand = Exclude<KvCommand, { readonly type: "once" | "as" }>;
