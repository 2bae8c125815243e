import type { Mutant } from "./mutants.ts";

/*
 * Durable before acknowledged: every rule of the driver about what comes after what, broken one at a time. Each would
 * pass any test in which nothing goes down at the wrong moment.
 */

const NODE = "src/core/node";

function broken(name: string, about: string, file: string, find: string, replace: string): Mutant {
  return { name, about, rewrites: [{ file: `${NODE}/${file}`, find, replace }] };
}

function quick(mutant: Mutant): Mutant {
  return { ...mutant, quick: true };
}

export const DURABILITY_MUTANTS: readonly Mutant[] = [
  quick(
    broken(
      "write-not-awaited",
      "a Ready counts as durable as soon as its write has begun",
      "persister.ts",
      "if (begun === null && this.#writes.length === 0) return this.#onPersisted(ready);",
      "if (this.#writes.length === 0) {\n      begun?.catch((error: unknown) => this.#onFailure(error));\n      return this.#onPersisted(ready);\n    }",
    ),
  ),
  quick(
    broken(
      "hard-state-alone-not-written",
      "term and vote are written only where there are entries too",
      "persister.ts",
      "if (hardState === null && entries.length === 0) return null;",
      "if (entries.length === 0) return null;",
    ),
  ),
  broken(
    "hard-state-left-out",
    "of a Ready with entries only the entries are written",
    "persister.ts",
    "return await storage.commit(hardState, entries);",
    "return await storage.log.append(entries);",
  ),
  broken(
    "entries-before-hard-state",
    "entries become durable before the term in which they were accepted",
    "persister.ts",
    "if (hardState !== null) await storage.meta.saveHardState(hardState);\n    if (entries.length > 0) await storage.log.append(entries);",
    "if (entries.length > 0) await storage.log.append(entries);\n    if (hardState !== null) await storage.meta.saveHardState(hardState);",
  ),
  broken(
    "later-write-overtakes",
    "the write of a later Ready does not wait for the two of an earlier one",
    "persister.ts",
    "if (this.#barrier !== null) return this.#alone(() => this.#write(hardState, entries));",
    "",
  ),
  broken(
    "snapshot-accepted-before-durable",
    "a received snapshot is announced before it is durable",
    "snapshot-receiver.ts",
    "const info = await incoming.writer.commit();",
    "void incoming.writer.commit();\n    const info = { meta: heading.meta };",
  ),
  broken(
    "snapshot-not-compared",
    "a snapshot that was read by its name is taken for the one that was announced, whatever it is",
    "snapshot-receiver.ts",
    "if (incoming.checksum !== heading.checksum) {",
    "if (Number.isNaN(heading.checksum)) {",
  ),
  quick(
    broken(
      "older-snapshot-dropped-first",
      "the last snapshot goes before the next one is durable",
      "snapshotter.ts",
      "const info = await this.#write(meta, context, state.chunks());",
      "for (const older of await this.#storage.snapshots.list()) await this.#storage.snapshots.drop(older);\n      const info = await this.#write(meta, context, state.chunks());",
    ),
  ),
  quick(
    broken(
      "log-cut-behind-snapshot",
      "the log is cut at what is applied, which the snapshot does not hold",
      "snapshotter.ts",
      "const to = Math.min(info.meta.index - this.#tuning.trailingEntries,",
      "const to = Math.min(this.#applier.appliedIndex - this.#tuning.trailingEntries,",
    ),
  ),
  broken(
    "installation-not-finished",
    "a restart goes on with the log from before the snapshot that was being installed",
    "recovery.ts",
    "if (continues) return bounds;",
    "if (continues || bounds.lastIndex > 0) return bounds;",
  ),
];
