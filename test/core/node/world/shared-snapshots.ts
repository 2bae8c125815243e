import { EngineError } from "../../../../src/core/errors/index.ts";
import type { SnapshotInfo, SnapshotStore } from "../../../../src/core/node/index.ts";
import type { Disk } from "./disk.ts";
import type { Life } from "./life.ts";

/** What a read of another machine's chunk comes to. */
export type SharedVerdict = "ok" | "fail" | "hang" | "changed";

/** One place where all machines keep their snapshots, each its own, and read those of the others by their names. */
export class SharedSnapshots {
  readonly #disks: Map<string, Disk> = new Map();
  /** Ends the reads that hang. */
  #hanging: ((error: EngineError) => void)[] = [];
  /** How long a chunk takes. */
  latencyMs: () => number = () => 0;
  /** Asked for every chunk, which counts from 0. */
  decide: (chunk: number) => SharedVerdict = () => "ok";
  /** Chunks read, by all. */
  reads = 0;

  add(disk: Disk, machine: string): void {
    this.#disks.set(machine, disk);
    disk.shared = { nameOf: (info) => nameOf(machine, info), at: this };
  }

  /** A chunk as it is there now; undefined behind the last. Fails when its snapshot has gone. */
  async chunk(name: string, info: SnapshotInfo, number: number): Promise<Uint8Array | undefined> {
    this.reads++;
    const machine = name.slice(0, name.indexOf("/"));
    const found = this.#disks.get(machine)?.durable.snapshotAt(info);
    if (found === undefined || nameOf(machine, found.info) !== name) {
      throw new EngineError("storageFailed", { detail: `there is no ${name}` });
    }
    const bytes = found.chunks[number]?.slice();
    const verdict = this.decide(number);
    if (verdict === "hang") return await new Promise((_, reject) => this.#hanging.push(reject));
    if (verdict === "fail") throw new EngineError("storageFailed", { detail: `${name} cannot be read` });
    if (verdict === "changed" && bytes !== undefined) bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  }

  /** Nothing goes wrong any more, and what hung is told so, as by a connection that is reset. */
  heal(): void {
    this.decide = () => "ok";
    for (const end of this.#hanging) end(new EngineError("storageFailed", { detail: "the store went away" }));
    this.#hanging = [];
  }
}

function nameOf(machine: string, { meta, checksum }: SnapshotInfo): string {
  return `${machine}/${meta.index}-${meta.term}-${checksum}`;
}

/** What a disk's snapshots have besides, where others can read them. */
export function sharing(disk: Disk, life: Life): Pick<SnapshotStore, "nameOf" | "readShared"> {
  const { shared } = disk;
  if (shared === null) return {};
  const { at } = shared;
  return {
    nameOf: (info) => disk.read(life, () => shared.nameOf(info)),
    async *readShared(name, info, offset) {
      let start = 0;
      for (let number = 0; ; number++) {
        await disk.pause(life, at.latencyMs());
        const bytes = await at.chunk(name, info, number);
        if (bytes === undefined) return;
        const skip = Math.max(0, offset - start);
        start += bytes.length;
        if (skip < bytes.length) yield bytes.subarray(skip);
      }
    },
  };
}
