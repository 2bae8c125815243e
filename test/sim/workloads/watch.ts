import type { KvCommand, KvResult, RequestOp, WatchEvent } from "../../../src/core/kv/index.ts";
import type { WatchResponse } from "../../../src/core/node/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf, prefix, putOp, textOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

/** All that is changed and watched here. */
const KEYS = "w/";

/** A change as it must be told: in words, so that two are the same when they look the same. */
interface Told {
  readonly revision: number;
  readonly text: string;
}

/** One watch, over all the servers that it was on. */
interface Follower {
  isBusy: boolean;
  /** Everything up to here has been told. */
  told: number;
  /** Of a response whose last fragment has yet to come: whoever loses the stream before it asks for all of it again. */
  fragments: WatchEvent[];
  /** The revisions that were told without a gap, since the last time that compaction made one. */
  covered: { from: number; to: number; readonly heard: Told[] }[];
}

/**
 * Changes keys in one place and watches them in another, on whichever member can be reached, each time going on where
 * it was. What was told must be what was applied: ordered, each change once, none missing, no revision told in part,
 * what was before it right, and nothing missing below a revision that was said to be complete (S16).
 */
export class WatchWorkload implements Workload {
  readonly name = "watch";
  readonly #clients: Clients;
  readonly #followers: Map<string, Follower> = new Map();
  readonly #state: Map<string, string> = new Map();
  readonly #changes: Told[] = [];
  /** With what was before, by what it is without. */
  readonly #previous: Map<string, string> = new Map();
  readonly #problems: Problem[] = [];

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    if (op["type"] === "follow") await this.#follow(node, String(op["follower"]), Number(op["forMs"]));
    else if (op["type"] === "compact") await this.#compact(node, Number(op["keep"]));
    else await this.#change(node, id, op);
  }

  async #change(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const key = KEYS + String(op["key"]);
    await this.#clients.request(node, "write", async (engine) => {
      const put = putOp(key, String(id));
      const remove: RequestOp = { type: "deleteRange", request: { key: bytesOf(key) } };
      const success =
        op["type"] === "both"
          ? [put, putOp(`${KEYS}all`, String(id))]
          : [op["type"] === "delete" ? remove : put];
      const { header } = await engine.txn({ compare: [], success, failure: [] });
      return { revision: header.revision, value: null };
    });
  }

  async #compact(node: SimNode, keep: number): Promise<void> {
    await this.#clients.request(node, "write", async (engine) => {
      const revision = Math.max(1, engine.status().revision - keep);
      const { header } = await engine.compact({ revision });
      return { revision: header.revision, value: null };
    });
  }

  #of(name: string): Follower {
    let follower = this.#followers.get(name);
    if (follower === undefined) {
      follower = { isBusy: false, told: 0, fragments: [], covered: [{ from: 1, to: 0, heard: [] }] };
      this.#followers.set(name, follower);
    }
    return follower;
  }

  async #follow(node: SimNode, name: string, forMs: number): Promise<void> {
    const follower = this.#of(name);
    if (follower.isBusy) return;
    follower.isBusy = true;
    follower.fragments = [];
    const { life } = node;
    await this.#clients.request(node, "stale", async (engine) => {
      const stream = engine.watch();
      stream.create({ ...prefix(KEYS), startRevision: follower.told + 1, prevKv: true, fragment: true });
      // Whoever has enough asks how far it is, and leaves.
      void this.#clients
        .sleep(forMs)
        .then(() => stream.requestProgress())
        .catch(() => {});
      void this.#clients.sleep(forMs + 100).then(() => stream.close());
      for await (const response of stream) {
        // What the dead say reaches nobody.
        if (life?.isAlive !== true || node.life !== life) break;
        this.#hear(follower, response);
        if (response.canceled || response.watchId === -1n) break;
      }
      return { revision: 0, value: null };
    });
    follower.isBusy = false;
  }

  #hear(follower: Follower, response: WatchResponse): void {
    const { created, canceled, compactRevision, events, fragment, header } = response;
    if (created) return;
    if (canceled) {
      if (follower.told + 1 >= compactRevision)
        this.#report(`ended at ${follower.told} by ${compactRevision}`);
      follower.told = Math.max(follower.told, compactRevision - 1);
      follower.covered.push({ from: compactRevision, to: compactRevision - 1, heard: [] });
      return;
    }
    follower.fragments.push(...events);
    if (fragment) return;
    const covered = follower.covered.at(-1)!;
    for (const event of follower.fragments.splice(0)) {
      const told = toldOf(event);
      if (told.revision <= follower.told)
        this.#report(`${shown(told)}, though ${follower.told} was complete`);
      covered.heard.push(told);
      this.#checkPrevious(event);
    }
    covered.to = Math.max(covered.to, header.revision);
    follower.told = Math.max(follower.told, header.revision);
  }

  #checkPrevious(event: WatchEvent): void {
    if (event.prevKv === null) return;
    const { revision, text } = toldOf(event);
    const truth = this.#previous.get(`${revision} ${text}`);
    const previous = textOf(event.prevKv.value);
    if (truth !== previous) this.#report(`before ${text} at ${revision} was ${truth}, not ${previous}`);
  }

  applied(command: KvCommand, result: KvResult): void {
    if (command.type !== "txn" || result.type !== "txn" || !result.response.succeeded) return;
    for (const op of command.request.success) this.#apply(op, result.revision);
  }

  #apply(op: RequestOp, revision: number): void {
    if (op.type !== "put" && op.type !== "deleteRange") return;
    const key = textOf(op.request.key);
    if (!key.startsWith(KEYS)) return;
    const before = this.#state.get(key);
    if (op.type === "deleteRange" && before === undefined) return;
    const value = op.type === "put" ? textOf(op.request.value!) : null;
    const text = wording(key, value);
    this.#changes.push({ revision, text });
    if (before !== undefined) this.#previous.set(`${revision} ${text}`, before);
    if (value === null) this.#state.delete(key);
    else this.#state.set(key, value);
  }

  async finish(node: SimNode): Promise<void> {
    for (const [name, follower] of this.#followers) {
      follower.isBusy = false;
      await this.#follow(node, name, 500);
    }
  }

  check(): Problem[] {
    for (const [name, { covered }] of this.#followers) {
      for (const { from, to, heard } of covered) this.#compare(name, from, to, heard);
    }
    return this.#problems;
  }

  #compare(name: string, from: number, to: number, heard: readonly Told[]): void {
    const told = heard.filter(({ revision }) => revision <= to);
    const expected = this.#changes.filter(({ revision }) => revision >= from && revision <= to);
    const at = expected.findIndex((change, i) => shown(change) !== shown(told[i]));
    if (at === -1 && told.length === expected.length) return;
    const i = at === -1 ? expected.length : at;
    this.#report(
      `${name} from ${from} to ${to}: told ${shown(told[i])}, where ${shown(expected[i])} was due`,
    );
  }

  #report(detail: string): void {
    this.#problems.push({ kind: "checker", rule: "S16 watch", detail });
  }
}

function toldOf({ type, kv }: WatchEvent): Told {
  return {
    revision: kv.modRevision,
    text: wording(textOf(kv.key), type === "put" ? textOf(kv.value) : null),
  };
}

function wording(key: string, value: string | null): string {
  return value === null ? `${key} deleted` : `${key}=${value}`;
}

function shown(told: Told | undefined): string {
  return told === undefined ? "nothing" : `${told.text} at ${told.revision}`;
}

export function drawWatch(random: Prng, epoch: number): OpSpec {
  if (random.chance(0.3)) {
    return { type: "follow", follower: `f${random.int(4)}`, forMs: random.pick([20, 200, 1000]) };
  }
  if (random.chance(0.03)) return { type: "compact", keep: random.pick([0, 5, 50]) };
  const type = random.pick(["put", "put", "delete", "both"]);
  return { type, key: `${epoch % 2}/${random.int(3)}` };
}
