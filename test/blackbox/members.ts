// One member becomes three, one is replaced, the leader is removed, all by the command line and while writes go on.

import { rm } from "node:fs/promises";
import { GrowingGroup } from "./members/growing-group.ts";
import { leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { program } from "./support/program.ts";
import { Writer } from "./support/writer.ts";

await program("members", 170, async (run) => {
  const group = new GrowingGroup(run, await workDir(run), await freePorts(10));
  const n1 = group.server(1, {});
  await n1.start();
  group.running.push(n1);
  const writer = new Writer(() => group.running);
  run.cleanUp(() => writer.stop().catch(() => undefined));
  await writer.more(100);

  const n2 = await group.join(2);
  await writer.more(20);
  const n3 = await group.join(3);
  await writer.more(20);
  await group.expectMembers([n1, n2, n3]);

  run.observe("n3 dies, and its disk with it");
  group.running = [n1, n2];
  await n3.signal("SIGKILL");
  await writer.more(50);
  await rm(n3.flags["data-dir"]!, { recursive: true });
  const exitCode = await n3.startInVain(20);
  run.require(
    exitCode === 2 && n3.log().includes("must come back as a new member"),
    "with an empty directory it is not let in again",
  );
  await group.refusesToRemove("n2");
  await group.remove(await group.idOf("n3"));
  const n4 = await group.join(4);
  await writer.more(20);
  await group.expectMembers([n1, n2, n4]);

  const leader = await leaderOf(group.running);
  run.observe(`${leader.name} leads, and is removed`);
  const others = group.running.filter((server) => server !== leader);
  const leaderId = await group.idOf(leader.name);
  group.running = others;
  await group.remove(leaderId);
  const next = await leaderOf(others);
  run.require(next !== leader, `${next.name} leads now`);
  await writer.more(50);
  await group.expectMembers(others);
  await leader.signal("SIGTERM");
  await group.join(5);
  await group.expectMembers(group.running);
  await writer.more(50);

  await writer.stop();
  const hashes = await settledHashes(group.running);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
  for (const server of group.running) {
    const wrong = await writer.wrongAt(server);
    run.require(
      wrong.length === 0,
      `${server.name} has all ${writer.acknowledged.size} acknowledged writes, and none of ${writer.refused.size} refused ones ${wrong.slice(0, 5).join(" ")}`,
    );
  }
});
