// Members whose snapshots are in one bucket: one that joins is told the name of the leader's, and not sent its bytes;
// one whose own store is elsewhere is sent them. How much that is is counted on the wire.
//
// --server=NAME, --storage=URL: as of storage-takeover.ts.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { type Metered, metered } from "./snapshot-by-name/metered.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { call, encode } from "./support/api.ts";
import { settledHashes, workDir } from "./support/cluster.ts";
import { dEngineOk } from "./support/command.ts";
import { program, type Run } from "./support/program.ts";
import { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";

const VALUES = 32;
const VALUE_BYTES = 400_000;
const STATE_BYTES = VALUES * VALUE_BYTES;
/** The last entries of the log may be sent besides. */
const FEW_BYTES = STATE_BYTES / 8;

interface Joiner {
  readonly server: Server;
  readonly wire: Metered;
}

await program("storage-snapshot-by-name", 150, async (run) => {
  const dir = await workDir(run);
  const storage = await storageUrl(run);
  const [clientPort, peerPort] = await freePorts(2);
  const first = new Server(dir, "n1", `http://127.0.0.1:${clientPort}`, {
    storage,
    "listen-peer-urls": `http://127.0.0.1:${peerPort}`,
  });
  run.cleanUp(() => first.signal("SIGKILL"));
  await first.start();
  await fill(first);

  const beside = await addMember(run, dir, first, "n2", storage);
  await beside.server.start();
  await until(60, "n2 to have the snapshot", async () => beside.server.log().includes("snapshot restored"));
  const bytes = beside.wire.sent();
  run.observe(`n2, beside n1, was sent ${bytes} bytes for a state of ${STATE_BYTES}`);
  run.require(
    beside.server.log().includes("snapshot copied by its name"),
    "n2 copied the snapshot by its name",
  );
  run.require(bytes < FEW_BYTES, "and was sent hardly anything");

  const apart = await addMember(run, dir, first, "n3", `sqlite:${join(dir, "n3")}`);
  await apart.server.start();
  await until(60, "n3 to have the snapshot", async () => apart.server.log().includes("snapshot restored"));
  run.observe(`n3, on a disk of its own, was sent ${apart.wire.sent()} bytes`);
  run.require(apart.wire.sent() >= STATE_BYTES, "n3 was sent all of it");

  run.observe("n2 is killed, and lives on what it copied");
  await beside.server.signal("SIGKILL");
  const before = beside.wire.sent();
  await beside.server.start();
  const hashes = await settledHashes([first, beside.server, apart.server]);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
  run.require(beside.wire.sent() - before < FEW_BYTES, "and nothing of it was sent again");
});

/** Values that nobody can make smaller on the way. */
async function fill(server: Server): Promise<void> {
  for (let i = 0; i < VALUES; i++) {
    const value = randomBytes((VALUE_BYTES * 3) / 4).toString("base64");
    const { status } = await call(server, "kv/put", { key: encode(`k${i}`), value: encode(value) }, 20_000);
    if (status !== "ok") throw new Error(`a put: ${status}`);
  }
}

async function addMember(
  run: Run,
  dir: string,
  leader: Server,
  name: string,
  storage: string,
): Promise<Joiner> {
  const [clientPort = 0, peerPort = 0] = await freePorts(2);
  const wire = await metered(run, peerPort);
  const printed = await dEngineOk(
    "member",
    "add",
    name,
    `--peer-urls=${wire.url}`,
    `--endpoints=${leader.url}`,
  );
  const initialCluster = /^ETCD_INITIAL_CLUSTER="(.*)"$/m.exec(printed)?.[1];
  if (initialCluster === undefined) throw new Error(`"member add" printed: ${printed}`);
  const server = new Server(dir, name, `http://127.0.0.1:${clientPort}`, {
    storage,
    "listen-peer-urls": `http://127.0.0.1:${peerPort}`,
    "initial-advertise-peer-urls": wire.url,
    "initial-cluster": initialCluster,
    "initial-cluster-state": "existing",
  });
  run.cleanUp(() => server.signal("SIGKILL"));
  return { server, wire };
}
