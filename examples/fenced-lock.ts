// A holder of a lock is paused, loses the lock without noticing, and goes on writing when it wakes. What the lock
// protects is safe all the same, because every write shows the fencing token that came with the lock.

import { EmbeddedEngine } from "../src/index.ts"; // in your project: "d-engine"
import { type Client, createClient, type HeldLock, isClientError } from "../src/runtimes/client/index.ts"; // "d-engine/client"

const url = `http://127.0.0.1:${process.argv[2] ?? "23791"}`;
const engine = await EmbeddedEngine.start("./data", { listenClientUrls: url });
await engine.waitReady(5000);

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
async function save(client: Client, { key, fencingToken }: HeldLock, text: string): Promise<boolean> {
  const { succeeded } = await client
    .txn()
    .ifCreateRevision(key, "equal", fencingToken)
    .thenPut("report", text)
    .commit();
  return succeeded;
}

const [ann, ben] = [createClient({ endpoints: [url] }), createClient({ endpoints: [url] })];
const benIsDone = Promise.withResolvers<void>();

// Ann takes the lock. It rests on a lease that lives for a second unless it is renewed, which is done for her.
const hers = ann.lock(
  "report",
  async (lock) => {
    console.log(await save(ann, lock, "by Ann")); // true

    // And then she does nothing for a while: a long garbage collection, a suspended laptop. Nothing renews her lease.
    lock.lease.stop();
    await benIsDone.promise;

    // She wakes up and believes to hold the lock. Neither the store nor the printer does.
    console.log(await save(ann, lock, "by Ann, too late")); // false
    console.log(printer.print("Ann's page", lock.fencingToken)); // false
    await lock.lease.renew();
  },
  { ttlMs: 1000 },
);

// Ben waits for the lock, and gets it when her lease has ended.
const his = ben.lock("report", async (lock) => {
  console.log(await save(ben, lock, "by Ben")); // true
  console.log(printer.print("Ben's page", lock.fencingToken)); // true
});
await his;
benIsDone.resolve();

// Where she asks, she is told.
await hers.catch((error: unknown) => console.log(isClientError(error) && error.code)); // leaseLost
console.log(await ben.getText("report"), "/", printer.pages.join()); // by Ben / Ben's page

ann.close();
ben.close();
await engine.stop();
