// A holder of a lock is paused, loses the lock without noticing, and goes on writing when it wakes. What the lock
// protects is safe all the same, because every write shows the fencing token that came with the lock.

import { type Client, EmbeddedEngine, lock, unlock } from "../src/index.ts"; // in your project: "d-engine"

const member = await EmbeddedEngine.start("./data");
await member.waitReady(5000);
const { engine } = member;
const client = member.client();
const name = new TextEncoder().encode("report");

// Something outside that the lock protects: a file server, a printer, another database. All it needs to know of locks
// is the largest token it has seen.
const printer = {
  pages: [] as string[],
  largestToken: 0,
  print(page: string, token: number): boolean {
    if (token < this.largestToken) return false;
    this.largestToken = token;
    this.pages.push(page);
    return true;
  },
};

/** In the store itself a comparison does it: the lock's key is there, and is the one that came with this token. */
async function save(store: Client, key: Uint8Array, token: number, text: string): Promise<boolean> {
  const { succeeded } = await store
    .txn()
    .ifCreateRevision(key, "equal", token)
    .thenPut("report", text)
    .commit();
  return succeeded;
}

// Ann takes the lock. Her lease lives for half a second, unless she renews it.
const ann = await engine.leaseGrant({ ttlMs: 500 });
const hers = await lock(engine, { name, lease: ann.id });
console.log(await save(client, hers.key, hers.fencingToken, "by Ann")); // true

// And then she does nothing for a while: a long garbage collection, a suspended laptop. Ben waits for the lock and
// gets it when her lease has ended.
const ben = await engine.leaseGrant({ ttlSeconds: 60 });
const his = await lock(engine, { name, lease: ben.id });
console.log(his.fencingToken > hers.fencingToken); // true
console.log(await save(client, his.key, his.fencingToken, "by Ben")); // true
console.log(printer.print("Ben's page", his.fencingToken)); // true

// Ann wakes up and believes to hold the lock. Neither the store nor the printer does.
console.log(await save(client, hers.key, hers.fencingToken, "by Ann, too late")); // false
console.log(printer.print("Ann's page", hers.fencingToken)); // false
await unlock(engine, hers);

console.log(await client.getText("report"), "/", printer.pages.join()); // by Ben / Ben's page
await unlock(engine, his);
await member.stop();
