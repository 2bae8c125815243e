import {
  type ClusterConfig,
  type ConfChange,
  type ConfChangeEntry,
  type Entry,
  entryBytes,
  type LogIndex,
  type Term,
} from "../raft/index.ts";
import { decodeConfChangeContext, decodeProposal } from "./codec/index.ts";
import type { ProposalId } from "./frames.ts";
import { Membership } from "./membership.ts";
import type { Meter } from "./observer.ts";
import type { SnapshotInfo } from "./ports.ts";
import type { AppliedCommand, StateMachine } from "./state-machine.ts";

/** Told what applying brings, in log order. */
export interface ApplyObserver<R> {
  /** A membership change is due; answers with the configuration now in force. */
  onConfChange(change: ConfChange): ClusterConfig;
  /** A proposal has been applied. `result` is undefined for what the state machine does not see. */
  onResult(id: ProposalId, index: LogIndex, result: R | undefined): void;
  /** Names, addresses or members have changed. */
  onMembership(): void;
}

/** Entries and their bytes. */
export interface AppliedAmount {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * Takes committed entries in order: commands into the state machine, membership changes into the configuration.
 * Used alike for live entries and for those replayed at a start, so that both end in the same state.
 */
export class Applier<R> {
  readonly stateMachine: StateMachine<R>;
  membership: Membership;
  appliedIndex: LogIndex;
  appliedTerm: Term;
  /** Of the last entry before those of `appliedTerm`; 0: not known. */
  priorTerm: Term = 0;
  /** What has been applied since the last snapshot. */
  sinceSnapshot: AppliedAmount = { entries: 0, bytes: 0 };
  #isBusy = false;
  readonly #meter: Meter;
  readonly #observer: ApplyObserver<R>;

  constructor(
    stateMachine: StateMachine<R>,
    membership: Membership,
    applied: { readonly index: LogIndex; readonly term: Term },
    meter: Meter,
    observer: ApplyObserver<R>,
  ) {
    this.stateMachine = stateMachine;
    this.membership = membership;
    this.appliedIndex = applied.index;
    this.appliedTerm = applied.term;
    this.#meter = meter;
    this.#observer = observer;
  }

  /** In the middle of applying or restoring, when the state and `appliedIndex` do not belong together. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Applies entries; the next call must wait for this one. Runs through at once if the state machine does. */
  async apply(entries: readonly Entry[]): Promise<void> {
    // After a failure it stays busy: what the state has become is unknown.
    this.#isBusy = true;
    await this.#apply(entries);
    this.#isBusy = false;
  }

  async #apply(entries: readonly Entry[]): Promise<void> {
    let commands: AppliedCommand[] = [];
    let ids: ProposalId[] = [];
    let bytes = this.sinceSnapshot.bytes;
    let { appliedTerm: term, priorTerm } = this;
    const flush = async (): Promise<void> => {
      if (commands.length === 0) return;
      const startedMs = this.#meter.nowMs();
      const pending = this.stateMachine.applyChunk(commands);
      const results = pending instanceof Promise ? await pending : (pending as readonly R[]);
      this.#meter.record("applyBatch", commands.length);
      this.#meter.since("applyDuration", startedMs);
      for (let i = 0; i < ids.length; i++) this.#observer.onResult(ids[i]!, commands[i]!.index, results[i]);
      commands = [];
      ids = [];
    };
    for (const entry of entries) {
      bytes += entryBytes(entry);
      if (entry.term !== term) {
        priorTerm = term;
        term = entry.term;
      }
      if (entry.kind === "noop") continue;
      if (entry.kind === "confChange") {
        await flush();
        this.#applyConfChange(entry);
        continue;
      }
      const { id, timeMs, body } = decodeProposal(entry.data);
      if (body.type === "command") {
        commands.push({ index: entry.index, term: entry.term, timeMs, command: body.command });
        ids.push(id);
        continue;
      }
      await flush();
      this.membership.update(body.update);
      this.#observer.onMembership();
      this.#observer.onResult(id, entry.index, undefined);
    }
    await flush();
    const last = entries.at(-1);
    if (last === undefined) return;
    this.appliedIndex = last.index;
    this.appliedTerm = last.term;
    this.priorTerm = priorTerm;
    this.sinceSnapshot = { entries: this.sinceSnapshot.entries + entries.length, bytes };
  }

  #applyConfChange({ index, change }: ConfChangeEntry): void {
    this.membership.setConfig(this.#observer.onConfChange(change));
    // The leader leaves a joint configuration by itself, with a change that nobody asked for.
    if (change.context.length > 0) {
      const context = decodeConfChangeContext(change.context);
      for (const member of context.members) this.membership.update(member);
      this.#observer.onResult(context.id, index, undefined);
    }
    this.#observer.onMembership();
  }

  /** Replaces everything by a stored snapshot. */
  async restore({ meta, context }: SnapshotInfo, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#isBusy = true;
    await this.stateMachine.restore(chunks);
    this.membership = Membership.decode(meta.config, context);
    this.appliedIndex = meta.index;
    this.appliedTerm = meta.term;
    this.priorTerm = 0;
    this.sinceSnapshot = { entries: 0, bytes: 0 };
    this.#isBusy = false;
  }
}
