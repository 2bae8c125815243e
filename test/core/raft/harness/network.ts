import type { Message, NodeId } from "../../../../src/core/raft/index.ts";
import type { StateMachine } from "./state-machine.ts";

/** A message under way. */
export interface Packet {
  readonly id: number;
  readonly message: Message;
  /** What an InstallSnapshot announces: the driver moves it alongside. */
  readonly snapshotState: StateMachine | null;
}

/** Messages under way, in the order in which they were sent, and the links that lose them. */
export class Network {
  packets: Packet[] = [];
  #nextId = 1;
  readonly #cut: Set<string> = new Set();

  /** Puts a message on its way; null if the link is cut and the message is lost. */
  send(message: Message, snapshotState: StateMachine | null): Packet | null {
    if (this.isCut(message.from, message.to)) return null;
    const packet = { id: this.#nextId++, message, snapshotState };
    this.packets.push(packet);
    return packet;
  }

  take(packet: Packet): void {
    const at = this.packets.indexOf(packet);
    if (at < 0) throw new Error("the message is not under way");
    this.packets.splice(at, 1);
  }

  duplicate(packet: Packet): Packet {
    const copy = { ...packet, id: this.#nextId++ };
    this.packets.push(copy);
    return copy;
  }

  /** One-way: messages from `from` to `to` are lost, those already under way too. */
  cut(from: NodeId, to: NodeId): Packet[] {
    this.#cut.add(`${from}>${to}`);
    const lost = this.packets.filter(({ message }) => message.from === from && message.to === to);
    this.packets = this.packets.filter((packet) => !lost.includes(packet));
    return lost;
  }

  join(from: NodeId, to: NodeId): void {
    this.#cut.delete(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }
}
