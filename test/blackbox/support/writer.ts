import { call, decode, encode, type Endpoint, prefixEnd } from "./api.ts";
import { sleep, until } from "./waiting.ts";

const PREFIX = "written/";

/** Writes key after key, at one member or another, while something else goes on. */
export class Writer {
  /** Keys whose write was acknowledged, and those that were certainly refused. */
  readonly acknowledged: Set<string> = new Set();
  readonly refused: Set<string> = new Set();
  #over = false;
  readonly #done: Promise<void>;

  /** @param members who take writes at the moment; asked before each. */
  constructor(members: () => readonly Endpoint[]) {
    this.#done = this.#run(members);
  }

  async #run(members: () => readonly Endpoint[]): Promise<void> {
    for (let i = 0; !this.#over; i++) {
      const key = `${PREFIX}${i}`;
      const all = members();
      const member = all[i % all.length];
      if (member === undefined) throw new Error("nobody to write to");
      const { status } = await call(member, "kv/put", { key: encode(key), value: encode(key) });
      if (status === "ok") this.acknowledged.add(key);
      if (status === "failed") this.refused.add(key);
      if (status !== "ok") await sleep(50);
    }
  }

  /** Resolves when `count` more writes have been acknowledged. */
  async more(count: number, seconds = 30): Promise<void> {
    const goal = this.acknowledged.size + count;
    await until(seconds, `${count} more writes`, async () => this.acknowledged.size >= goal);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  /** What is not as it was told, read at this member. */
  async wrongAt(member: Endpoint): Promise<string[]> {
    const range = { key: encode(PREFIX), range_end: encode(prefixEnd(PREFIX)) };
    const reply = await until(20, `a read at ${member.name}`, async () => {
      const outcome = await call(member, "kv/range", range);
      return outcome.status === "ok" ? outcome.reply : null;
    });
    const present = new Map((reply.kvs ?? []).map(({ key, value }) => [decode(key), decode(value)]));
    return [
      ...[...this.acknowledged].filter((key) => present.get(key) !== key).map((key) => `${key} is lost`),
      ...[...this.refused].filter((key) => present.has(key)).map((key) => `${key} was refused and is there`),
    ];
  }
}
