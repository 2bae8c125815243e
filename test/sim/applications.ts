import { decodeCommand, type KvResult } from "../../src/core/kv/index.ts";
import type { SnapshotInfo } from "../../src/core/node/index.ts";
import type { KvStateMachine } from "../../src/core/node/kv-state-machine.ts";
import type { AppliedCommand } from "../../src/core/node/state-machine.ts";
import type { NodeId } from "../../src/core/raft/index.ts";
import type { InvariantsHost } from "./invariants.ts";
import type { Oracle } from "./oracle.ts";

/** State hashes are compared at every multiple of this revision. */
const HASH_EVERY = 32;

/** What applying gives on one replica, against what it gave on the others. */
export class Applications {
  readonly #host: InvariantsHost;
  readonly #oracle: Oracle;

  constructor(host: InvariantsHost, oracle: Oracle) {
    this.#host = host;
    this.#oracle = oracle;
  }

  applying(
    machine: KvStateMachine,
    id: NodeId,
    commands: readonly AppliedCommand[],
    apply: (part: readonly AppliedCommand[]) => readonly KvResult[],
  ): readonly KvResult[] {
    const doom = this.#host.doom(id);
    if (doom === "before") this.#host.crash(id);
    const before = machine.store.revision;
    const results = apply(commands);
    let revision = before;
    commands.forEach(({ index, term, command }, i) => {
      const result = results[i]!;
      if (!this.#oracle.hasApplied(index)) this.#host.applied(decodeCommand(command), result);
      // What a named write is answered again is of an earlier revision.
      revision = Math.max(revision, result.revision);
      const conflict = this.#oracle.recordApplied(index, term, revision, resultText(result));
      if (conflict !== null) this.#host.report("S5 same result everywhere", `node ${id}: ${conflict}`);
    });
    this.#compareHash(machine, id, before);
    if (doom === "after") this.#host.crash(id);
    return results;
  }

  #compareHash({ store }: KvStateMachine, id: NodeId, before: number): void {
    const at = Math.floor(store.revision / HASH_EVERY) * HASH_EVERY;
    if (at <= before || at < store.compactRevision) return;
    const hash = store.hash(at);
    const known = this.#oracle.hashes.get(at);
    if (known === undefined) this.#oracle.hashes.set(at, hash);
    else if (known !== hash)
      this.#host.report("S14 state hash", `node ${id}: ${hash} at revision ${at}, elsewhere ${known}`);
  }

  restored({ store }: KvStateMachine, id: NodeId, { meta }: SnapshotInfo): void {
    const expected = this.#oracle.revisionAt(meta.index);
    if (store.revision === expected) return;
    const detail = `restored ${meta.index} at revision ${store.revision}, it was ${expected}`;
    this.#host.report("S15 state and index together", `node ${id}: ${detail}`);
  }
}

function resultText(result: KvResult): string {
  const detail = result.type === "txn" ? String(result.response.succeeded) : "";
  return `${result.type} ${result.revision} ${detail}`;
}
