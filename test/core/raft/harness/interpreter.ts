import {
  type ConfChange,
  type ConfChangeStep,
  type NodeId,
  type RaftOptions,
  RAFT_DEFAULTS,
  type Term,
} from "../../../../src/core/raft/index.ts";
import { Cluster } from "./cluster.ts";
import type { TornAt } from "./disk.ts";
import { InvariantError } from "./invariants.ts";
import type { Packet } from "./network.ts";
import type { SimNode } from "./sim-node.ts";
import { entryText } from "./state-machine.ts";
import type { StoredLog } from "./stored-log.ts";
import { Story, configText, messageText } from "./story.ts";

/** A scenario's line that cannot be understood. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
}

/**
 * Carries out the commands of a scenario on one cluster. Every command is one line of words; see `COMMANDS` for
 * what there is. The answer is the story of what happened, one line an effect.
 */
export class Interpreter {
  #cluster: Cluster | null = null;
  #story: Story = new Story();
  /** Part of an election timeout that each node adds to its own. */
  readonly #jitter: Map<NodeId, number> = new Map();

  /** Carries out one line. */
  run(line: string): string[] {
    const words = line.split(/\s+/);
    const quiet = words[0] === "quiet";
    if (quiet) words.shift();
    const [name, ...rest] = words;
    const command = COMMANDS[name!];
    if (command === undefined) throw new ScenarioError(`no command "${name}"`);
    const answer = command(this, new Words(rest));
    const told = [...this.#story.take(), ...(answer ?? [])];
    return quiet ? [] : told;
  }

  get cluster(): Cluster {
    if (this.#cluster === null) throw new ScenarioError("begin with `cluster`");
    return this.#cluster;
  }

  found(words: Words): void {
    const raft: Record<string, number> = {};
    for (const [name, value] of words.named()) if (name in RAFT_DEFAULTS) raft[name] = Number(value);
    const logs = new Map<NodeId, Term[]>();
    for (const [name, value] of words.named()) {
      const id = /^log\.(\d+)$/.exec(name)?.[1];
      if (id !== undefined) logs.set(BigInt(id), value === "" ? [] : value.split(",").map(Number));
    }
    this.#story = new Story();
    this.#jitter.clear();
    (words.option("timers")?.split(",") ?? []).forEach((id, i) => this.#jitter.set(BigInt(id), i / 10));
    this.#cluster = new Cluster({
      voters: words.option("voters")?.includes(",")
        ? words.option("voters")!.split(",").map(BigInt)
        : Number(words.option("voters") ?? 3),
      learners: (words.option("learners") ?? "").split(",").filter(Boolean).map(BigInt),
      raft: raft as Partial<RaftOptions>,
      logs,
      ...(words.option("term") === undefined ? {} : { term: Number(words.option("term")) }),
      jitter: (id) => this.#jitter.get(id) ?? Number(id - 1n) / 10,
      observers: [this.#story.observe],
      clocksWithinBound: words.option("clocks") !== "wild",
    });
  }

  /** The first named campaigns first, should it come to that. */
  setTimers(ids: readonly NodeId[]): void {
    for (const id of this.cluster.nodes.keys()) this.#jitter.set(id, 0.9);
    ids.forEach((id, i) => this.#jitter.set(id, i / 10));
  }

  /** Messages under way on a link such as `1>2`, of a type if one is named, oldest first. */
  packets(words: Words): Packet[] {
    const [from, to] = words.link();
    const type = words.next();
    const found = this.cluster.network.packets.filter(
      ({ message }) =>
        (from === null || message.from === from) &&
        (to === null || message.to === to) &&
        (type === undefined || message.type === type),
    );
    if (found.length === 0) throw new ScenarioError("no such message is under way");
    return found;
  }
}

/** What follows a command's name: words in order, and `name=value` pairs anywhere. */
class Words {
  readonly #plain: string[];
  readonly #named: Map<string, string>;

  constructor(words: readonly string[]) {
    const isNamed = (word: string): boolean => /^[a-zA-Z][\w.]*=/.test(word);
    this.#plain = words.filter((word) => !isNamed(word));
    this.#named = new Map(
      words.filter(isNamed).map((word) => {
        const at = word.indexOf("=");
        return [word.slice(0, at), word.slice(at + 1)];
      }),
    );
  }

  next(): string | undefined {
    return this.#plain.shift();
  }

  rest(): string[] {
    return this.#plain.splice(0);
  }

  option(name: string): string | undefined {
    return this.#named.get(name);
  }

  number(name: string): number | undefined {
    const value = this.#named.get(name);
    return value === undefined ? undefined : Number(value);
  }

  named(): IterableIterator<[string, string]> {
    return this.#named.entries();
  }

  id(): NodeId {
    const word = this.next();
    if (word === undefined || !/^\d+$/.test(word)) throw new ScenarioError(`"${word}" is not a node`);
    return BigInt(word);
  }

  ids(): NodeId[] {
    const ids: NodeId[] = [];
    while (this.#plain.length > 0) ids.push(this.id());
    return ids;
  }

  /** `1>2`; `1>*` from 1 to anybody, `*>1` to 1 from anybody. */
  link(): [NodeId | null, NodeId | null] {
    const word = this.next() ?? "";
    const match = /^(\d+|\*)>(\d+|\*)$/.exec(word);
    if (match === null) throw new ScenarioError(`"${word}" is not a link such as 1>2`);
    return [match[1] === "*" ? null : BigInt(match[1]!), match[2] === "*" ? null : BigInt(match[2]!)];
  }

  count(otherwise: number): number {
    const word = this.next();
    return word === undefined ? otherwise : word === "all" ? Number.MAX_SAFE_INTEGER : Number(word);
  }
}

type Command = (run: Interpreter, words: Words) => string[] | void;

/** All that a scenario can say. `quiet` before a command leaves out its story. */
const COMMANDS: Record<string, Command> = {
  // cluster voters=3 learners=4 term=3 log.1=2,2,3 electionTimeoutMs=…: founds a group; a log is given by the terms
  // of its entries from index 2 on, timers=2,1,3 says who campaigns first, `clocks=wild` that clocks will not keep to the drift bound
  cluster: (run, words) => run.found(words),
  // node 4: a node that knows nothing yet
  node: (run, words) => void run.cluster.addNode(words.id()),
  // timers 2 1 3: who campaigns first, should it come to that
  timers: (run, words) => run.setTimers(words.ids()),
  // elect: time passes until there is a leader
  elect: (run) => void run.cluster.elect(),

  // propose 1 a b c, or propose 1 count=3 bytes=100; for=2: somebody at 2 waits for it
  propose: (run, words) => {
    const id = words.id();
    const count = words.number("count") ?? 0;
    const filled = Array.from({ length: count }, (_, i) => `${i}`.padEnd(words.number("bytes") ?? 1, "."));
    const awaitedBy = words.option("for") === undefined ? [] : [BigInt(words.option("for")!)];
    run.cluster.proposeFor(awaitedBy, id, ...words.rest(), ...filled);
  },
  // change 1 voter+4 learner+3 -2 [implicit|explicit]
  change: (run, words) => {
    const id = words.id();
    const steps: ConfChangeStep[] = [];
    let transition: ConfChange["transition"] = "auto";
    for (const word of words.rest()) {
      if (word === "implicit" || word === "explicit" || word === "auto") transition = word;
      else steps.push(changeStep(word));
    }
    run.cluster.proposeConfChange(id, steps, transition);
  },
  // leave 1: the joint configuration
  leave: (run, words) => void run.cluster.proposeConfChange(words.id(), []),
  // transfer 1 2: from 1 to 2
  transfer: (run, words) => {
    run.cluster.step(words.id(), { type: "transferLeadership", target: words.id() });
  },
  // campaign 2
  campaign: (run, words) => void run.cluster.step(words.id(), { type: "campaign" }),
  // wake 2
  wake: (run, words) => void run.cluster.step(words.id(), { type: "wake" }),
  // read 1 [lease]
  read: (run, words) => {
    const id = words.id();
    const { readId, outcome } = run.cluster.read(id, words.next() === "lease");
    const waits = outcome.ok && run.cluster.node(id).reads.get(readId) === undefined;
    return waits ? [`${id} read ${readId} waits`] : [];
  },
  // unreachable 1 2: 1's transport could not reach 2
  unreachable: (run, words) => void run.cluster.step(words.id(), { type: "unreachable", node: words.id() }),

  // deliver all; deliver 1>2 [type]: the oldest; deliver-newest 1>2 [type]
  deliver: (run, words) => {
    const link = words.next();
    if (link === "all") return run.cluster.settle();
    const packets = run.packets(new Words([link ?? "", ...words.rest()]));
    run.cluster.deliver(packets[0]!);
  },
  "deliver-newest": (run, words) => run.cluster.deliver(run.packets(words).at(-1)!),
  // drop 1>2 [type]: all of them
  drop: (run, words) => {
    for (const packet of run.packets(words)) run.cluster.drop(packet);
  },
  // duplicate 1>2 [type]: all of them
  duplicate: (run, words) => {
    for (const packet of run.packets(words)) run.cluster.network.duplicate(packet);
  },
  // under-way: what waits to be delivered
  "under-way": (run) => run.cluster.network.packets.map(({ message }) => `  ${messageText(message)}`),
  // cut 1>2: one way, and what is under way there is lost; join 1>2 mends it; `*` is anybody
  cut: (run, words) => {
    const [from, to] = words.link();
    for (const a of run.cluster.nodes.keys()) {
      for (const b of run.cluster.nodes.keys()) {
        if (a !== b && (from ?? a) === a && (to ?? b) === b) run.cluster.cut(a, b);
      }
    }
  },
  join: (run, words) => {
    const [from, to] = words.link();
    for (const a of run.cluster.nodes.keys()) {
      for (const b of run.cluster.nodes.keys()) {
        if ((from ?? a) === a && (to ?? b) === b) run.cluster.join(a, b);
      }
    }
  },
  isolate: (run, words) => run.cluster.isolate(words.id()),
  heal: (run) => run.cluster.heal(),

  // advance 1000: time passes and messages arrive at once; pass 1000: time passes, messages wait
  advance: (run, words) => run.cluster.advance(words.count(0)),
  pass: (run, words) => run.cluster.advance(words.count(0), false),
  // clock 1 0.5: how fast a node's clock runs
  clock: (run, words) => run.cluster.node(words.id()).clock.setRate(words.count(1), run.cluster.nowMs),
  pause: (run, words) => run.cluster.pause(words.id()),
  resume: (run, words) => run.cluster.resume(words.id()),

  // hold persist 1; release persist 1: of persist, apply, log-reads, reports
  hold: (run, words) => setAuto(run, words, false),
  release: (run, words) => setAuto(run, words, true),
  // persist 1 [2|all]: the oldest writes become durable
  persist: (run, words) => {
    const node = run.cluster.node(words.id());
    for (let n = words.count(1); n > 0 && node.disk.pending.length > 0; n--) node.persistNext();
  },
  // apply 1 [2|all]
  apply: (run, words) => {
    const node = run.cluster.node(words.id());
    node.applyNext(Math.min(words.count(1), node.applyQueue.length));
  },
  "answer-log-read": (run, words) => run.cluster.node(words.id()).answerLogRead(),
  // report 1 to=2 ok|fail: how the transfer of a snapshot ended
  report: (run, words) => {
    const node = run.cluster.node(words.id());
    const to = BigInt(words.option("to") ?? 0);
    node.reports = node.reports.filter((report) => report.to !== to);
    node.step({ type: "snapshotReport", to, ok: words.next() === "ok" });
  },
  // compact 1 [5]: takes a snapshot and drops the log up to it
  compact: (run, words) => {
    const done = run.cluster.node(words.id()).compact(words.count(Number.MAX_SAFE_INTEGER));
    return done ? [] : ["nothing to compact"];
  },

  // crash 1 [reached=2] [torn=hardState]: what of the writes under way had become durable
  crash: (run, words) => {
    const torn = (words.option("torn") ?? "nothing") as TornAt;
    for (const id of words.ids()) run.cluster.node(id).crash(words.number("reached") ?? 0, torn);
  },
  // restart 1 2 3 [applied=5] [tail=2]
  restart: (run, words) => {
    for (const id of words.ids()) {
      const node = run.cluster.node(id);
      node.start({ appliedTo: words.number("applied") ?? 0, tailBefore: words.number("tail") ?? 0 });
    }
  },

  // status [1 2]
  status: (run, words) => {
    const ids = words.ids();
    const nodes = ids.length > 0 ? ids.map((id) => run.cluster.node(id)) : [...run.cluster.nodes.values()];
    return nodes.map(statusText);
  },
  // log [1 2]: entries, in a column for each term change
  log: (run, words) => {
    const ids = words.ids();
    const nodes = ids.length > 0 ? ids.map((id) => run.cluster.node(id)) : [...run.cluster.nodes.values()];
    return nodes.map((node) => `${node.id} log ${logText(node.view)}`);
  },
  // durable 1: what is on a node's disk
  durable: (run, words) => {
    const { id, disk } = run.cluster.node(words.id());
    const { term, vote, commit } = disk.hardState;
    return [`${id} disk term ${term} vote ${vote ?? "-"} commit ${commit}, log ${logText(disk.log)}`];
  },
  // persisted 1: up to where a node takes its own log to be durable
  persisted: (run, words) => {
    const { id, status } = run.cluster.node(words.id());
    return [`${id} counts on its log up to ${status.persistedIndex}`];
  },
  // progress 1: what a leader knows of the others
  progress: (run, words) =>
    [...run.cluster.node(words.id()).status.progress].map(
      ([id, { state, match, next, inflightMessages, inflightBytes }]) =>
        `  ${id} ${state} match=${match} next=${next}${inflightMessages === 0 ? "" : ` in flight: ${inflightMessages} messages, ${inflightBytes} bytes`}`,
    ),
  // machine: the commands applied, in order
  machine: (run) =>
    run.cluster.up.map(({ id, machine }) => `${id} has applied ${machine.commands.join(" ") || "nothing"}`),
  // lease 1: whether the node may answer lease reads right now
  lease: (run, words) => {
    const node = run.cluster.node(words.id());
    node.step({ type: "wake" });
    return [`${node.id} ${node.status.hasLease ? "holds" : "holds no"} lease`];
  },
};

function changeStep(word: string): ConfChangeStep {
  const match = /^(voter\+|learner\+|-)(\d+)$/.exec(word);
  if (match === null) throw new ScenarioError(`"${word}" is not a step such as voter+4`);
  const types = { "voter+": "addVoter", "learner+": "addLearner", "-": "remove" } as const;
  return { type: types[match[1] as keyof typeof types], node: BigInt(match[2]!) };
}

function setAuto(run: Interpreter, words: Words, auto: boolean): void {
  const what = words.next();
  const name = what === "log-reads" ? "logReads" : what;
  if (name !== "persist" && name !== "apply" && name !== "logReads" && name !== "reports")
    throw new ScenarioError(`cannot hold "${what}"`);
  for (const id of words.ids()) {
    const node = run.cluster.node(id);
    node.auto[name] = auto;
    if (auto && node.up) node.work();
  }
}

function statusText(node: SimNode): string {
  if (!node.up) return `${node.id} is down`;
  const { role, term, vote, leaderId, commitIndex, appliedIndex, lastIndex, lastTerm, config, asleep } =
    node.status;
  const leader = role === "leader" ? "" : ` of ${leaderId ?? "nobody"}`;
  const sleep = asleep ? " asleep" : "";
  return `${node.id} ${role}${leader}, term ${term} vote ${vote ?? "-"}, log to ${lastIndex}/${lastTerm} commit ${commitIndex} applied ${appliedIndex}, ${configText(config)}${sleep}`;
}

function logText(log: StoredLog): string {
  const entries = log
    .slice(log.base.index + 1)
    .map((entry) => `${entry.index}/${entry.term} ${entryText(entry)}`);
  return [`(${log.base.index}/${log.base.term})`, ...entries].join(", ");
}

/** A scenario's file: blocks of commands and what they print. */
export interface Block {
  readonly comments: readonly string[];
  readonly commands: readonly string[];
  readonly expected: readonly string[];
}

export function parseScenario(text: string): Block[] {
  const blocks: Block[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const lines = paragraph.split("\n").filter((line) => line.trim() !== "");
    const at = lines.indexOf("----");
    const before = at < 0 ? lines : lines.slice(0, at);
    blocks.push({
      comments: before.filter((line) => line.startsWith("#")),
      commands: before.filter((line) => !line.startsWith("#")).map((line) => line.trim()),
      expected: at < 0 ? [] : lines.slice(at + 1),
    });
  }
  return blocks.filter(({ comments, commands }) => comments.length + commands.length > 0);
}

export function printScenario(blocks: readonly Block[]): string {
  const paragraphs = blocks.map(({ comments, commands, expected }) =>
    [...comments, ...commands, ...(commands.length > 0 ? ["----", ...expected] : [])].join("\n"),
  );
  return `${paragraphs.join("\n\n")}\n`;
}

/** Runs a scenario from its beginning; the same blocks, with what really happened. */
export function runScenario(blocks: readonly Block[]): Block[] {
  const interpreter = new Interpreter();
  return blocks.map((block) => {
    const told = block.commands.flatMap((command) => {
      try {
        return interpreter.run(command);
      } catch (error) {
        if (error instanceof ScenarioError || error instanceof InvariantError) {
          error.message = `in \`${command}\`: ${error.message}`;
        }
        throw error;
      }
    });
    return { ...block, expected: told.length === 0 && block.commands.length > 0 ? ["ok"] : told };
  });
}
