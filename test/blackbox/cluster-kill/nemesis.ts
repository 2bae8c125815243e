import { status } from "../support/api.ts";
import type { Run } from "../support/program.ts";
import type { Seeded } from "../support/random.ts";
import type { Server } from "../support/server.ts";
import { leaderOf } from "../support/cluster.ts";
import { sleep } from "../support/waiting.ts";

/** The default election timeout is 1000 ms, randomised up to twice that. */
const PAUSE_MS = 3000;

type Fault = readonly [name: string, strike: (leader: Server, followers: readonly Server[]) => Promise<void>];

/** What may happen to a cluster of three, each undone at its end. */
export class Nemesis {
  readonly #servers: readonly Server[];
  readonly #random: Seeded;
  readonly #run: Run;
  readonly #faults: readonly Fault[] = [
    ["SIGKILL of the leader", (leader) => this.#kill([leader])],
    ["SIGKILL of a follower", (_leader, followers) => this.#kill([this.#random.pick(followers)])],
    ["SIGKILL of all three at once", () => this.#kill(this.#servers)],
    ["a pause of the leader, longer than the election timeout", (leader) => this.#pause([leader])],
    ["SIGKILL of the leader and a follower", (leader, [follower]) => this.#kill([leader, follower!])],
    ["a pause of both followers", (_leader, followers) => this.#pause(followers)],
    ["a pause of the leader, then its SIGKILL", (leader) => this.#pauseAndKill(leader)],
  ];

  constructor(servers: readonly Server[], random: Seeded, run: Run) {
    this.#servers = servers;
    this.#random = random;
    this.#run = run;
  }

  /** One fault after the other, each kind once before any comes again; returns how many there were. */
  async rage(isOver: () => boolean): Promise<number> {
    let count = 0;
    let bag: Fault[] = [];
    while (!isOver()) {
      const leader = await leaderOf(this.#servers, 30);
      await sleep(700 + this.#random.below(1500));
      if (isOver()) break;
      if (bag.length === 0) bag = [...this.#faults];
      const [name, strike] = this.#random.pick(bag);
      bag = bag.filter((other) => other[0] !== name);
      const term = (await status(leader))?.term;
      this.#run.observe(`${name} (${leader.name} leads in term ${term})`);
      await strike(
        leader,
        this.#servers.filter((server) => server !== leader),
      );
      count++;
    }
    return count;
  }

  async #kill(victims: readonly Server[]): Promise<void> {
    await Promise.all(victims.map((server) => server.signal("SIGKILL")));
    await sleep(this.#random.below(3000));
    // In any order, and some later than others.
    await Promise.all(
      victims.map(async (server) => {
        await sleep(this.#random.below(1000));
        await server.start();
      }),
    );
  }

  async #pause(victims: readonly Server[]): Promise<void> {
    await Promise.all(victims.map((server) => server.signal("SIGSTOP")));
    await sleep(PAUSE_MS);
    await Promise.all(victims.map((server) => server.signal("SIGCONT")));
  }

  async #pauseAndKill(victim: Server): Promise<void> {
    await victim.signal("SIGSTOP");
    await sleep(PAUSE_MS);
    await victim.signal("SIGKILL");
    await victim.start();
  }
}
