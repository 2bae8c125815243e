// An eventual read that names the least revision it is to see, at members that may not have got there yet.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import type { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { startEmbeddedGroup } from "./embedded-group.ts";

const KEY = new TextEncoder().encode("k");
let members: EmbeddedEngine[];

beforeAll(async () => {
  members = await startEmbeddedGroup(3, () => ({ storage: new MemoryStorage() }));
});

afterAll(() => Promise.all(members.map((member) => member.stop())));

describe("a read with a least revision", () => {
  it("sees a write that was made elsewhere a moment ago", async () => {
    const leader = members.find((member) => member.engine.status().role === "leader")!;
    const follower = members.find((member) => member !== leader)!;
    const seen: string[] = [];
    let late = 0;
    for (let i = 0; i < 40; i++) {
      const value = new TextEncoder().encode(`${i}`);
      const minRevision = (await leader.engine.put({ key: KEY, value })).header.revision;
      if (follower.engine.status().revision < minRevision) late++;
      const found = await follower.engine.range({ key: KEY }, { consistency: "eventual", minRevision });
      seen.push(new TextDecoder().decode(found.kvs[0]!.value));
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => `${i}`));
    // Else it would have been seen without asking.
    expect(late).toBeGreaterThan(0);
  });

  it("is refused when nobody has got there", async () => {
    const { revision } = members[0]!.engine.status();
    for (const consistency of ["eventual", "lease", "linearizable"] as const) {
      const read = members[0]!.engine.range({ key: KEY }, { consistency, minRevision: revision + 1000 });
      await expect(read).rejects.toMatchObject({ code: "futureRevision" });
    }
  });
});
