import type { KvCommand, KvResult, RequestOp } from "../../../src/core/kv/index.ts";
import type { Engine } from "../../../src/core/node/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";
import { bytesOf, prefix } from "./kv-requests.ts";
import type { Workload } from "./workload.ts";

const KEYS = 16;

/**
 * Fills the store beyond its quota and makes room again. While the alarm is active no write that lets the store grow
 * may be done, whoever asks, and none may be refused for it at other times (S20). What was applied says so for every
 * client's writes; what the clients here are told says it once more from outside.
 */
export class SpaceWorkload implements Workload {
  readonly name = "space";
  readonly #clients: Clients;
  /** Who has raised the alarm and not been disarmed, by what was applied. */
  readonly #raised: Set<bigint> = new Set();
  /** When somebody was told that the alarm is active, in the order of everything told; null: it may be off. */
  #toldAt: number | null = null;
  /** Disarmings that have begun: whoever has one on the way knows nothing of the alarm. */
  #disarmings = 0;
  #problems: Problem[] = [];

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  async run(node: SimNode, id: number, op: OpSpec): Promise<void> {
    switch (op["type"]) {
      case "fill":
        return await this.#fill(node, id, Number(op["bytes"]));
      case "look":
        return await this.#look(node);
      default:
        return await this.#tidy(node);
    }
  }

  async #fill(node: SimNode, id: number, bytes: number): Promise<void> {
    const before = this.#disarmings;
    const key = bytesOf(`space/${id % KEYS}`);
    const ending = await this.#clients.request(node, "write", async (engine) => {
      const { header } = await engine.put({ key, value: new Uint8Array(bytes) });
      return { revision: header.revision, value: null };
    });
    const toldAt = this.#toldAt;
    if (ending.status !== "ok" || toldAt === null || toldAt > ending.callAt || before !== this.#disarmings)
      return;
    this.#report(`a put that began at ${ending.callAt} was done, the alarm was known at ${toldAt}`);
  }

  async #look(node: SimNode): Promise<void> {
    const before = this.#disarmings;
    const ending = await this.#clients.request(node, "fresh", async (engine) => {
      const { alarms, header } = await engine.alarm({ action: "get", type: "noSpace" });
      return { revision: header.revision, value: alarms.length > 0 };
    });
    if (ending.status === "ok" && ending.value && before === this.#disarmings)
      this.#toldAt ??= ending.returnAt;
  }

  /** As an operator would. */
  async #tidy(node: SimNode): Promise<void> {
    this.#disarmings++;
    this.#toldAt = null;
    await this.#clients.request(node, "write", async (engine) => ({
      revision: await makeRoom(engine),
      value: null,
    }));
    // What was begun may be done until here; after it, if nobody knows, and then `#alarm` sees it.
    this.#disarmings++;
    this.#toldAt = null;
  }

  applied(command: KvCommand, result: KvResult): void {
    if (command.type === "alarm" && result.type === "alarm")
      return this.#alarm(command.request.action, result);
    if (!grows(command) || ("replayed" in result && result.replayed === true)) return;
    const isRefused = result.type === "error" && result.code === "noSpace";
    if (result.type !== "error" && this.#raised.size > 0) {
      this.#report(`a ${command.type} was done at revision ${result.revision} while space had run out`);
    } else if (isRefused && this.#raised.size === 0) {
      this.#report(`a ${command.type} was refused for want of space without an alarm`);
    }
  }

  #alarm(action: "activate" | "deactivate", { alarms }: Extract<KvResult, { readonly type: "alarm" }>): void {
    if (action === "deactivate") {
      // It may be that of a client who is gone long since.
      this.#disarmings++;
      this.#toldAt = null;
    }
    for (const { memberId } of alarms) {
      if (action === "activate") this.#raised.add(memberId);
      else this.#raised.delete(memberId);
    }
  }

  #report(detail: string): void {
    if (this.#problems.length < 10)
      this.#problems.push({ kind: "checker", rule: "S20 growth under the alarm", detail });
  }

  /** Others have last writes to do. */
  async finish(node: SimNode): Promise<void> {
    await this.#tidy(node);
  }

  check(): Problem[] {
    return this.#problems;
  }
}

/** By its own lights, and not by those of what is tested. */
function grows(command: KvCommand): boolean {
  if (command.type === "once") return grows(command.request.command);
  return command.type === "leaseGrant" || command.type === "put" || (command.type === "txn" && puts(command));
}

function puts(op: RequestOp): boolean {
  return (
    op.type === "put" || (op.type === "txn" && [...op.request.success, ...op.request.failure].some(puts))
  );
}

/** Deletes, compacts and disarms; gives the revision of the last. */
async function makeRoom(engine: Engine): Promise<number> {
  const { header } = await engine.deleteRange(prefix("space/"));
  // Compacted before, perhaps, by somebody else.
  await engine.compact({ revision: header.revision }).catch(() => {});
  const { alarms } = await engine.alarm({ action: "get" });
  let { revision } = header;
  for (const { type, memberId } of alarms) {
    const disarmed = await engine.alarm({ action: "deactivate", type, memberId });
    revision = Math.max(revision, disarmed.header.revision);
  }
  return revision;
}

export function drawSpace(random: Prng): OpSpec {
  const type = random.pick(["fill", "fill", "fill", "fill", "fill", "fill", "look", "look", "tidy"]);
  return type === "fill" ? { type, bytes: random.pick([10, 1000, 3000]) } : { type };
}
