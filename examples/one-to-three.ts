// One member becomes three while it goes on working. Here all three live in one process, to be seen together; on
// three machines each runs the same code with addresses of its own.

import { EmbeddedEngine, EngineError } from "../src/index.ts"; // in your project: "d-engine"

const given = process.argv.slice(2);
const ports = given.length === 3 ? given : ["23801", "23802", "23803"];
const url = (n: number): string => `http://127.0.0.1:${ports[n - 1]}`;

// A single member. Its peer URL is where others will find it.
const n1 = await EmbeddedEngine.start("./n1", { name: "n1", listenPeerUrls: url(1) });
await n1.waitReady(5000);
await n1.client().put("before", "one member");

/** Adds a member as a learner, which has no vote; starts it; and promotes it once it has caught up. */
async function join(
  name: string,
  peerUrl: string,
  initialCluster: Record<string, string>,
): Promise<EmbeddedEngine> {
  const { member } = await n1.engine.memberAdd({ peerUrls: [peerUrl], isLearner: true });
  const joining = await EmbeddedEngine.start(`./${name}`, {
    name,
    initialCluster,
    initialClusterState: "existing",
  });
  for (;;) {
    try {
      await n1.engine.memberPromote(member.id);
      return joining;
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "learnerNotReady") throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const n2 = await join("n2", url(2), { n1: url(1), n2: url(2) });
const n3 = await join("n3", url(3), { n1: url(1), n2: url(2), n3: url(3) });
const members = await n3.client().listMembers({ consistency: "linearizable" });
console.log(members.length, "members,", members.filter(({ isLearner }) => !isLearner).length, "voters"); // 3 members, 3 voters

// The first one goes. The other two elect a leader and have everything.
await n1.stop();
await n2.waitReady(10_000);
await n2.client().put("after", "two of three");
console.log(await n3.client().getText("before"), "/", await n3.client().getText("after")); // one member / two of three
await Promise.all([n2.stop(), n3.stop()]);
