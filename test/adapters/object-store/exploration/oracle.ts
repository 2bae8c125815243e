import type { Entry, HardState } from "../../../../src/core/raft/index.ts";

/** What must not happen, and what did. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function violated(rule: string, detail: string): never {
  throw new Violation(`${rule}: ${detail}`);
}

/** A log with its hard state, without regard to compaction: what each entry is, by its index. */
export interface Content {
  readonly entries: readonly string[];
  readonly hardState: string;
}

export const NOTHING: Content = { entries: [], hardState: "null" };

export function entryKey(entry: Entry): string {
  const data = entry.kind === "command" ? new TextDecoder().decode(entry.data) : "";
  return `${entry.index}:${entry.term}:${data}`;
}

export function hardStateKey(hardState: HardState | null): string {
  return hardState === null ? "null" : `${hardState.term}/${hardState.vote}/${hardState.commit}`;
}

/** What one write makes of a log. */
export interface WriteEffect {
  readonly entries: readonly Entry[];
  readonly hardState: HardState | null;
}

/** The log begins anew behind an index: what is before is never looked at again. */
export function begunAnew({ hardState }: Content, index: number): Content {
  return { entries: Array.from({ length: index }, () => "gone"), hardState };
}

export function written(before: Content, { entries, hardState }: WriteEffect): Content {
  const first = entries[0];
  const kept = first === undefined ? before.entries : before.entries.slice(0, first.index - 1);
  return {
    entries: [...kept, ...entries.map(entryKey)],
    hardState: hardState === null ? before.hardState : hardStateKey(hardState),
  };
}

/** What an opening found. */
export interface Found {
  readonly prevIndex: number;
  readonly lastIndex: number;
  readonly entries: readonly string[];
  readonly hardState: string;
}

function isFound({ entries, hardState }: Content, found: Found): boolean {
  return (
    hardState === found.hardState &&
    entries.length === found.lastIndex &&
    found.entries.every((entry, i) => entry === entries[found.prevIndex + i])
  );
}

/** One process that opened the log: what it found, and what it wrote since. */
export class Reign {
  readonly epoch: number;
  /** After each of its writes; the first is what it found. */
  readonly contents: Content[];
  acknowledged = 0;
  /** How many of its writes a later owner found; it may never acknowledge more. */
  inherited: number | null = null;

  constructor(epoch: number, found: Content) {
    this.epoch = epoch;
    this.contents = [found];
  }

  get now(): Content {
    return this.contents.at(-1)!;
  }

  acknowledge(write: number): void {
    if (write !== this.acknowledged + 1) {
      violated("acknowledged in order", `write ${write} of owner ${this.epoch} after ${this.acknowledged}`);
    }
    this.acknowledged = write;
    this.#checkInheritance();
  }

  inherit(writes: number): void {
    this.inherited = writes;
    this.#checkInheritance();
  }

  #checkInheritance(): void {
    if (this.inherited === null || this.acknowledged <= this.inherited) return;
    violated(
      "nothing acknowledged is lost",
      `owner ${this.epoch} acknowledged ${this.acknowledged} writes, its successor found ${this.inherited}`,
    );
  }
}

/** Holds every opening to what was acknowledged before it, and every owner to what its successor found. */
export class Oracle {
  readonly reigns: Reign[] = [];
  /** The furthest that anybody compacted, acknowledged and called. */
  compactedAtLeast = 0;
  compactedAtMost = 0;
  /** The newest snapshot that was acknowledged. */
  snapshotAtLeast = 0;

  opened(epoch: number, found: Found): Reign {
    if (this.reigns.some((reign) => reign.epoch === epoch)) {
      violated("one owner for an epoch", `epoch ${epoch} has two`);
    }
    const before = this.reigns.findLast((reign) => reign.epoch < epoch);
    const base = this.#contentFound(before, epoch, found);
    const reign = new Reign(epoch, base);
    this.reigns.push(reign);
    this.reigns.sort((a, b) => a.epoch - b.epoch);
    // It was replaced before it knew that it was the owner.
    if (this.reigns.at(-1) !== reign) reign.inherit(0);
    else if (found.prevIndex < this.compactedAtLeast || found.prevIndex > this.compactedAtMost) {
      violated(
        "compaction",
        `up to ${this.compactedAtLeast} or ${this.compactedAtMost}, found ${found.prevIndex}`,
      );
    }
    return reign;
  }

  #contentFound(before: Reign | undefined, epoch: number, found: Found): Content {
    const contents = before?.contents ?? [NOTHING];
    const least = before?.acknowledged ?? 0;
    const writes = contents.findLastIndex((content) => isFound(content, found));
    if (writes < 0 || (before !== undefined && before.inherited === null && writes < least)) {
      violated(
        "an opening finds what was acknowledged",
        `owner ${epoch} found ${JSON.stringify(found)}, which is ${writes} of ${contents.length - 1} writes of owner ${before?.epoch}, of which ${least} were acknowledged: ${JSON.stringify(contents.at(-1))}`,
      );
    }
    if (before !== undefined && before.inherited === null) before.inherit(writes);
    return contents[writes]!;
  }

  /** Whether somebody had taken over from this owner. */
  isReplaced(reign: Reign): boolean {
    return this.reigns.at(-1) !== reign;
  }
}
