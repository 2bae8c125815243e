import type { Rewrite } from "../../../sim/rewrite.ts";

/** A bug that others shipped, or could have, planted in our own code. */
export interface Planted {
  readonly name: string;
  readonly about: string;
  readonly rewrites: readonly Rewrite[];
}

const HERE = "src/adapters/object-store";

function planted(name: string, about: string, file: string, find: string, replace: string): Planted {
  return { name, about, rewrites: [{ file: `${HERE}/${file}`, find, replace }] };
}

export const PLANTED: readonly Planted[] = [
  // Outcomes
  planted(
    "unknown-is-written",
    "a lost reply is taken for success",
    "journal/create-object.ts",
    'if (outcome.type === "written") return { type: "mine" };',
    'if (outcome.type !== "refused") return { type: "mine" };',
  ),
  planted(
    "unknown-is-not-written",
    "a lost reply is taken for failure: what is then there is somebody else's",
    "journal/create-object.ts",
    'return equalBytes(found.body, body) ? { type: "mine" } : { type: "other", body: found.body };',
    'return { type: "other", body: found.body };',
  ),
  planted(
    "conflict-is-fenced",
    "a 409 or 429 is taken for a lost condition (trap 20)",
    "journal/create-object.ts",
    "      cause = error;",
    '      throw Object.assign(error as Error, { code: "fenced" });',
  ),
  planted(
    "manifest-not-read-back",
    "a lost reply to a change of the manifest is taken for success",
    "journal/manifest-object.ts",
    "if (found !== null && equalBytes(found.body, body)) {",
    "if (found !== null) {",
  ),
  // Ownership
  planted(
    "manifest-not-raised",
    "a new owner writes under a new epoch that it has not put into the manifest",
    "journal/journal.ts",
    ": await this.#object.replace(before, {",
    ": await ((_: unknown, manifest: Manifest) => ({ manifest, version: before.version }))(before, {",
  ),
  planted(
    "no-fence",
    "a new owner writes behind what it has read, without a fence",
    "journal/takeover.ts",
    "const occupant = await createObject(store, patience, slotName(journal, slot.seq), encodeSlot(slot));",
    'const occupant = { type: "mine", body: store } as { type: string };',
  ),
  planted(
    "fence-not-confirmed",
    "the fence may stand where a later owner had deleted something",
    "journal/takeover.ts",
    "  await options.confirm();\n",
    "",
  ),
  planted(
    "one-slot-fenced",
    "only the first of the slots that the owner before may have under way is filled (trap 23)",
    "journal/takeover.ts",
    "{ length: WINDOW - 1 }",
    "{ length: 0 }",
  ),
  planted(
    "window-too-wide",
    "a writer has more slots under way than its successor reckons with",
    "journal/writer.ts",
    "if (slot.seq > this.#through + WINDOW) return;",
    "if (slot.seq > this.#through + 4 * WINDOW) return;",
  ),
  planted(
    "void-slots-count",
    "a slot that an earlier owner wrote behind the fence counts",
    "journal/walk.ts",
    "if (slot.epoch < this.#epoch) return;",
    "",
  ),
  planted(
    "fences-deleted",
    "a trim deletes fences as well, and a stalled owner finds its slot free again (trap 22)",
    "journal/sweeper.ts",
    "if (!isFence(seq)) names.push(slotName(journal, seq));",
    'names.push(slotName(journal, seq) + (isFence(seq) ? "" : ""));',
  ),
  planted(
    "told-hard-state-not-compared",
    "the vote that was told before the takeover may be an old one",
    "segment-log.ts",
    "if (told !== undefined && (told?.term",
    "if (told === null && told !== null && (told?.term",
  ),
  // Order
  planted(
    "acknowledged-out-of-order",
    "a slot is acknowledged before the one in front of it",
    "journal/writer.ts",
    '    slot.state = "filled";\n',
    '    slot.state = "filled";\n    slot.onDurable?.();\n',
  ),
  planted(
    "acknowledged-before-durable",
    "a record is acknowledged when its first part is there",
    "journal/writer.ts",
    "onDurable: last ? onDurable : null,",
    "onDurable: part === 0 && last !== null ? onDurable : null,",
  ),
  planted(
    "half-a-record-counts",
    "a record of which the end is missing is continued by the next owner's",
    "journal/walk.ts",
    "      this.#parts = [];\n      return;",
    "      return;",
  ),
  planted(
    "goes-on-after-fencing",
    "an owner that has met a fence still acknowledges the rest of what it has under way",
    "journal/writer.ts",
    "    this.#slots.length = 0;\n    for (const reject of this.#waiters) reject(error);\n    this.#waiters.clear();\n",
    "",
  ),
  planted(
    "batch-loses-suffix",
    "a write that replaces part of one in the same batch leaves the rest of it",
    "record-queue.ts",
    "  batch.entries.length = Math.max(0, first.index - start);\n",
    "",
  ),
  // Trimming
  planted(
    "boundary-past-live-entries",
    "the boundary moves behind everything that is durable, whatever is still needed",
    "journal-state.ts",
    "boundary: ranges.oldest?.seq ?? through + 1,",
    "boundary: through + 1 + 0 * (ranges.oldest?.seq ?? 0),",
  ),
  planted(
    "deleted-before-boundary",
    "slots are deleted before the boundary is durable",
    "journal/journal.ts",
    "    try {\n      const changed = await",
    "    this.#sweeper!.trimmedTo(boundary);\n    try {\n      const changed = await",
  ),
  planted(
    "hard-state-not-in-checkpoint",
    "a trim forgets the hard state",
    "journal-state.ts",
    "checkpoint: { identity, hardState, compacted: ranges.prev, through },",
    "checkpoint: { identity, hardState: hardState && null, compacted: ranges.prev, through },",
  ),
  planted(
    "older-reset-undoes-compaction",
    "a record from before a compaction is read as if it were from after it",
    "journal-state.ts",
    "if (this.through <= this.#checkpoint.through) this.ranges.compact(this.#checkpoint.compacted);",
    "",
  ),
  planted(
    "lost-slot-suspected",
    "fillers claim to know that the slots before them are filled, while those are under way",
    "journal/takeover.ts",
    'ownSlot(options, "filler", seq, fence)',
    'ownSlot(options, "filler", seq, seq - 1 + 0 * fence)',
  ),
  // Reads
  planted(
    "confirmed-by-an-old-look",
    "who asks whether it is still the owner is told what was true before",
    "journal/journal.ts",
    "      this.#look = this.#nextLook!.catch(() => {});\n      this.#nextLook = null;\n",
    "",
  ),
  // Snapshots
  planted(
    "chunks-of-uploads-swept",
    "chunks that belong to no snapshot are deleted, although a rival may be uploading the rest",
    "snapshot-store.ts",
    "return (position) => position < newest && !kept.has(position);",
    "return (position) => newest !== position && !kept.has(position);",
  ),
  planted(
    "snapshot-gone-while-listed",
    "a snapshot that was replaced between the listing and its read is taken for dropped",
    "snapshot-store.ts",
    "if (found === null) return null;",
    "if (found === null) continue;",
  ),
  planted(
    "published-before-whole",
    "a snapshot is shown before all of its chunks are there",
    "snapshot-writer.ts",
    "    await Promise.all(this.#uploads);\n",
    "",
  ),
];

/** In what puts two stores together; hunted by bundle-main.ts. */
export const PLANTED_IN_BUNDLES: readonly Planted[] = [
  {
    name: "votes-not-confirmed",
    about: "who has taken over votes and log does not ask whether the votes are still its own by then",
    rewrites: [
      {
        file: "src/core/node/bundle.ts",
        find: "      await beside.confirmOwner?.();\n",
        replace: "",
      },
    ],
  },
  {
    name: "votes-not-taken-over",
    about: "the log is taken over without the votes",
    rewrites: [
      {
        file: "src/core/node/bundle.ts",
        find: "      await beside.log.open();\n",
        replace: "",
      },
      {
        file: "src/core/node/bundle.ts",
        find: "      await beside.confirmOwner?.();\n",
        replace: "",
      },
    ],
  },
];
