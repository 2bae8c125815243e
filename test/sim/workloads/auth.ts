import {
  ANONYMOUS,
  type AuthCommand,
  type Caller,
  type Compare,
  type KvCommand,
  type KvResult,
  type RequestOp,
  TRUSTED,
} from "../../../src/core/kv/index.ts";
import { type AuthChange, actAs, type Engine } from "../../../src/core/node/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { type AuthView, changed, KEY_COUNT, keyOf, may, NO_USERS } from "./auth-model.ts";
import { LeasedKeys, mayDo } from "./auth-needs.ts";
import { bytesOf, putOp, textOf } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

const USERS = ["ann", "bob", "cy"];
const ROLES = ["r0", "r1", "r2"];
const DENIALS: ReadonlySet<string> = new Set(["userEmpty", "permissionDenied", "authOldRevision"]);
/** Of an alarm, which may come between. */
const PASSING: ReadonlySet<string> = new Set(["noSpace", "corrupt", "tooManyLeases"]);

type Need = (view: AuthView) => boolean;

/** A moment in the order of what was applied, from which on a view held. */
interface Version {
  readonly since: number;
  readonly view: AuthView;
}

/**
 * Users work while an administrator gives and takes permissions, passwords and users, and switches authentication. Every
 * command must have been done, or denied, as the users and roles at its place in the log say; what was read must have
 * been permitted at some moment between request and reply, and what a watch tells, after the change that it tells; the
 * auth revision is that of a moment in between (S21). A named write is done once, whatever is switched meanwhile.
 */
export class AuthWorkload implements Workload {
  readonly name = "auth";
  readonly #clients: Clients;
  readonly #versions: Version[] = [{ since: 0, view: NO_USERS }];
  readonly #leased: LeasedKeys = new LeasedKeys();
  /** Commands that were applied. */
  #applied = 0;
  /** When the changes of users' keys were applied, by revision. */
  readonly #changes: Map<number, number> = new Map();
  readonly #named: Map<string, number> = new Map();
  /** What each user last got for a password. */
  readonly #sessions: Map<string, Caller> = new Map();
  readonly #leases: bigint[] = [];
  readonly #problems: Problem[] = [];

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  get #view(): AuthView {
    return this.#versions.at(-1)!.view;
  }

  // Clients

  async prelude(node: SimNode): Promise<void> {
    const change = (engine: Engine, given: AuthChange): Promise<unknown> =>
      engine.auth.change(given, { caller: TRUSTED });
    await this.#clients.request(node, "write", async (engine) => {
      for (const name of ["root", ...USERS]) await change(engine, { op: "userAdd", name, passwordHash: "h" });
      await change(engine, { op: "userGrantRole", name: "root", role: "root" });
      for (const [i, role] of ROLES.entries()) {
        await change(engine, { op: "roleAdd", role });
        const bounds = { key: bytesOf(keyOf(i)), rangeEnd: bytesOf(keyOf(i + 3)) };
        const permission = { access: "readWrite" as const, ...bounds };
        await change(engine, { op: "roleGrantPermission", role, permission });
        await change(engine, { op: "userGrantRole", name: USERS[i]!, role });
      }
      await change(engine, { op: "enable" });
      return { revision: engine.status().revision, value: null };
    });
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    const who = String(op["who"]);
    switch (op["type"]) {
      case "login":
        return await this.#logIn(node, who);
      case "change":
        return await this.#change(node, changeOf(op), op["byRoot"] === true);
      case "look":
        return await this.#look(node);
      case "watch":
        return await this.#watch(node, who, op);
      default:
        return await this.#work(node, id, who, op);
    }
  }

  async #logIn(node: SimNode, who: string): Promise<void> {
    const ending = await this.#clients.request(node, "stale", async (engine) => {
      const { identities } = engine.auth;
      await identities.refresh();
      const user = identities.find(who);
      return { revision: 0, value: user ?? null };
    });
    if (ending.status !== "ok" || ending.value === null) return;
    this.#sessions.set(who, { type: "user", name: who, since: ending.value.since });
  }

  async #change(node: SimNode, change: AuthChange, byRoot: boolean): Promise<void> {
    const caller = byRoot ? (this.#sessions.get("root") ?? ANONYMOUS) : TRUSTED;
    await this.#clients.request(node, "write", async (engine) => {
      const { header } = await engine.auth.change(change, { caller });
      return { revision: header.revision, value: null };
    });
  }

  /** What is said of the whole lies between what was applied before the question and before the answer. */
  async #look(node: SimNode): Promise<void> {
    const before = this.#view.revision;
    const ending = await this.#clients.request(node, "fresh", async (engine) => {
      const { authRevision, header } = await engine.auth.status({ caller: TRUSTED });
      return { revision: header.revision, value: authRevision };
    });
    if (ending.status !== "ok" || (before <= ending.value && ending.value <= this.#view.revision)) return;
    this.#report(`the auth revision was said to be ${ending.value}: ${before} to ${this.#view.revision}`);
  }

  async #work(node: SimNode, id: number, who: string, op: OpSpec): Promise<void> {
    const caller = this.#sessions.get(who);
    if (caller === undefined) return await this.#logIn(node, who);
    const since = this.#applied;
    const shown: Uint8Array[] = [];
    const range = rangeOf(op);
    const ending = await this.#clients.request(node, kindOf(op), async (engine) => {
      const revision = await this.#ask(actAs(engine, caller), id, op, shown);
      return { revision, value: null };
    });
    // Half of those who are refused log in anew, and half go on trying with what they have.
    if (ending.status === "failed" && id % 2 === 0) this.#sessions.delete(who);
    if (ending.status !== "ok") return;
    const reads = op["type"] === "range" || op["type"] === "readTxn";
    for (const asked of [...(reads ? [range] : []), ...shown.map((key) => ({ key }))]) {
      this.#requireSince(since, `${who} was shown ${textOf(asked.key)}`, (view) =>
        may(view, caller, "read", asked),
      );
    }
  }

  /** @param shown gets the keys that an answer has in it unasked. */
  async #ask(engine: Engine, id: number, op: OpSpec, shown: Uint8Array[]): Promise<number> {
    const range = rangeOf(op);
    const { key } = range;
    const value = bytesOf(String(id));
    const lease = this.#leases.at(-1 - Number(op["lease"])) ?? 0n;
    const compare: Compare[] = [{ ...range, result: "greater", target: "create", createRevision: 0 }];
    const other = putOp(keyOf(Number(op["other"])), String(id));
    const remove: RequestOp = { type: "deleteRange", request: range };
    switch (op["type"]) {
      case "put":
        return (await engine.put({ key, value, prevKv: op["lease"] === 0 })).header.revision;
      case "attach":
        return (await engine.put({ key, value, lease })).header.revision;
      case "delete":
        return (await engine.deleteRange(range)).header.revision;
      case "txn": {
        const request = { compare, success: [putOp(textOf(key), "t")], failure: [other, remove] };
        return (await engine.txn(request)).header.revision;
      }
      case "named": {
        const name = `${String(op["who"])}-${String(op["name"])}`;
        const named = { key: bytesOf(keyOf(Number(op["name"]) % KEY_COUNT)), value: bytesOf(name) };
        return (await engine.put(named, { idempotencyKey: name })).header.revision;
      }
      case "grant": {
        const granted = await engine.leaseGrant({ ttlMs: 60_000 });
        this.#leases.push(granted.id);
        return granted.header.revision;
      }
      case "revoke":
        return (await engine.leaseRevoke({ id: lease })).header.revision;
      case "ttl": {
        const found = await engine.leaseTimeToLive({ id: lease, keys: true });
        shown.push(...found.keys);
        return 0;
      }
      case "readTxn": {
        const read: RequestOp = { type: "range", request: range };
        return (await engine.txn({ compare, success: [read], failure: [] })).header.revision;
      }
      default:
        return (await engine.range(range)).header.revision;
    }
  }

  async #watch(node: SimNode, who: string, op: OpSpec): Promise<void> {
    const caller = this.#sessions.get(who);
    if (caller === undefined) return await this.#logIn(node, who);
    const { life } = node;
    const range = rangeOf(op);
    await this.#clients.request(node, "stale", async (engine) => {
      const stream = engine.watch({ caller });
      stream.create({
        ...range,
        startRevision: op["old"] === true ? engine.status().compactRevision + 1 : 0,
      });
      void this.#clients.sleep(Number(op["forMs"])).then(() => stream.close());
      for await (const { canceled, events } of stream) {
        // What the dead say reaches nobody.
        if (canceled || life?.isAlive !== true || node.life !== life) break;
        for (const { kv } of events) {
          const since = this.#changes.get(kv.modRevision) ?? 0;
          this.#requireSince(since, `${who} was told of ${textOf(kv.key)} at ${kv.modRevision}`, (view) =>
            may(view, caller, "read", range),
          );
        }
      }
      stream.close();
      return { revision: 0, value: null };
    });
  }

  // What was applied

  applied(command: KvCommand, result: KvResult, caller: Caller): void {
    this.#applied++;
    const denial = result.type === "error" && DENIALS.has(result.code) ? result.code : null;
    const isAllowed = mayDo(this.#view, this.#leased, caller, command);
    if (isAllowed !== (denial === null)) {
      const who = caller.type === "user" ? `${caller.name} of ${caller.since}` : caller.type;
      const outcome = denial ?? "done";
      this.#report(`${who}: a ${command.type} was ${outcome} at revision ${result.revision}`);
    }
    if (denial === null) this.#follow(command, result);
  }

  #follow(command: KvCommand, result: KvResult): void {
    if (command.type === "auth") return this.#followChange(command.request, result);
    if (result.type === "error" || ("replayed" in result && result.replayed === true)) return;
    if (command.type === "once") {
      const { key, command: named } = command.request;
      if (result.type === "put" && named.type === "put" && textOf(named.request.key).startsWith("auth/")) {
        this.#named.set(key, (this.#named.get(key) ?? 0) + 1);
      }
      return this.#follow(named, result);
    }
    if (this.#leased.apply(command, result)) this.#changes.set(result.revision, this.#applied);
  }

  #followChange(change: AuthCommand, result: KvResult): void {
    const view = changed(this.#view, change);
    const isRefused = result.type === "error";
    if (isRefused && PASSING.has(result.code)) return;
    if (isRefused !== (view === null)) {
      const outcome = isRefused ? result.code : "done";
      this.#report(`${change.op} was ${outcome} at auth revision ${this.#view.revision}`);
    }
    if (view !== null && view !== this.#view) this.#versions.push({ since: this.#applied, view });
  }

  /** Some view from `since` on must have allowed it. */
  #requireSince(since: number, what: string, need: Need): void {
    for (let i = this.#versions.length - 1; i >= 0; i--) {
      const version = this.#versions[i]!;
      if (need(version.view)) return;
      // Those before had ended by then.
      if (version.since <= since) break;
    }
    this.#report(`${what}, and was not permitted to see it since ${since} of ${this.#applied}`);
  }

  #report(detail: string): void {
    if (this.#problems.length < 10) this.#problems.push({ kind: "checker", rule: "S21 permission", detail });
  }

  async finish(): Promise<void> {}

  check(): Problem[] {
    for (const [name, times] of this.#named) {
      if (times > 1) this.#report(`the write named ${name} was done ${times} times`);
    }
    return this.#problems;
  }
}

function kindOf({ type }: OpSpec): "write" | "fresh" | "stale" {
  if (type === "ttl" || type === "named") return "stale";
  return type === "range" || type === "readTxn" ? "fresh" : "write";
}

function rangeOf(op: OpSpec): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const from = Number(op["from"]);
  const rangeEnd = op["to"] === from ? new Uint8Array(0) : bytesOf(keyOf(Number(op["to"])));
  return { key: bytesOf(keyOf(from)), rangeEnd };
}

function changeOf(op: OpSpec): AuthChange {
  const [name, role] = [String(op["who"]), String(op["role"])];
  const { key, rangeEnd } = rangeOf(op);
  switch (op["what"]) {
    case "userAdd":
      return { op: "userAdd", name, passwordHash: "h" };
    case "userChangePassword":
      return { op: "userChangePassword", name, passwordHash: "i" };
    case "userDelete":
      return { op: "userDelete", name };
    case "userGrantRole":
    case "userRevokeRole":
      return { op: op["what"], name, role };
    case "roleAdd":
    case "roleDelete":
      return { op: op["what"], role };
    case "roleGrantPermission": {
      const access = op["lease"] === 0 ? "read" : op["lease"] === 1 ? "write" : "readWrite";
      return { op: "roleGrantPermission", role, permission: { access, key, rangeEnd } };
    }
    case "roleRevokePermission":
      return { op: "roleRevokePermission", role, key, rangeEnd };
    default:
      return { op: op["what"] === "enable" ? "enable" : "disable" };
  }
}

const WORK = ["put", "put", "attach", "attach", "delete", "txn", "named", "grant", "revoke", "ttl"] as const;
const READS = ["range", "range", "readTxn", "watch", "watch"] as const;
const CHANGES = [
  "userAdd",
  "userAdd",
  "userDelete",
  "userChangePassword",
  "userGrantRole",
  "userGrantRole",
  "userGrantRole",
  "userRevokeRole",
  "roleAdd",
  "roleDelete",
  "roleGrantPermission",
  "roleGrantPermission",
  "roleGrantPermission",
  "roleRevokePermission",
  "roleRevokePermission",
  "enable",
  "enable",
  "enable",
  "disable",
] as const;

export function drawAuth(random: Prng): OpSpec {
  const from = random.int(KEY_COUNT);
  const bounds = { from, to: random.chance(0.5) ? from : from + 1 + random.int(KEY_COUNT - from) };
  const who = random.pick(USERS);
  const type = random.pick(["work", "work", "work", "read", "read", "login", "change", "look"] as const);
  switch (type) {
    case "work": {
      const kind = random.pick(WORK);
      const numbers = { lease: random.int(3), other: random.int(KEY_COUNT), name: random.int(12) };
      return { type: kind, who, ...bounds, ...numbers };
    }
    case "read": {
      const watching = { forMs: random.pick([20, 300, 2000]), old: random.chance(0.5) };
      return { type: random.pick(READS), who, ...bounds, ...watching, lease: 0, other: 0 };
    }
    case "change": {
      // What users have had from the beginning is given and taken most.
      const number = random.int(ROLES.length);
      const range = random.chance(0.5) ? bounds : { from: number, to: number + 3 };
      const whom = random.chance(0.05) ? "root" : random.chance(0.5) ? USERS[number]! : who;
      const what = random.pick(CHANGES);
      const name = what === "userDelete" || what.startsWith("role") ? who : whom;
      const byRoot = random.chance(0.5);
      return { type, what, who: name, role: ROLES[number]!, ...range, lease: random.int(4), byRoot };
    }
    default:
      return { type, who: type === "login" && random.chance(0.2) ? "root" : who };
  }
}
