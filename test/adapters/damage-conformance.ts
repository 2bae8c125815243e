import { describe, expect, it } from "vitest";
import type { SnapshotInfo } from "../../src/core/node/index.ts";
import type { StorageSite } from "./conformance.ts";
import { collect, commands, expectBytes, patternBytes, rejection } from "./storage-helpers.ts";

/** For stores whose bytes a test can reach. Both are called while the store is closed. */
export interface DamageOptions<Site extends StorageSite> {
  readonly site: () => Promise<Site>;
  /** Changes bytes of the content of the stored entry `command(25, 1)`. */
  readonly damageLog: (site: Site) => Promise<void>;
  /** Changes bytes in the middle of a snapshot's content. */
  readonly damageSnapshot: (site: Site, info: SnapshotInfo) => Promise<void>;
  /** Cuts off a snapshot's end. */
  readonly tearSnapshot: (site: Site, info: SnapshotInfo) => Promise<void>;
}

/** What a store must make of bytes that are not those it wrote. */
export function storageDamageConformance<Site extends StorageSite>(
  name: string,
  options: DamageOptions<Site>,
): void {
  const CONTENT = patternBytes(600_000, 3);

  /** A closed store with 50 entries and a snapshot. */
  async function prepare(): Promise<{ site: Site; info: SnapshotInfo }> {
    const site = await options.site();
    const storage = await site.open();
    await storage.log.open();
    await storage.log.append(commands(1, 50, 1));
    const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const writer = await storage.snapshots.create({ index: 5, term: 1, config }, new Uint8Array());
    await writer.write(CONTENT);
    const info = await writer.commit();
    await storage.close();
    return { site, info };
  }

  describe(`storage with damage: ${name}`, () => {
    it("finds damage to the log, and refuses to work with it", async () => {
      const { site } = await prepare();
      await options.damageLog(site);
      const opening = (async () => {
        const storage = await site.open();
        try {
          await storage.log.open();
        } finally {
          await storage.close();
        }
      })();
      expect(await rejection(opening)).toBe("storageCorrupt");
      await site.remove();
    });

    it("finds damage to a snapshot, and hands out nothing that is wrong", async () => {
      const { site, info } = await prepare();
      await options.damageSnapshot(site, info);
      const storage = await site.open();
      const received: Uint8Array[] = [];
      const reading = (async () => {
        for await (const chunk of storage.snapshots.read(info)) received.push(chunk);
      })();
      expect(await rejection(reading)).toBe("storageCorrupt");
      let offset = 0;
      for (const chunk of received) {
        expectBytes(chunk, CONTENT.subarray(offset, offset + chunk.length));
        offset += chunk.length;
      }
      await storage.close();
      await site.remove();
    });

    it("finds a snapshot whose end is missing", async () => {
      const { site, info } = await prepare();
      await options.tearSnapshot(site, info);
      const storage = await site.open();
      expect(await rejection(storage.snapshots.list())).toBe("storageCorrupt");
      expect(await rejection(collect(storage.snapshots.read(info)))).toBe("storageCorrupt");
      await storage.close();
      await site.remove();
    });
  });
}
