import type {
  ClusterConfig,
  Entry,
  Message,
  RaftEvent,
  Ready,
  Rejection,
} from "../../../../src/core/raft/index.ts";
import type { Observer, SimEvent } from "./sim-event.ts";
import type { SimNode } from "./sim-node.ts";
import { entryText } from "./state-machine.ts";

/** Tells what happens in a cluster, one line for each effect. */
export class Story {
  lines: string[] = [];
  readonly #asleep: Set<bigint> = new Set();

  readonly observe: Observer = (event) => {
    const line = this.#tell(event);
    if (line !== null) this.lines.push(line);
  };

  /** What was told since the last call. */
  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  #tell(event: SimEvent): string | null {
    switch (event.type) {
      case "started":
        this.#asleep.delete(event.node.id);
        return event.again ? `${event.node.id} starts again: ${positionText(event.node)}` : null;
      case "crashed":
        return `${event.node.id} crashes; its disk has term ${event.node.disk.hardState.term}, log to ${event.node.disk.log.lastIndex}/${event.node.disk.log.lastTerm}`;
      case "stepped":
        return event.outcome.ok
          ? null
          : `${event.node.id} refuses: ${rejectionText(event.outcome.rejection)}`;
      case "ready":
        return readyText(event.node, event.ready);
      case "sent":
        return `${messageText(event.message)}`;
      case "lost":
        return `  lost: ${event.message.from}→${event.message.to} ${event.message.type}`;
      case "delivered":
        return null;
      case "persisted":
        return event.node.auto.persist || !writesText(event.ready)
          ? null
          : `${event.node.id} has on disk: ${writesText(event.ready)}`;
      case "applied":
        return `${event.node.id} applies ${entryLine(event.entry)}${event.config === undefined ? "" : ` → ${configText(event.config)}`}`;
      case "restored":
        return `${event.node.id} restores the snapshot ${event.snapshot.index}/${event.snapshot.term} ${configText(event.snapshot.config)}`;
      case "compacted":
        return `${event.node.id} compacts its log to ${event.snapshot.index}/${event.snapshot.term}`;
      case "readBegan":
        return null;
      case "readAnswered":
        return event.index === null
          ? `${event.node.id} read ${event.readId} failed`
          : `${event.node.id} read ${event.readId} may be served at ${event.index}`;
      case "settled":
        return this.#sleepNews(event.node);
    }
  }

  #sleepNews(node: SimNode): string | null {
    const { asleep } = node.status;
    if (asleep === this.#asleep.has(node.id)) return null;
    if (asleep) this.#asleep.add(node.id);
    else this.#asleep.delete(node.id);
    return `${node.id} ${asleep ? "falls asleep" : "wakes"}`;
  }
}

function positionText(node: SimNode): string {
  const { term, vote, commitIndex, appliedIndex, lastIndex, lastTerm, config } = node.status;
  return `term ${term} vote ${vote ?? "-"} log to ${lastIndex}/${lastTerm} commit ${commitIndex} applied ${appliedIndex} ${configText(config)}`;
}

/** The configuration in a few characters: `(1 2 3)`, joint `(1 2)&(2 3)`, learners after a bar. */
export function configText(config: ClusterConfig): string {
  const half = (voters: readonly bigint[]): string => `(${voters.join(" ")})`;
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = config;
  const joint = votersOutgoing.length === 0 ? "" : `&${half(votersOutgoing)}`;
  const learning = learners.length === 0 ? "" : ` learners ${learners.join(" ")}`;
  const next = learnersNext.length === 0 ? "" : ` learners-next ${learnersNext.join(" ")}`;
  return `${half(voters)}${joint}${learning}${next}${autoLeave ? " auto-leave" : ""}`;
}

function readyText(node: SimNode, ready: Ready): string | null {
  const parts: string[] = [];
  const { softState } = ready;
  if (softState !== null) {
    const leader =
      softState.leaderId === null || softState.role === "leader" ? "" : ` of ${softState.leaderId}`;
    parts.push(`is ${softState.role}${leader} (term ${node.status.term})`);
  }
  const writes = writesText(ready);
  if (writes !== "") parts.push(`writes ${writes}${node.auto.persist ? "" : " (pending)"}`);
  for (const { to, from } of ready.logReads) parts.push(`reads its log from ${from} for ${to}`);
  return parts.length === 0 ? null : `${node.id} ${parts.join("; ")}`;
}

function writesText({ hardState, entries, snapshot }: Ready): string {
  const parts: string[] = [];
  if (snapshot !== null) parts.push(`snapshot ${snapshot.index}/${snapshot.term}`);
  if (hardState !== null)
    parts.push(`term=${hardState.term} vote=${hardState.vote ?? "-"} commit=${hardState.commit}`);
  if (entries.length > 0) parts.push(entriesText(entries));
  return parts.join(", ");
}

function entryLine(entry: Entry): string {
  return `${entry.index}/${entry.term} ${entryText(entry)}`;
}

function entriesText(entries: readonly Entry[]): string {
  if (entries.length <= 4) return `[${entries.map(entryLine).join(", ")}]`;
  return `[${entryLine(entries[0]!)} … ${entryLine(entries.at(-1)!)}]`;
}

/** One message in one line: `1→2 AppendEntries t2 after 1/1 [2/2 noop] commit=1`. */
export function messageText(message: Message): string {
  return `${message.from}→${message.to} ${message.type} t${message.term}${detailText(message)}`;
}

function detailText(message: Message): string {
  switch (message.type) {
    case "AppendEntries": {
      const entries = message.entries.length === 0 ? "" : ` ${entriesText(message.entries)}`;
      return ` after ${message.prevLogIndex}/${message.prevLogTerm}${entries} commit=${message.leaderCommit}`;
    }
    case "AppendEntriesResult":
      return message.success
        ? ` match=${message.matchIndex}`
        : ` refused=${message.matchIndex} hint=${message.hintIndex}/${message.hintTerm}`;
    case "Heartbeat":
      return ` round=${message.round} commit=${message.leaderCommit}${message.quiesce ? " quiesce" : ""}`;
    case "HeartbeatResult":
      return ` round=${message.round}`;
    case "RequestVote":
      return ` last=${message.lastLogIndex}/${message.lastLogTerm}${message.leadershipTransfer ? " transfer" : ""}`;
    case "PreVote":
      return ` last=${message.lastLogIndex}/${message.lastLogTerm}`;
    case "RequestVoteResult":
    case "PreVoteResult":
      return message.granted ? " granted" : " refused";
    case "InstallSnapshot":
      return ` ${message.snapshot.index}/${message.snapshot.term} ${configText(message.snapshot.config)}`;
    case "TimeoutNow":
      return "";
    case "ReadIndexRequest":
      return ` read=${message.readId}${message.lease ? " lease" : ""}`;
    case "ReadIndexResult":
      return ` read=${message.readId} index=${message.index ?? "none"}`;
  }
}

function rejectionText(rejection: Rejection): string {
  switch (rejection.reason) {
    case "notLeader":
      return `not the leader (${rejection.leaderId ?? "nobody"} is)`;
    case "transferring":
      return `handing over to ${rejection.target}`;
    case "backPressure":
      return `back-pressure, ${rejection.uncommittedBytes} bytes uncommitted`;
    case "confChangePending":
      return `a membership change may be pending up to ${rejection.pendingIndex}`;
    case "invalidConfChange":
      return rejection.detail;
    case "learnerNotReady":
      return `the learner is not caught up, match=${rejection.matchIndex}`;
    case "badTransferee":
      return rejection.detail;
    case "noLeader":
      return "no leader is known";
    case "tooManyReads":
      return "too many reads";
  }
}

/** An event in a word or two. */
export function eventText(event: RaftEvent): string {
  return event.type === "message" ? messageText(event.message) : event.type;
}
