import { Applier } from "../../src/core/node/applier.ts";
import type { NodeOptions, SnapshotInfo } from "../../src/core/node/index.ts";
import { KvStateMachine } from "../../src/core/node/kv-state-machine.ts";
import { PeerPort } from "../../src/core/node/peer-port.ts";
import { RaftNode } from "../../src/core/node/raft-node.ts";
import type { AppliedCommand, StateMachine } from "../../src/core/node/state-machine.ts";
import type { KvResult } from "../../src/core/kv/index.ts";
import {
  type Message,
  type NodeId,
  type Outcome,
  Raft,
  type RaftEvent,
  type Ready,
} from "../../src/core/raft/index.ts";

/** Shown everything that the cores and drivers of a run do, as they do it. */
export interface Watcher {
  /** A core was given an event and has dealt with it. */
  stepped(raft: Raft, event: RaftEvent, outcome: Outcome): void;
  /** A core was asked what there is to do; `nowMs` is the last time that it was told. */
  collected(raft: Raft, ready: Ready | null, nowMs: number): void;
  /** A message is about to be sent. */
  sending(message: Message): void;
  /** Commands are about to be applied; `apply` applies some of them, in order. */
  applying(
    machine: KvStateMachine,
    node: NodeId,
    commands: readonly AppliedCommand[],
    apply: (part: readonly AppliedCommand[]) => readonly KvResult[],
  ): readonly KvResult[];
  /** A state was replaced by a snapshot's. */
  restored(machine: KvStateMachine, node: NodeId, info: SnapshotInfo): void;
}

let watcher: Watcher | null = null;
const ownerOf: WeakMap<object, NodeId> = new WeakMap();

/** From now on everything is shown to this one; one run at a time in a process. */
export function watch(next: Watcher | null): void {
  watcher = next;
}

/*
 * The classes themselves are told to report, from outside: they run as they are, and know nothing of it. What is
 * wrapped here once stays so for the life of the process.
 */

const step = Reflect.get(Raft.prototype, "step") as Raft["step"];
const ready = Reflect.get(Raft.prototype, "ready") as Raft["ready"];
const leaseReadIndex = Reflect.get(Raft.prototype, "leaseReadIndex") as Raft["leaseReadIndex"];
const toldMs: WeakMap<Raft, number> = new WeakMap();
function tell(raft: Raft, nowMs: number): void {
  toldMs.set(raft, Math.max(toldMs.get(raft) ?? nowMs, nowMs));
}
Raft.prototype.step = function (this: Raft, event, nowMs) {
  const outcome = step.call(this, event, nowMs);
  tell(this, nowMs);
  watcher?.stepped(this, event, outcome);
  return outcome;
};
Raft.prototype.ready = function (this: Raft) {
  const collected = ready.call(this);
  watcher?.collected(this, collected, toldMs.get(this) ?? 0);
  return collected;
};
Raft.prototype.leaseReadIndex = function (this: Raft, nowMs) {
  tell(this, nowMs);
  return leaseReadIndex.call(this, nowMs);
};

const send = Reflect.get(PeerPort.prototype, "send") as PeerPort["send"];
PeerPort.prototype.send = function (this: PeerPort, to, body) {
  if (body.type === "raft") watcher?.sending(body.message);
  send.call(this, to, body);
};

const start = RaftNode.start.bind(RaftNode);
RaftNode.start = async function <R>(options: NodeOptions, machine: StateMachine<R>): Promise<RaftNode<R>> {
  ownerOf.set(machine, options.identity.nodeId);
  return (await start(options, machine as StateMachine)) as RaftNode<R>;
};

const applyChunk = Reflect.get(KvStateMachine.prototype, "applyChunk") as KvStateMachine["applyChunk"];
KvStateMachine.prototype.applyChunk = function (this: KvStateMachine, commands) {
  const node = ownerOf.get(this);
  if (watcher === null || node === undefined) return applyChunk.call(this, commands);
  return watcher.applying(this, node, commands, (part) => applyChunk.call(this, part));
};

const restore = Reflect.get(Applier.prototype, "restore") as Applier<unknown>["restore"];
Applier.prototype.restore = async function (this: Applier<unknown>, info, chunks) {
  await restore.call(this, info, chunks);
  const node = ownerOf.get(this.stateMachine);
  if (node !== undefined && this.stateMachine instanceof KvStateMachine)
    watcher?.restored(this.stateMachine, node, info);
};
