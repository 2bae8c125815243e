import { freePorts } from "../../runtimes/node/free-ports.ts";
import { call, encode, type Endpoint, status } from "../support/api.ts";
import type { Run } from "../support/program.ts";
import { Server } from "../support/server.ts";
import { sleep, until } from "../support/waiting.ts";

/** What `serve` ends with when another process has taken over its storage. */
const FENCED = 6;
/** Keys that nobody else writes. */
const PROBE = "probe";

/** Processes that are the same member, one after the other, each with ports of its own. */
export class Succession {
  readonly #run: Run;
  readonly #dir: string;
  readonly #storage: string;
  #count = 0;
  #owner: Server | null = null;
  /** Whom clients may ask: the owner, and whoever thinks that it still is. */
  readonly reachable: Server[] = [];

  constructor(run: Run, dir: string, storage: string) {
    this.#run = run;
    this.#dir = dir;
    this.#storage = storage;
  }

  get owner(): Server {
    if (this.#owner === null) throw new Error("nobody owns the log");
    return this.#owner;
  }

  async begin(): Promise<Server> {
    await this.#succeedWith(await this.#next());
    return this.owner;
  }

  async afterKill(): Promise<void> {
    await this.someWork();
    const old = this.owner;
    await old.signal("SIGKILL");
    this.#dismiss(old);
    const ms = await this.#succeedWith(await this.#next());
    this.#run.observe(`${this.owner.name} serves ${ms} ms after it was started in the place of a killed one`);
  }

  async whilePaused(): Promise<void> {
    await this.someWork();
    const old = this.owner;
    const ended = old.ended(90);
    await old.signal("SIGSTOP");
    await this.#succeedWith(await this.#next());
    await this.someWork();
    // These reach it only when it goes on; nothing that it says to them is true any more.
    const questions = Array.from({ length: 5 }, () => [
      this.#write(old),
      this.#read(old, "linearizable"),
      this.#read(old, "lease"),
    ]).flat();
    await sleep(200);
    await old.signal("SIGCONT");
    const answers = await Promise.all(questions);
    this.#run.require(
      answers.every((each) => each !== "ok"),
      `${old.name}, paused and replaced, acknowledged none of ${answers.length} requests when it went on`,
    );
    await this.#isFenced(old, ended);
  }

  async whileWell(): Promise<void> {
    await this.someWork();
    const old = this.owner;
    const ended = old.ended(90);
    await this.#succeedWith(await this.#next());
    const answers = await Promise.all([
      this.#write(old),
      this.#read(old, "linearizable"),
      this.#read(old, "lease"),
    ]);
    this.#run.require(
      answers.every((each) => each !== "ok"),
      `${old.name}, replaced while it was well, acknowledged nothing any more`,
    );
    await this.#isFenced(old, ended);
  }

  /** Two are started in the place of one: one of them at most stays, or nobody, and then a third. */
  async twoAtOnce(): Promise<void> {
    await this.someWork();
    const old = this.owner;
    const rivals = [await this.#next(), await this.#next()];
    await old.signal("SIGKILL");
    this.#dismiss(old);
    for (const rival of rivals) {
      rival.launch();
      this.reachable.push(rival);
    }
    const settled = await until(60, "the rivals to settle it", async () => {
      const left = rivals.filter(({ isRunning }) => isRunning);
      if (left.length === 0) return { survivor: null };
      const [survivor] = left;
      return left.length === 1 && (await leads(survivor!)) ? { survivor: survivor! } : null;
    });
    for (const rival of rivals) if (rival !== settled.survivor) this.#dismiss(rival);
    const names = rivals.map(({ name }) => name).join(" and ");
    this.#run.observe(`of ${names}, started at once, ${settled.survivor?.name ?? "neither"} stayed`);
    if (settled.survivor === null) await this.#succeedWith(await this.#next());
    else this.#owner = settled.survivor;
  }

  /** Lets clients work for a moment with the owner as it is. */
  async someWork(): Promise<void> {
    await sleep(1500);
    await until(20, "a write", async () => (await this.#write(this.owner)) === "ok");
  }

  async #isFenced(old: Server, ended: Promise<number>): Promise<void> {
    const exitCode = await ended;
    this.#dismiss(old);
    this.#run.require(exitCode === FENCED, `${old.name} has ended by itself, with status ${exitCode}`);
    this.#run.require(/another process has taken over/.test(old.log()), "and its log says why");
  }

  /** Starts a process and waits until it leads; how long that took. */
  async #succeedWith(next: Server): Promise<number> {
    const begun = performance.now();
    next.launch();
    this.reachable.push(next);
    await until(60, `${next.name} to lead`, async () => {
      if (!next.isRunning) throw new Error(`${next.name} has ended:\n${next.logTail()}`);
      return await leads(next);
    });
    this.#owner = next;
    return Math.round(performance.now() - begun);
  }

  #dismiss(server: Server): void {
    this.reachable.splice(this.reachable.indexOf(server), 1);
  }

  async #next(): Promise<Server> {
    const [clientPort, peerPort] = await freePorts(2);
    const name = `p${++this.#count}`;
    const server = new Server(this.#dir, name, `http://127.0.0.1:${clientPort}`, {
      name: "only",
      storage: this.#storage,
      "listen-peer-urls": `http://127.0.0.1:${peerPort}`,
      "snapshot-count": "500",
    });
    this.#run.cleanUp(() => server.signal("SIGKILL"));
    return server;
  }

  async #write(server: Endpoint): Promise<string> {
    return (await call(server, "kv/put", { key: encode(PROBE), value: encode("x") })).status;
  }

  async #read(server: Endpoint, consistency: string): Promise<string> {
    return (await call(server, "kv/range", { key: encode(PROBE), consistency })).status;
  }
}

async function leads(server: Endpoint): Promise<boolean> {
  return (await status(server))?.role === "leader";
}
