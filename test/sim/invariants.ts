import type { SnapshotInfo } from "../../src/core/node/index.ts";
import type { KvStateMachine } from "../../src/core/node/kv-state-machine.ts";
import type { AppliedCommand } from "../../src/core/node/state-machine.ts";
import type { KvCommand, KvResult } from "../../src/core/kv/index.ts";
import {
  changeConfig,
  type ClusterConfig,
  type ConfChangeEntry,
  entryBytes,
  type LogIndex,
  members,
  type Message,
  type NodeId,
  type Outcome,
  type Raft,
  type RaftEvent,
  type Ready,
  type Role,
  type Term,
} from "../../src/core/raft/index.ts";
import type { Cluster } from "../core/node/world/cluster.ts";
import type { DiskImage } from "../core/node/world/disk-image.ts";
import type { Life } from "../core/node/world/life.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import { CommitNews } from "../core/raft/harness/commit-news.ts";
import { Applications } from "./applications.ts";
import { LogView } from "./log-view.ts";
import { Oracle } from "./oracle.ts";
import type { Watcher } from "./probe.ts";
import { holds, Promises } from "./promises.ts";
import type { Side } from "./scenario.ts";
import { Silence } from "./silence.ts";

/** Costly looks at a node: once in so many of its steps. */
const STATUS_EVERY = 16;
/** More than any entry of the workloads has. */
const LARGEST_ENTRY_BYTES = 10_000;
/** Entries behind the commit index that views keep. */
const VIEW_KEEPS = 2000;

/** One core, from its node's start to its end. */
interface Tracked {
  readonly node: SimNode;
  readonly life: Life;
  readonly view: LogView;
  readonly news: CommitNews;
  role: Role;
  term: Term;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  /** Leads in this term and has been compared with all that was committed before. */
  completeIn: Term;
  /** What a leader found in its log and did not know to be committed when it began to lead. */
  inheritedBytes: number;
  steps: number;
}

export interface InvariantsHost {
  readonly cluster: Cluster;
  /** @param rule its name, which does not change with the run. */
  report(rule: string, detail: string): void;
  /** A node is about to do something that others see or that lasts: does it go down before it, after it, or not? */
  doom(node: NodeId): Side | null;
  crash(node: NodeId): void;
  /** What a node's clock shows. */
  clockMs(node: NodeId): number;
  /** Whether clocks keep within the drift bound: leases rest on it. */
  readonly hasTameClocks: boolean;
  /** A command was applied for the first time anywhere. */
  applied(command: KvCommand, result: KvResult): void;
}

/**
 * What must hold after every step of every core in the cluster, on every replica. The names are those of the
 * project's list of invariants, S1 to S15 and S18; see the README. S12 and S13 are seen from the clients' side.
 */
export class Invariants implements Watcher {
  readonly oracle: Oracle = new Oracle();
  readonly #host: InvariantsHost;
  readonly #promises: Promises;
  readonly #silence: Silence = new Silence();
  readonly #applications: Applications;
  readonly #maxUncommittedBytes: number;
  readonly #maxInflightMessages: number;
  readonly #tracked: WeakMap<Raft, Tracked | { readonly life: null }> = new WeakMap();
  /** The newest configuration that is committed, and where it was. */
  config: ClusterConfig;
  #configIndex: LogIndex = 1;
  readonly #removed: Set<NodeId> = new Set();
  #largestEntryBytes = 0;
  /** Every core that believes to lead, or did at its last step. */
  readonly #leading: Map<NodeId, Raft> = new Map();
  /** Steps of all cores. */
  steps = 0;

  constructor(
    host: InvariantsHost,
    founders: ClusterConfig,
    maxUncommittedBytes: number,
    maxInflightMessages: number,
  ) {
    this.#host = host;
    this.#promises = new Promises(host, this.oracle);
    this.#applications = new Applications(host, this.oracle);
    this.config = founders;
    this.#maxUncommittedBytes = maxUncommittedBytes;
    this.#maxInflightMessages = maxInflightMessages;
  }

  #check(holds: boolean, rule: string, node: NodeId, detail: () => string): void {
    if (!holds) this.#host.report(rule, `node ${node}: ${detail()}`);
  }

  /** What is known of a core, or null if its node is gone: what it does then reaches nobody. */
  #of(raft: Raft): Tracked | null {
    let tracked = this.#tracked.get(raft);
    if (tracked === undefined) {
      const node = this.#host.cluster.nodes.get(raft.options.nodeId);
      const life = node?.life ?? null;
      if (node === undefined || life === null || !life.isAlive) tracked = { life: null };
      else tracked = this.#begin(raft, node, life);
      this.#tracked.set(raft, tracked);
    }
    return tracked.life !== null && tracked.life.isAlive ? tracked : null;
  }

  #begin(raft: Raft, node: SimNode, life: Life): Tracked {
    const { durable } = node.disk;
    const term = durable.hardState?.term ?? 0;
    this.#check(raft.term >= term, "S7 term", node.id, () => `began in ${raft.term}, its disk knows ${term}`);
    const { role, commitIndex } = raft;
    const change = this.oracle.appliedChange.get(node.id) ?? 0;
    // Without the entry it is as one that never heard of the change, and has promised nothing about it.
    this.#check(
      commitIndex >= change || durable.lastIndex < change || durable.snapshots.length === 0,
      "S10 applied changes are kept",
      node.id,
      () => `began with ${commitIndex} committed, and had applied the membership change at ${change}`,
    );
    this.#takeRestored(commitIndex);
    const view = LogView.of(node.disk.seen);
    const { term: begunIn } = raft;
    return {
      node,
      life,
      view,
      news: new CommitNews(raft.options.commitNewsDelayMs),
      role,
      term: begunIn,
      commitIndex,
      appliedIndex: 0,
      completeIn: 0,
      inheritedBytes: 0,
      steps: 0,
    };
  }

  stepped(raft: Raft, event: RaftEvent, outcome: Outcome): void {
    const tracked = this.#of(raft);
    if (tracked === null) return;
    this.steps++;
    tracked.steps++;
    const { node } = tracked;
    const { role, term, commitIndex } = raft;
    if (event.type === "propose" && outcome.ok) {
      tracked.news.proposed(event, raft.status().lastIndex, term);
    }
    this.#check(term >= tracked.term, "S7 term", node.id, () => `from ${tracked.term} to ${term}`);
    this.#check(
      commitIndex >= tracked.commitIndex,
      "S6 commit grows",
      node.id,
      () => `from ${tracked.commitIndex} to ${commitIndex}`,
    );
    if (role === "leader") {
      if (tracked.role !== "leader" || tracked.term !== term) this.#onElected(raft, tracked);
      if (commitIndex > tracked.commitIndex) this.#onLeaderCommit(raft, tracked);
    }
    if (role === "leader") this.#leading.set(node.id, raft);
    if (event.type === "persisted") this.#checkPersisted(raft, tracked);
    if (event.type === "readIndex") {
      const floor = this.oracle.committedIndex;
      this.oracle.reads.set(event.readId, { floor, lease: event.lease });
    }
    tracked.role = role;
    tracked.term = term;
    tracked.commitIndex = commitIndex;
    if (event.type === "applyConfChange" || tracked.steps % STATUS_EVERY === 0)
      this.#checkStatus(raft, tracked);
  }

  /** What it believes to be durable is. */
  #checkPersisted({ persistedIndex }: Raft, { node, view }: Tracked): void {
    const term = view.term(persistedIndex);
    this.#check(
      term === undefined || holds(node.disk.durable, persistedIndex, term),
      "S8 believes durable",
      node.id,
      () => `${persistedIndex}/${term}, its disk ends at ${node.disk.durable.lastIndex}`,
    );
  }

  // Leaders

  #onElected(raft: Raft, tracked: Tracked): void {
    const { node } = tracked;
    const { leaders } = this.oracle;
    const { term } = raft;
    const other = leaders.get(term);
    this.#check(
      other === undefined || other === node.id,
      "S1 one leader",
      node.id,
      () => `leads in term ${term} as ${other} did`,
    );
    leaders.set(term, node.id);
    const { config, uncommittedBytes } = raft.status();
    tracked.inheritedBytes = uncommittedBytes;
    const grants = this.oracle.grants(term, node.id);
    this.#check(
      isQuorum(config, (voter) => voter === node.id || grants.has(voter)),
      "S11 elected by voters",
      node.id,
      () => `leads in term ${term} with the votes of ${[...grants].join()} of ${config.voters.join()}`,
    );
  }

  #onLeaderCommit(raft: Raft, { node, view, commitIndex: before }: Tracked): void {
    const { committed } = this.oracle;
    const { commitIndex, term } = raft;
    const last = view.term(commitIndex);
    // Entries of earlier terms are committed by what follows them, never by counting (paper §5.4.2, figure 8).
    this.#check(
      last === undefined || last === term,
      "S4 commits its own term",
      node.id,
      () => `commits ${commitIndex}/${last} in term ${term}`,
    );
    const { config } = raft.status();
    this.#check(
      last === undefined || isQuorum(config, (voter) => holds(this.#durableOf(voter), commitIndex, last)),
      "S9 durable on a quorum",
      node.id,
      () => `commits ${commitIndex}/${last} in term ${term} among ${config.voters.join()}`,
    );
    for (let index = Math.max(before, view.base) + 1; index <= commitIndex; index++) {
      const known = committed.get(index);
      const here = view.term(index);
      if (here === undefined) continue;
      this.#check(
        known === undefined || known.term === here,
        "S4 leader completeness",
        node.id,
        () => `commits ${index}/${here} where ${known!.term} was committed in term ${known!.in}`,
      );
      if (known === undefined) committed.set(index, { term: here, in: term });
    }
    this.oracle.committedIndex = Math.max(this.oracle.committedIndex, commitIndex);
    if (this.#host.hasTameClocks) this.#checkLeases(raft);
    view.trim(commitIndex - VIEW_KEEPS);
  }

  /** S13: once a leader has committed, none before it answers from its lease. */
  #checkLeases({ term }: Raft): void {
    for (const [id, older] of this.#leading) {
      if (this.#of(older) === null || older.role !== "leader") {
        this.#leading.delete(id);
        continue;
      }
      if (older.term >= term) continue;
      this.#check(
        older.leaseReadIndex(this.#host.clockMs(id)) === null,
        "S13 one lease",
        id,
        () => `holds the lease of term ${older.term} when the leader of ${term} commits`,
      );
    }
  }

  /** S19: who starts and says that it owes nobody its silence has promised none that a lease may rest on. */
  startsRested(id: NodeId): void {
    if (!this.#host.hasTameClocks) return;
    for (const [leader, raft] of this.#leading) {
      if (this.#of(raft) === null || raft.leaseReadIndex(this.#host.clockMs(leader)) === null) continue;
      const { voters } = raft.status().config;
      this.#check(
        voters.length === 1 || this.#silence.isOwedByAny(voters, raft.term),
        "S19 no lease survives sleep",
        leader,
        () => `holds the lease of term ${raft.term}, and nobody has answered since it slept`,
      );
      this.#check(
        !this.#silence.isOwed(id, raft.term),
        "S19 rested",
        id,
        () => `starts as one that slept, and ${leader} holds the lease of term ${raft.term} by its promise`,
      );
    }
  }

  /** S12: an answer is no older than what was committed when the question came. */
  #checkReads({ readStates }: Ready, { node }: Tracked): void {
    for (const { readId, index } of readStates) {
      const read = this.oracle.reads.get(readId);
      this.oracle.reads.delete(readId);
      if (read === undefined || index === null || (read.lease && !this.#host.hasTameClocks)) continue;
      this.#check(
        index >= read.floor,
        read.lease ? "S13 lease read" : "S12 read index",
        node.id,
        () => `reads at ${index}, ${read.floor} was committed before it asked`,
      );
    }
  }

  #durableOf(id: NodeId): DiskImage | null {
    return this.#host.cluster.nodes.get(id)?.disk.durable ?? null;
  }

  // Readys

  collected(raft: Raft, ready: Ready | null, nowMs: number): void {
    const tracked = this.#of(raft);
    if (tracked === null) return;
    // It asks for the whole status each time, which the other runs can do without.
    if (raft.options.commitNewsDelayMs > 0 && raft.role === "leader") {
      const problem = tracked.news.collected(ready, raft.status(), nowMs);
      this.#check(problem === null, "S22 commit news", tracked.node.id, () => problem ?? "");
    }
    const { node, view } = tracked;
    const leads = raft.role === "leader";
    if (ready !== null) {
      if (leads && tracked.completeIn === raft.term) this.#checkAppendOnly(ready, tracked);
      this.#takeEntries(ready, tracked);
      if (leads) this.#checkOneConfChange(ready, tracked);
      this.#checkCommitted(ready, tracked);
      this.#checkReads(ready, tracked);
    }
    if (!leads || tracked.completeIn === raft.term) return;
    const { committed } = this.oracle;
    // A later leader may have committed meanwhile: that is none of this one's business.
    const committedIndex = this.oracle.committedBefore(raft.term);
    const { lastIndex } = raft.status();
    this.#check(
      lastIndex >= committedIndex,
      "S4 leader completeness",
      node.id,
      () => `leads in ${raft.term} with a log up to ${lastIndex}, committed is ${committedIndex}`,
    );
    // The rest comes with the next Ready.
    if (view.lastIndex < lastIndex) return;
    tracked.completeIn = raft.term;
    for (let index = Math.max(view.base, committedIndex - 100); index <= committedIndex; index++) {
      const known = committed.get(index);
      this.#check(
        known === undefined || known.in >= raft.term || view.term(index) === known.term,
        "S4 leader completeness",
        node.id,
        () => `leads in ${raft.term} with ${index}/${view.term(index)}, committed is ${known!.term}`,
      );
    }
  }

  #checkAppendOnly({ entries, snapshot }: Ready, { node, view }: Tracked): void {
    this.#check(snapshot === null, "S2 leader appends only", node.id, () => "a leader restored a snapshot");
    const first = entries[0]?.index ?? view.lastIndex + 1;
    this.#check(first === view.lastIndex + 1, "S2 leader appends only", node.id, () => `overwrote ${first}`);
  }

  #takeEntries({ snapshot, entries }: Ready, { node, view }: Tracked): void {
    if (snapshot !== null) {
      view.restore(snapshot.index, snapshot.term);
      const known = this.oracle.committed.get(snapshot.index);
      this.#check(
        known !== undefined && known.term === snapshot.term,
        "S3 log matching",
        node.id,
        () => `took a snapshot at ${snapshot.index}/${snapshot.term}, committed is ${known?.term}`,
      );
    }
    for (const entry of entries) {
      this.#largestEntryBytes = Math.max(this.#largestEntryBytes, entryBytes(entry));
      const prevTerm = view.term(entry.index - 1);
      if (prevTerm !== undefined) {
        const conflict = this.oracle.recordEntry(entry, prevTerm);
        this.#check(conflict === null, "S3 log matching", node.id, () => conflict ?? "");
      }
      view.put(entry.index, entry.term);
    }
  }

  /** Among what is not known to be committed there is one change at most. */
  #checkOneConfChange({ entries }: Ready, { node, view }: Tracked): void {
    const added = entries.find(({ kind }) => kind === "confChange");
    if (added === undefined) return;
    for (let index = this.oracle.committedIndex + 1; index < added.index; index++) {
      const term = view.term(index);
      const other = term === undefined ? undefined : this.oracle.entry(index, term);
      this.#check(
        other?.kind !== "confChange",
        "S10 one membership change",
        node.id,
        () => `appended one at ${added.index}, and ${index} is not committed`,
      );
    }
  }

  #checkCommitted({ committed, number }: Ready, { node }: Tracked): void {
    for (const entry of committed) {
      if (entry.kind === "confChange") {
        this.#takeConfChange(entry);
        this.oracle.appliedChange.set(node.id, entry.index);
      }
      const { index, term } = entry;
      const known = this.oracle.committed.get(index);
      this.#check(
        known !== undefined && known.term === term,
        known === undefined ? "S9 committed by a leader" : "S5 same entry applied",
        node.id,
        () => `Ready ${number} hands out ${index}/${term}, committed is ${known?.term}`,
      );
    }
  }

  /** Who starts again has what it knew to be committed, even what it had no time to hand out. */
  #takeRestored(commitIndex: LogIndex): void {
    for (let at = this.#configIndex + 1; at <= commitIndex; at++) {
      const committed = this.oracle.committed.get(at);
      const entry = committed === undefined ? undefined : this.oracle.entry(at, committed.term);
      if (entry?.kind === "confChange") this.#takeConfChange(entry);
    }
  }

  #takeConfChange({ index, change }: ConfChangeEntry): void {
    if (index <= this.#configIndex) return;
    const config = changeConfig(this.config, change);
    if ("refused" in config)
      return this.#host.report("S10 one membership change", `${index}: ${config.refused}`);
    // Ids are never given out twice: whoever left has left for good.
    const present = members(config);
    for (const id of members(this.config)) if (!present.includes(id)) this.#removed.add(id);
    const back = present.find((id) => this.#removed.has(id));
    if (back !== undefined) this.#host.report("S10 who left stays away", `${index} brings ${back} back`);
    this.config = config;
    this.#configIndex = index;
  }

  /** Whether some disk holds a change that is not known to be committed. */
  isChanging(): boolean {
    return [...this.#host.cluster.nodes.values()].some(({ disk: { seen } }) => {
      const { firstIndex, lastIndex } = seen.bounds();
      for (let at = Math.max(firstIndex, this.#configIndex + 1); at <= lastIndex; at++) {
        if (this.oracle.entry(at, seen.term(at))?.kind === "confChange") return true;
      }
      return false;
    });
  }

  // Status

  #checkStatus(raft: Raft, tracked: Tracked): void {
    const { node } = tracked;
    const status = raft.status();
    const { appliedIndex, commitIndex, lastIndex, uncommittedBytes } = status;
    this.#check(
      appliedIndex <= commitIndex && commitIndex <= lastIndex,
      "S6 order",
      node.id,
      () => `applied ${appliedIndex}, commit ${commitIndex}, last ${lastIndex}`,
    );
    this.#check(
      appliedIndex >= tracked.appliedIndex,
      "S6 applied grows",
      node.id,
      () => `from ${tracked.appliedIndex} to ${appliedIndex}`,
    );
    tracked.appliedIndex = appliedIndex;
    // One proposal may be let in above the limit, and what a leader inherits counts as well; an entry more than its data.
    const mayWaitBytes =
      tracked.inheritedBytes + 2 * (this.#maxUncommittedBytes + this.#largestEntryBytes) + 2000;
    this.#check(
      uncommittedBytes >= 0 && uncommittedBytes <= mayWaitBytes,
      "S18 limits",
      node.id,
      () => `${uncommittedBytes} uncommitted bytes`,
    );
    const { maxInflightBytes, maxAppendBytes } = raft.options;
    for (const [id, { inflightMessages, inflightBytes, match, next }] of status.progress) {
      // The message that fills the window goes with it, however large: a single entry must always be sendable.
      const isWithin = inflightMessages <= this.#maxInflightMessages;
      const mayHold = maxInflightBytes + Math.max(maxAppendBytes, LARGEST_ENTRY_BYTES);
      this.#check(
        isWithin && inflightBytes <= mayHold && match < next,
        "S18 limits",
        node.id,
        () =>
          `${inflightMessages} messages, ${inflightBytes} bytes in flight to ${id}, match ${match}, next ${next}`,
      );
    }
  }

  // Seen by others: what leaves, what is durable, what is applied

  sending(message: Message): void {
    this.#promises.sending(message);
    this.#silence.sending(message);
  }

  durable(node: SimNode): void {
    this.#promises.durable(node);
  }

  applying(
    machine: KvStateMachine,
    id: NodeId,
    commands: readonly AppliedCommand[],
    apply: (part: readonly AppliedCommand[]) => readonly KvResult[],
  ): readonly KvResult[] {
    return this.#applications.applying(machine, id, commands, apply);
  }

  restored(machine: KvStateMachine, id: NodeId, info: SnapshotInfo): void {
    this.#applications.restored(machine, id, info);
  }
}

function isQuorum({ voters, votersOutgoing }: ClusterConfig, counts: (voter: NodeId) => boolean): boolean {
  const majority = (nodes: readonly NodeId[]): boolean =>
    nodes.length === 0 || 2 * nodes.filter(counts).length > nodes.length;
  return majority(voters) && majority(votersOutgoing);
}
