import type { Planted } from "../../../../adapters/object-store/exploration/planted.ts";

function planted(name: string, about: string, file: string, find: string, replace: string): Planted {
  return { name, about, rewrites: [{ file: `src/${file}`, find, replace }] };
}

const NODE = "runtimes/lambda/node";

/** What a function that is the node could get wrong, planted in our own code. */
export const PLANTED: readonly Planted[] = [
  planted(
    "read-not-confirmed",
    "an environment that was frozen answers reads from its memory",
    "core/node/ownership.ts",
    "    if (this.#confirm === undefined) act();\n    else this.#wait(act);",
    "    act();",
  ),
  planted(
    "leader-lease-after-thaw",
    "a lease read is answered by the leader's lease, although others may have taken the log over meanwhile",
    "core/node/raft-node.ts",
    'if (policy === "lease" && this.#ownership.isCertain) {',
    'if (policy === "lease") {',
  ),
  planted(
    "confirmed-by-an-old-look",
    "who asks whether it is still the owner is told what was true before it was frozen",
    "adapters/object-store/journal/journal.ts",
    "      this.#look = this.#nextLook!.catch(() => {});\n      this.#nextLook = null;\n",
    "",
  ),
  planted(
    "ambiguous-is-failed",
    "a write that was under way when its engine was fenced is reported as not done",
    `${NODE}/lambda-node.ts`,
    "    const next = { id: error.proposal,",
    '    if (error.proposal !== null) throw new EngineError("tooManyRequests");\n    const next = { id: error.proposal,',
  ),
  planted(
    "late-is-failed",
    "a write that was under way, and could not be looked for in time, is reported as not done",
    `${NODE}/lambda-node.ts`,
    '  if (cause instanceof EngineError && cause.maybeApplied) return cause;\n  return new EngineError("timeout", cause === undefined ? {} : { cause });',
    '  return new EngineError("tooManyRequests", { cause });',
  ),
  planted(
    "ambiguous-is-repeated",
    "a write that was under way when its engine was fenced is made again without a look",
    `${NODE}/lambda-node.ts`,
    "if (error.proposal === undefined) return lost;",
    "if (error.proposal !== null) return lost;",
  ),
  planted(
    "past-a-snapshot-is-never",
    "a write that is not in the log is taken for not done, although a snapshot was taken past it",
    `${NODE}/lost-write.ts`,
    'return read.from <= after ? { type: "never" } : { type: "unknown" };',
    'return read.from <= after ? { type: "never" } : { type: "never" };',
  ),
  planted(
    "judged-before-read",
    "a write is looked for before the engine has applied all that is in the log",
    `${NODE}/lambda-node.ts`,
    "    await engine.ready(this.#leftMs(deadlineMs));\n",
    "",
  ),
  planted(
    "followed-from-before",
    "a read of somebody else's log is answered by a reading that began before it",
    `${NODE}/log-follower.ts`,
    "      this.#reading = reading.catch(() => {});\n      this.#next = null;\n",
    "",
  ),
  planted(
    "half-followed",
    "a read of somebody else's log is answered before its end was reached",
    `${NODE}/log-follower.ts`,
    "if (await replica.catchUp({ maxBytes: STEP_BYTES })) return true;",
    "if ((await replica.catchUp({ maxBytes: 1 })) || step === 0) return true;",
  ),
  planted(
    "swap-without-writing",
    "a swap whose comparison holds is answered without being written",
    `${NODE}/lambda-engine.ts`,
    "return response.succeeded && otherwise !== request ? null : { ...response, header };",
    "return { ...response, header };",
  ),
  planted(
    "acknowledged-before-durable",
    "a write is answered when it was sent, and the environment frozen before it is stored",
    "core/node/persister.ts",
    "if (begun === null && this.#writes.length === 0) return this.#onPersisted(ready);",
    "if (begun === null || this.#writes.length === 0) return this.#onPersisted(ready);",
  ),
  planted(
    "not-fenced",
    "an environment takes the log over without a fence",
    "adapters/object-store/journal/takeover.ts",
    "const occupant = await createObject(store, patience, slotName(journal, slot.seq), encodeSlot(slot));",
    'const occupant = { type: "mine", body: store } as { type: string };',
  ),
  planted(
    "lease-ends-with-its-owner",
    "who takes the log over ends all leases, whose renewals it has not seen",
    "core/node/lessor.ts",
    "if (!this.#stopped) for (const lease of this.#host.leases()) this.#begin(lease);",
    "if (this.#leads) for (const lease of this.#host.leases()) this.#hold(lease, this.#clock.nowMs());",
  ),
  planted(
    "renewal-does-not-count",
    "a lease ends as if it had never been renewed: after a thaw, early",
    "core/node/lessor.ts",
    "held.deadlineMs = this.#clock.nowMs() + this.#lifeMs(state.lease);",
    "held.deadlineMs = Math.max(held.deadlineMs, this.#clock.nowMs() + 1);",
  ),
  planted(
    "lease-of-a-former-owner",
    "an environment that was frozen answers questions about leases from its memory, and renews what has ended",
    "core/node/lease-operations.ts",
    "    await this.#barrier();\n    // By what",
    "    if (this.#replica.leadingTerm === null) await this.#barrier();\n    // By what",
  ),
  {
    name: "end-acknowledged-before-stored",
    about:
      "a lease is said to be over by an owner whose entry for that is not stored, and which may be fenced before",
    rewrites: [
      {
        file: "src/core/node/lessor.ts",
        find: 'if (held.ending) return { type: "ending" };',
        replace: 'if (held.ending) return { type: "gone" };',
      },
      {
        file: `src/${NODE}/lambda-node.ts`,
        find: "if (!isDue() && engine.status().pendingProposals === 0) return;",
        replace: "if (!isDue()) return;",
      },
    ],
  },
  planted(
    "lease-kept-for-ever",
    "a lease that is due is taken off the list, and not ended",
    "core/node/lessor.ts",
    "if (ended.length > 0) this.#end(ended);",
    "",
  ),
  planted(
    "due-leases-left-to-their-timer",
    "the first invocation after a thaw is answered before the timer of leases that are due, which is late",
    `${NODE}/lambda-node.ts`,
    "            await this.#endDueLeases(reign.engine, deadlineMs);\n",
    "",
  ),
  planted(
    "lease-time-begins-at-the-thaw",
    "an owner that is frozen after its first answer gives leases their whole time from its thaw on",
    `${NODE}/lambda-node.ts`,
    "            reign.engine.ringLeases();\n",
    "",
  ),
];
