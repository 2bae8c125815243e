// A key-value store inside this process, in ./data: no server, no port.

import { EmbeddedEngine } from "../src/index.ts"; // in your project: "d-engine"

const engine = await EmbeddedEngine.start("./data");
await engine.waitReady(5000);
const client = engine.client();
await client.put("greeting", "hello");
console.log(await client.getText("greeting")); // hello

// In one step, or not at all.
console.log(await client.compareAndSwap("greeting", "hello", "good evening")); // true
console.log(await client.compareAndSwap("greeting", "hello", "good night")); // false

// How fresh a read must be is said with it.
console.log(await client.getText("greeting", { consistency: "eventual" })); // good evening

await client.put("task/1", "write");
await client.put("task/2", "test");
const { entries, revision } = await client.scanPrefix("task/");
console.log(entries.length, "tasks at revision", revision); // 2 tasks at revision 5

const { succeeded } = await client
  .txn()
  .ifExists("task/1")
  .ifMissing("done/1")
  .thenDelete("task/1")
  .thenPut("done/1", "write")
  .commit();
console.log(succeeded); // true

await engine.stop();
