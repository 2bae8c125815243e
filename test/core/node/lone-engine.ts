import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { KvEngine, type NodeOptions, type Transport } from "../../../src/core/node/index.ts";
import { nodeClock, nodeRandom } from "../../../src/runtimes/node/index.ts";

const NOWHERE: Transport = {
  send: () => undefined,
  setPeers: () => undefined,
  start: () => undefined,
  stop: () => Promise.resolve(),
};

/** A real engine that is its whole group, in real time; in memory, unless told otherwise. Ready when it resolves. */
export async function startLoneEngine(options: Partial<NodeOptions> = {}): Promise<KvEngine> {
  const engine = await KvEngine.start({
    identity: { clusterId: 1n, groupId: "g", nodeId: 1n },
    founders: [{ id: 1n, name: "n", peerUrls: [], clientUrls: [], isLearner: false }],
    self: { name: "n", clientUrls: [] },
    storage: new MemoryStorage(),
    transport: NOWHERE,
    clock: nodeClock,
    random: nodeRandom,
    logger: { log: () => undefined },
    raft: { electionTimeoutMs: 100, heartbeatIntervalMs: 20, clockDriftBoundMs: 10 },
    ...options,
  });
  await engine.ready(5000);
  return engine;
}
