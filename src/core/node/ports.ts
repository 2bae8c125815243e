import type { Entry, HardState, LogIndex, NodeId, SnapshotMeta, Term } from "../raft/index.ts";

/*
 * What the driver asks of its surroundings. Adapters implement the storage ports, runtimes the others. Failures
 * are `EngineError`s with a `storage…` code or `fenced`; after any failure of a write the driver stops the node
 * and never retries, because the store's state is unknown (Rebello et al., "Can Applications Recover from fsync
 * Failures?", ATC'20).
 */

/** Who owns a store. Written once, when the store is created, and compared at every later start. */
export interface StoreIdentity {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly nodeId: NodeId;
}

/** What a {@link MetaStore} holds; null: it was never written. */
export interface MetaState {
  readonly identity: StoreIdentity | null;
  readonly hardState: HardState | null;
}

/** Hard state and identity. */
export interface MetaStore {
  load(): Promise<MetaState>;
  /** Durable when it resolves. Refuses (`storageForeign`) to replace another identity. */
  saveIdentity(identity: StoreIdentity): Promise<void>;
  /** Durable when it resolves. Calls may overlap and become durable in call order. */
  saveHardState(hardState: HardState): Promise<void>;
}

/** Where a log begins and ends. Empty: `lastIndex = firstIndex - 1`. */
export interface LogBounds {
  /** The oldest entry still stored; everything before has been compacted. 1 in a new store. */
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Index and term of the entry just before `firstIndex` (0, 0 in a new store). */
  readonly prevTerm: Term;
  readonly lastTerm: Term;
}

/** The Raft log: contiguous entries. */
export interface LogStore {
  /** Verifies what it finds; a torn tail that was never acknowledged is cut off, anything else is `storageCorrupt`. */
  open(): Promise<LogBounds>;
  /**
   * Appends contiguous entries; durable when it resolves. If the first one's index is not past the end, it and
   * everything after it is replaced, in the same atomic step. A gap is refused (`invalidArgument`). Calls may
   * overlap; they take effect and become durable in call order.
   */
  append(entries: readonly Entry[]): Promise<void>;
  /**
   * Entries from `from` up to `to`, both inclusive, cut at `maxBytes` but never to less than one. Sees appends that
   * were called before. `invalidArgument` for entries that are not stored (compacted meanwhile, say).
   */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]>;
  /** The term at `index`, from `firstIndex - 1` to `lastIndex`. */
  term(index: LogIndex): Promise<Term>;
  /** Drops entries up to and including `to`, which keeps its term as `prevTerm`. Past calls may be repeated. */
  compact(to: LogIndex): Promise<void>;
  /**
   * Replaces the whole log by nothing that follows (index, term): after a snapshot was installed. Durable when it
   * resolves. The next append is at index + 1.
   */
  reset(index: LogIndex, term: Term): Promise<void>;
}

/** What identifies a stored snapshot. */
export interface SnapshotInfo {
  readonly meta: SnapshotMeta;
  /** The members' names and addresses, and whatever else the driver keeps beside the state machine's bytes. */
  readonly context: Uint8Array;
  /** Total bytes of the content. */
  readonly size: number;
  /** CRC-32 of the content. */
  readonly checksum: number;
}

/** A snapshot being written. Invisible until `commit`. */
export interface SnapshotWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Makes it durable and visible, atomically, and returns what it measured. */
  commit(): Promise<SnapshotInfo>;
  /** Removes what was written. */
  abort(): Promise<void>;
}

/** The longest name that a store gives to a snapshot for others, in bytes of UTF-8. */
export const MAX_SNAPSHOT_NAME_BYTES = 1024;

/** Snapshots of the state machine; at least the newest committed one is kept. */
export interface SnapshotStore {
  /** Newest first. Unfinished ones are not listed. */
  list(): Promise<SnapshotInfo[]>;
  create(meta: SnapshotMeta, context: Uint8Array): Promise<SnapshotWriter>;
  /** The content from byte `offset`, in bounded chunks; fails with `storageCorrupt` where a checksum does not hold. */
  read(info: SnapshotInfo, offset?: number): AsyncIterable<Uint8Array>;
  drop(info: SnapshotInfo): Promise<void>;
  /**
   * For stores that other members may be able to read: by what name their `readShared` finds this snapshot. Whether
   * one of them can is for it to find out.
   */
  readonly nameOf?: (info: SnapshotInfo) => Promise<string>;
  /**
   * Another member's snapshot by the name that its store gave it, from byte `offset`, in bounded chunks. The name comes
   * from outside and may be anything. What is there must be `info` and nothing else; this, too, fails like every other
   * read, at any moment, when it is not there, not whole, not readable from here, or not the same: nothing is lost then,
   * as the one who gave the name can be asked for the bytes.
   */
  readonly readShared?: (name: string, info: SnapshotInfo, offset: number) => AsyncIterable<Uint8Array>;
}

/** The three stores of one node. */
export interface StorageEngine {
  readonly meta: MetaStore;
  readonly log: LogStore;
  readonly snapshots: SnapshotStore;
  /**
   * Both in one durable step, for stores that can. Ordered with `append` and `saveHardState`. Without it the
   * driver writes the hard state first and then the entries, one after the other.
   */
  readonly commit?: (hardState: HardState, entries: readonly Entry[]) => Promise<void>;
  /**
   * For stores that another process can take over at any time: resolves if this process was still the owner at some
   * moment after the call, and rejects with `fenced` if not. What a node says without having written anything since it
   * was asked, a linearizable read or the acknowledgement of a heartbeat, it says only after this. Calls may overlap.
   */
  readonly confirmOwner?: () => Promise<void>;
  /**
   * Writes that the store has not begun yet when others come go with them into one step, so that many of them cost no
   * more than one. Then nobody gathers for it: what waits elsewhere while a step is put together misses it.
   */
  readonly gathersWrites?: boolean;
  /** Waits for writes under way, then lets go of files and locks. */
  close(): Promise<void>;
}

/**
 * Carries frames to other members. Best effort: frames may be lost, repeated and reordered, never altered; `send`
 * returns at once and drops when its bounded queue is full.
 */
export interface Transport {
  send(to: NodeId, frame: Uint8Array): void;
  /** Who the members are now, and where; called whenever the membership changes. */
  setPeers(peers: ReadonlyMap<NodeId, readonly string[]>): void;
  /** Where received frames, and news of peers that cannot be reached, are to go. Called once, before `send`. */
  start(handler: TransportHandler): void;
  stop(): Promise<void>;
}

/** Where a {@link Transport} takes what it receives. */
export interface TransportHandler {
  /** An authenticated frame from `from`. Never throws. */
  receive(from: NodeId, frame: Uint8Array): void;
  unreachable(node: NodeId): void;
}

/** Cancels what it stands for; calling it late or twice does nothing. */
export type Cancel = () => void;

/** Time, as the runtime has it. The simulator has one of its own. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. Never goes back. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch. May jump. Only ever written into commands. */
  wallMs(): number;
  /** Runs `callback` once, not before `delayMs` from now. */
  setTimer(delayMs: number, callback: () => void): Cancel;
}

/**
 * Chance, as the runtime has it. Users' tokens are signed with what `id` gives, so nobody may be able to guess it. The
 * simulator draws it from a seed.
 */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform 64-bit id, never 0. */
  id(): bigint;
}

/** How much a line matters, from least to most. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Takes what operators may want to know. Called in the midst of work: it must neither throw nor wait. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}
