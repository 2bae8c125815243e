import type { Client } from "../../../src/runtimes/client/index.ts";
import { call, encode, type Endpoint, type Reply } from "../support/api.ts";
import type { Run } from "../support/program.ts";
import type { Seeded } from "../support/random.ts";
import { sleep, until } from "../support/waiting.ts";

const PREFIX = "lease/";
const TTL_S = 3;
const RENEWAL_MS = 800;

/** The replies of the lease methods. */
type LeaseReply = Reply & { readonly ID?: string; readonly TTL?: string; readonly result?: LeaseReply };

interface Held {
  readonly key: string;
  /** By the clock of this process. The lease was renewed later, so it cannot end before this and its TTL. */
  renewedAt: number;
  attached: boolean;
}

/** Leases that are renewed for a while and then left alone, each with a key of its own. */
export class Leases {
  readonly #servers: readonly Endpoint[];
  readonly #random: Seeded;
  readonly #held: Held[] = [];
  /** When a key was first seen to be gone, by whoever saw it first. */
  readonly #goneAt = new Map<string, number>();
  readonly #ended: Promise<void>[] = [];

  constructor(servers: readonly Endpoint[], random: Seeded) {
    this.#servers = servers;
    this.#random = random;
  }

  /** Looks at all keys through this client. */
  async observe(client: Client): Promise<void> {
    const watch = client.watchPrefix(PREFIX);
    await watch.ready();
    void (async () => {
      for await (const { key, type } of watch) {
        if (type === "delete" && !this.#goneAt.has(key)) this.#goneAt.set(key, performance.now());
      }
    })().catch(() => undefined);
  }

  /** Holds one lease after the other until it is over. */
  work(worker: number, isOver: () => boolean): void {
    this.#ended.push(this.#run(worker, isOver));
  }

  async #run(worker: number, isOver: () => boolean): Promise<void> {
    for (let round = 0; !isOver(); round++) {
      await this.#holdOne(`${PREFIX}${worker}/${round}`, isOver);
      await sleep(this.#random.below(500));
    }
  }

  async #holdOne(key: string, isOver: () => boolean): Promise<void> {
    let asked = performance.now();
    const granted = await this.#ask("lease/grant", { TTL: TTL_S });
    if (granted?.ID === undefined) return;
    const held = { key, renewedAt: asked, attached: false };
    this.#held.push(held);
    const end = performance.now() + 1000 + this.#random.below(8000);
    while (!isOver() && performance.now() < end) {
      if (!held.attached) {
        held.attached = (await this.#ask("kv/put", { key: encode(key), lease: granted.ID })) !== null;
      }
      asked = performance.now();
      const renewed = (await this.#ask("lease/keepalive", { ID: granted.ID }))?.result;
      if (renewed !== undefined && Number(renewed.TTL ?? 0) <= 0) return;
      if (renewed !== undefined) held.renewedAt = asked;
      await sleep(RENEWAL_MS);
    }
  }

  async #ask(path: string, body: object): Promise<LeaseReply | null> {
    const outcome = await call(this.#random.pick(this.#servers), path, body, 2000);
    return outcome.status === "ok" ? outcome.reply : null;
  }

  /** Requires that no key went before its lease could have ended, and that in the end all went. */
  async check(run: Run, client: Client): Promise<void> {
    await Promise.all(this.#ended);
    await until(60, "all leases to have ended", async () => {
      const { entries } = await client.scanPrefix(PREFIX);
      return entries.length === 0;
    });
    const attached = this.#held.filter((held) => held.attached);
    await until(30, "the end of all leases to have been told", async () =>
      attached.every(({ key }) => this.#goneAt.has(key)),
    );
    const late = attached.map(({ key, renewedAt }) => this.#goneAt.get(key)! - renewedAt - TTL_S * 1000);
    const early = attached.filter((_, i) => late[i]! < 0);
    run.require(
      early.length === 0,
      `none of ${attached.length} leases ended early ${early.map(({ key }) => key).join(" ")}`,
    );
    const [median, most] = [late.toSorted((a, b) => a - b)[late.length >> 1] ?? 0, Math.max(...late)];
    run.observe(
      `they were seen to end ${Math.round(median)} ms after they could (the median), ${Math.round(most)} ms at most`,
    );
  }
}
