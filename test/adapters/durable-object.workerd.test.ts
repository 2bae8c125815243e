import { flipped, putRow, rowsOf, type StoredRow, deleteRow } from "../workerd/rows.ts";
import { type ObjectSite, objectSite } from "../workerd/storage-site.ts";
import { storageConformance } from "./conformance.ts";
import { storageDamageConformance } from "./damage-conformance.ts";
import { command } from "./storage-helpers.ts";

storageConformance("durable object", { site: objectSite, histories: 20 });

storageDamageConformance("durable object", {
  site: objectSite,
  damageLog: async (site) => {
    for (const row of await rowsOf(site, "d_engine_log")) {
      const at = indexOf(row.body, command(25, 1).data);
      if (at >= 0) await putRow(site, "d_engine_log", { ...row, body: flipped(row.body, at) });
    }
  },
  damageSnapshot: async (site, info) => {
    const row = await largest(site);
    await putRow(site, "d_engine_snapshots", { ...row, body: flipped(row.body, Math.floor(info.size / 2)) });
  },
  tearSnapshot: async (site) => {
    await deleteRow(site, "d_engine_snapshots", (await largest(site)).slot);
  },
});

/** The row with a snapshot's content; what describes it is small. */
async function largest(site: ObjectSite): Promise<StoredRow> {
  const rows = await rowsOf(site, "d_engine_snapshots");
  return rows.toSorted((a, b) => b.body.length - a.body.length)[0]!;
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = 0; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}
