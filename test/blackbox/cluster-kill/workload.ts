import type { Operation } from "../../sim/checkers/history.ts";
import type { RegisterInput, RegisterOutput } from "../../sim/checkers/models.ts";
import { call, decode, encode, type Endpoint, type Outcome, prefixEnd, type Reply } from "../support/api.ts";
import type { Seeded } from "../support/random.ts";
import { sleep } from "../support/waiting.ts";

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

export const ACCOUNTS: readonly string[] = ["bank/ann", "bank/bob", "bank/cy", "bank/dee"];
export const TOTAL = 400;
export const UNIQUE_PREFIX = "unique/";

/** Registers written at the same time, and how long one is in use before the next takes its place. */
const REGISTERS = 3;
const EPOCH_MS = 1500;

/** What the clients did and what they know of it. */
export class Record {
  /** Grows with every call and every return, so that it orders them. */
  #now = 0;
  readonly registers: RegisterOperation[] = [];
  /** Keys that are written once each, with how that ended. */
  readonly uniques: Map<string, Outcome["status"]> = new Map();
  readonly brokenSums: string[] = [];
  sums = 0;
  transfers = 0;
  readonly counts: { [S in Outcome["status"]]: number } = { ok: 0, failed: 0, unknown: 0 };

  tick(): number {
    return ++this.#now;
  }
}

/** One client: an operation after the other, each at any member, until it is told to stop. */
export class Client {
  readonly #id: number;
  readonly #servers: readonly Endpoint[];
  readonly #random: Seeded;
  readonly #record: Record;
  #serial = 0;
  /** What a register held when this client last looked, for comparisons that have a chance. */
  readonly #seen: Map<string, string | null> = new Map();

  constructor(id: number, servers: readonly Endpoint[], random: Seeded, record: Record) {
    this.#id = id;
    this.#servers = servers;
    this.#random = random;
    this.#record = record;
  }

  async run(isOver: () => boolean): Promise<void> {
    const startedMs = performance.now();
    while (!isOver()) {
      const dice = this.#random.next();
      if (dice < 0.5) await this.#useRegister(Math.floor((performance.now() - startedMs) / EPOCH_MS));
      else if (dice < 0.8) await this.#writeUnique();
      else await this.#transfer();
    }
  }

  async #useRegister(epoch: number): Promise<void> {
    const key = `register/${epoch}/${this.#random.below(REGISTERS)}`;
    const dice = this.#random.next();
    if (dice < 0.35) await this.read(key, "linearizable");
    else if (dice < 0.55) await this.read(key, "lease");
    else if (dice < 0.8) await this.#write(key);
    else await this.#compareAndSwap(key);
  }

  async read(key: string, consistency: string, server: Endpoint = this.#any()): Promise<void> {
    await this.#perform(
      { type: "read", key },
      server,
      "kv/range",
      { key: encode(key), consistency },
      (reply) => {
        const kv = reply.kvs?.[0];
        const value = kv === undefined ? null : decode(kv.value);
        this.#seen.set(key, value);
        return { type: "read", value };
      },
    );
  }

  async #write(key: string): Promise<void> {
    const value = this.#newValue();
    const body = { key: encode(key), value: encode(value) };
    await this.#perform({ type: "write", key, value }, this.#any(), "kv/put", body, () => ({
      type: "write",
    }));
  }

  async #compareAndSwap(key: string): Promise<void> {
    const expected = this.#seen.get(key) ?? null;
    const value = this.#newValue();
    const compare =
      expected === null
        ? { key: encode(key), target: "VERSION", result: "EQUAL", version: 0 }
        : { key: encode(key), target: "VALUE", result: "EQUAL", value: encode(expected) };
    const success = [{ request_put: { key: encode(key), value: encode(value) } }];
    const input = { type: "cas", key, expected, value } as const;
    await this.#perform(input, this.#any(), "kv/txn", { compare: [compare], success }, (reply) => ({
      type: "cas",
      swapped: reply.succeeded === true,
    }));
  }

  async #perform(
    input: RegisterInput,
    server: Endpoint,
    path: string,
    body: object,
    outputOf: (reply: Reply) => RegisterOutput,
  ): Promise<void> {
    const callAt = this.#record.tick();
    const outcome = await this.#call(server, path, body);
    const base = { client: this.#id, callAt, input };
    if (outcome.status === "ok") {
      const output = outputOf(outcome.reply);
      this.#record.registers.push({ ...base, status: "ok", returnAt: this.#record.tick(), output });
    } else {
      // A read without an answer has told nobody anything.
      const status = input.type === "read" ? "failed" : outcome.status;
      this.#record.registers.push({ ...base, status });
    }
  }

  async #writeUnique(): Promise<void> {
    const key = `${UNIQUE_PREFIX}${this.#id}/${this.#newValue()}`;
    const { status } = await this.#call(this.#any(), "kv/put", { key: encode(key), value: encode(key) });
    this.#record.uniques.set(key, status);
  }

  /** Reads all accounts at one revision, whose sum must not have changed, and moves money between two of them. */
  async #transfer(): Promise<void> {
    const server = this.#any();
    const consistency = this.#random.chance(0.5) ? "linearizable" : "lease";
    const range = { key: encode("bank/"), range_end: encode(prefixEnd("bank/")), consistency };
    const outcome = await this.#call(server, "kv/range", range);
    if (outcome.status !== "ok") return;
    const kvs = outcome.reply.kvs ?? [];
    const balances = kvs.map(({ key, value, mod_revision }) => ({
      key,
      mod_revision,
      amount: Number(decode(value)),
    }));
    const sum = balances.reduce((total, { amount }) => total + amount, 0);
    this.#record.sums++;
    if (sum !== TOTAL) this.#record.brokenSums.push(JSON.stringify(outcome.reply));
    const [from, to] = [this.#random.pick(balances), this.#random.pick(balances)];
    const amount = 1 + this.#random.below(20);
    if (from.key === to.key || from.amount < amount) return;
    const changes = [
      { ...from, amount: from.amount - amount },
      { ...to, amount: to.amount + amount },
    ];
    const txn = await this.#call(this.#any(), "kv/txn", {
      compare: changes.map(({ key, mod_revision }) => ({
        key,
        target: "MOD",
        result: "EQUAL",
        mod_revision,
      })),
      success: changes.map(({ key, amount }) => ({ request_put: { key, value: encode(String(amount)) } })),
    });
    if (txn.status === "ok" && txn.reply.succeeded === true) this.#record.transfers++;
  }

  async #call(server: Endpoint, path: string, body: object): Promise<Outcome> {
    const outcome = await call(server, path, body);
    this.#record.counts[outcome.status]++;
    // Whoever is turned away at once must not turn in circles.
    if (outcome.status !== "ok") await sleep(20);
    return outcome;
  }

  #any(): Endpoint {
    return this.#random.pick(this.#servers);
  }

  /** Never written before, by anybody. */
  #newValue(): string {
    return `${this.#id}.${++this.#serial}`;
  }
}
