import { EngineError } from "../../src/core/errors/index.ts";
import { TRUSTED } from "../../src/core/kv/index.ts";
import type { NodeId } from "../../src/core/raft/index.ts";
import type { Cluster } from "../core/node/world/cluster.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { Prng } from "../core/raft/harness/prng.ts";
import type { Clients } from "./clients.ts";
import type { Machines } from "./machines.ts";
import type { Fault, Target } from "./scenario.ts";

export interface FaultsHost {
  /** A machine for a new member is there, and waits to be started. */
  joined(node: SimNode): void;
  /** Code threw what is no proper error. */
  crashed(error: unknown): void;
}

/** Who changes the members, whoever the users are. */
const OPERATOR = { caller: TRUSTED };

/** Carries out what goes wrong, and what operators do meanwhile. */
export class Faults {
  readonly #cluster: Cluster;
  readonly #machines: Machines;
  readonly #clients: Clients;
  readonly #random: Prng;
  readonly #host: FaultsHost;
  /** Links, as from>to, whose frames are held back. */
  readonly #clogged: Set<string> = new Set();
  #joiners = 0;
  /** Operators that wait for an answer. */
  operating = 0;

  constructor(cluster: Cluster, machines: Machines, clients: Clients, random: Prng, host: FaultsHost) {
    this.#cluster = cluster;
    this.#machines = machines;
    this.#clients = clients;
    this.#random = random;
    this.#host = host;
    cluster.network.onFrame = ({ from, to }) => {
      const doom = machines.doom(from);
      if (doom !== null) machines.crash(cluster.node(from));
      if (doom === "before") return "drop";
      return this.#clogged.size > 0 && this.#clogged.has(`${from}>${to}`) ? "hold" : "pass";
    };
  }

  act(fault: Fault): void {
    const { network, world } = this.#cluster;
    const machines = this.#machines;
    switch (fault.do) {
      case "crash":
        return machines.crash(machines.at(fault.node));
      case "evict":
        return machines.evict(machines.at(fault.node), fault.anyTime);
      case "powerLoss":
        for (const node of machines.all()) machines.crash(node);
        return;
      case "start":
        for (const node of fault.node === "all" ? machines.all() : [machines.at(fault.node)])
          machines.boot(node);
        return;
      case "stop":
        return this.#stop(machines.at(fault.node));
      case "partition": {
        const side = fault.side.map((target) => machines.at(target).id);
        const rest = machines.all().map(({ id }) => id);
        return network.partition(
          side,
          rest.filter((id) => !side.includes(id)),
        );
      }
      case "cut": {
        const from = machines.at(fault.from).id;
        const to = machines.at(fault.to).id;
        network.cut(from, to);
        if (fault.both) network.cut(to, from);
        return;
      }
      case "heal":
        return network.heal();
      case "weather": {
        const { do: _, ...conditions } = fault;
        network.conditions = conditions;
        return;
      }
      case "clog": {
        const senders = fault.from === "all" ? machines.all() : [machines.at(fault.from)];
        const links = senders.map(({ id }) => `${id}>${machines.at(fault.to).id}`);
        for (const link of links) this.#clogged.add(link);
        world.schedule(fault.ms, null, () => this.#unclog(links));
        return;
      }
      case "slowDisk":
        return this.#slowDisk(machines.at(fault.node), fault.ms);
      case "failDisk":
        return machines.failWrite(machines.at(fault.node), fault.write, fault.how);
      case "corruptDisk": {
        const node = machines.at(fault.node);
        machines.corrupt(node);
        world.schedule(fault.ms, null, () => machines.repair(node));
        return;
      }
      case "crashAt":
        return machines.crashAt(machines.at(fault.node), fault.effect, fault.side);
      case "pause": {
        const node = machines.at(fault.node);
        const { life } = node;
        node.pause();
        world.schedule(fault.ms, null, () => {
          if (node.life === life) node.resume();
        });
        return;
      }
      case "loseReplies":
        return this.#clients.loseReplies(fault.ms);
      case "clockRate":
        return machines.clock(machines.at(fault.node)).setRate(fault.rate);
      case "clockJump":
        return machines.clock(machines.at(fault.node)).jump(fault.ms);
      case "wallJump":
        return machines.clock(machines.at(fault.node)).jumpWall(fault.ms);
      default:
        return this.#operate(fault);
    }
  }

  #slowDisk(node: SimNode, ms: number): void {
    const random = this.#random.fork();
    node.disk.latencyMs = () => random.int(ms + 1);
    node.disk.readLatencyMs = () => random.int(Math.min(ms, 20) + 1);
  }

  #unclog(links: readonly string[]): void {
    for (const link of links) this.#clogged.delete(link);
    if (this.#clogged.size === 0) this.#cluster.network.releaseHeld();
  }

  heal(): void {
    this.#clogged.clear();
    this.#cluster.network.releaseHeld();
  }

  // Operators

  #operate(
    fault: Extract<Fault, { do: "snapshot" | "transfer" | "addMember" | "promote" | "removeMember" }>,
  ): void {
    const machines = this.#machines;
    switch (fault.do) {
      case "snapshot": {
        const { engine } = machines.at(fault.node);
        if (engine?.isStopped === false) this.#background(engine.takeSnapshot());
        return;
      }
      case "transfer":
        return this.#transfer(machines.at(fault.to).id, fault.unheard === true);
      case "addMember":
        return this.#ask((node) => this.#addMember(node, fault.learner));
      case "promote":
        return this.#ask((node) => this.#promote(node), fault.asks);
      case "removeMember":
        return this.#ask((node) => this.#remove(node, fault.node));
    }
  }

  /** What operators are told is not what is tested here, unless it is no proper error. */
  #ask(work: (node: SimNode) => Promise<unknown>, target: Target = "leader"): void {
    const node = this.#machines.at(target);
    if (node.isUp) this.#background(work(node));
  }

  #background(work: Promise<unknown>): void {
    this.operating++;
    work
      .catch((error: unknown) => {
        if (!(error instanceof EngineError)) this.#host.crashed(error);
      })
      .finally(() => {
        this.operating--;
      });
  }

  #stop(node: SimNode): void {
    if (!node.isUp) return;
    this.#background(node.stop().then(() => this.#clients.crashed(node.id)));
  }

  async #addMember(node: SimNode, isLearner: boolean): Promise<void> {
    if (this.#cluster.nodes.size >= 9) return;
    const peerUrls = [`http://x${++this.#joiners}:2380`];
    const { member } = await node.engine!.memberAdd({ peerUrls, isLearner }, OPERATOR);
    this.provide(member.id);
  }

  /** A machine for a member that has none. */
  provide(id: NodeId): void {
    if (this.#cluster.nodes.has(id)) return;
    const joiner = this.#cluster.addJoiner(id);
    this.#host.joined(joiner);
    this.#machines.boot(joiner);
  }

  async #promote(node: SimNode): Promise<void> {
    const { members } = await node.engine!.memberList(OPERATOR);
    const learner = members.find(
      ({ isLearner, id }) => isLearner && this.#cluster.nodes.get(id)?.isUp === true,
    );
    if (learner !== undefined && node.isUp) await node.engine!.memberPromote(learner.id, OPERATOR);
  }

  #transfer(to: NodeId, isUnheard: boolean): void {
    this.#ask((node) => {
      if (isUnheard) this.#cluster.network.cut(to, node.id);
      return node.engine!.transferLeadership(to, OPERATOR);
    });
  }

  async #remove(node: SimNode, target: Target | "learner"): Promise<void> {
    const { members } = await node.engine!.memberList(OPERATOR);
    const learner = members.find(({ isLearner }) => isLearner);
    if (target === "learner" && learner === undefined) return;
    const id = target === "learner" ? learner!.id : this.#machines.at(target).id;
    const voters = members.filter(({ isLearner }) => !isLearner);
    const isVoter = voters.some((voter) => voter.id === id);
    if ((isVoter && voters.length <= 2) || !node.isUp) return;
    await node.engine!.memberRemove(id, OPERATOR);
    this.#machines.gone.add(id);
  }
}
