// A state machine of your own, replicated by the same log: a ticket office that never sells a seat twice.

import { EmbeddedStateMachine } from "../src/index.ts"; // in your project: "d-engine"
import type { AppliedCommand, StateMachine, StateSnapshot } from "../src/index.ts";

type Sale = { readonly seat: string; readonly buyer: string };

class TicketOffice implements StateMachine<boolean> {
  readonly sold: Map<string, string> = new Map();

  /** The same on every member: nothing but the commands may decide, no clock, no chance. */
  applyChunk(commands: readonly AppliedCommand[]): boolean[] {
    return commands.map(({ command }) => {
      const { seat, buyer } = JSON.parse(new TextDecoder().decode(command)) as Sale;
      if (this.sold.has(seat)) return false;
      this.sold.set(seat, buyer);
      return true;
    });
  }

  /** The state at this moment; sales go on while it is written. */
  snapshot(): StateSnapshot {
    const content = new TextEncoder().encode(JSON.stringify([...this.sold]));
    return { chunks: () => [content], release: () => undefined };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    this.sold.clear();
    for (const [seat, buyer] of JSON.parse(text) as [string, string][]) this.sold.set(seat, buyer);
  }
}

const office = new TicketOffice();
const member = await EmbeddedStateMachine.start("./tickets", office);
await member.waitReady(5000);
const buy = (sale: Sale): Promise<boolean> => member.propose(new TextEncoder().encode(JSON.stringify(sale)));

console.log(await buy({ seat: "3C", buyer: "ann" })); // true
console.log(await buy({ seat: "3C", buyer: "bob" })); // false
console.log(await member.read(() => office.sold.get("3C"))); // ann
await member.stop();

// It comes back from its log.
const reopened = new TicketOffice();
const again = await EmbeddedStateMachine.start("./tickets", reopened);
await again.waitReady(5000);
console.log(await again.read(() => reopened.sold.get("3C"))); // ann
await again.stop();
