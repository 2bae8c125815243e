import { expect, test } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { Ownership } from "../../../src/core/node/ownership.ts";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { errorOf, FAST, get, kindOf, later, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

const FENCED = new EngineError("fenced", { detail: "test" });

/** Whether node 1 still owns its stores, answered when the test says so. */
class Owner {
  asked = 0;
  #answers: ((error: Error | null) => void)[] = [];
  /** Answers at once, with this, until told otherwise. */
  standing: "yes" | Error | null = "yes";

  readonly confirm = (): Promise<void> =>
    new Promise((resolve, reject) => {
      this.asked++;
      const answer = (error: Error | null): void => (error === null ? resolve() : reject(error));
      if (this.standing === null) this.#answers.push(answer);
      else answer(this.standing === "yes" ? null : this.standing);
    });

  answer(error: Error | null = null): void {
    const answers = this.#answers;
    this.#answers = [];
    for (const answer of answers) answer(error);
  }
}

async function begin(founders: number): Promise<{ cluster: Cluster; owner: Owner; first: KvEngine }> {
  const cluster = new Cluster({ seed: 1, founders, raft: FAST });
  const owner = new Owner();
  cluster.node(1n).disk.confirmOwner = owner.confirm;
  await cluster.startAndElect();
  await cluster.announced();
  return { cluster, owner, first: cluster.engine(1n) };
}

for (const consistency of ["linearizable", "lease"] as const) {
  test(`a ${consistency} read of a single voter waits until it is known to own its log`, async () => {
    const { cluster, owner, first } = await begin(1);
    await putNow(cluster, first, "k", "v");
    owner.standing = null;
    const asked = owner.asked;
    let answered = false;
    const read = get(first, "k", { consistency }).finally(() => (answered = true));
    await cluster.world.runFor(50);
    expect(owner.asked).toBe(asked + 1);
    expect(answered).toBe(false);
    // Whoever comes now is not helped by an answer to the question before.
    let answeredSecond = false;
    const second = get(first, "k", { consistency }).finally(() => (answeredSecond = true));
    await cluster.world.runFor(10);
    owner.answer();
    expect(await cluster.world.complete("the first", read)).toMatchObject({ value: "v" });
    await cluster.world.runFor(10);
    expect(answeredSecond).toBe(false);
    owner.answer();
    expect(await cluster.world.complete("the second", second)).toMatchObject({ value: "v" });
  });

  test(`a ${consistency} read of a single voter that was taken over has no answer, and ends it`, async () => {
    const { cluster, owner, first } = await begin(1);
    await putNow(cluster, first, "k", "v");
    owner.standing = FENCED;
    const failures: unknown[] = [];
    first.onFailure((error) => failures.push(error));
    const error = await errorOf(cluster, later(get(first, "k", { consistency, timeoutMs: 1000 })));
    expect(error.code).toBe("stopped");
    expect(failures).toEqual([FENCED]);
    expect(first.isStopped).toBe(true);
  });
}

test("a read that waits for a silent store is asked for again", async () => {
  const { cluster, owner, first } = await begin(1);
  await putNow(cluster, first, "k", "v");
  owner.standing = new EngineError("storageUnavailable");
  const read = get(first, "k", { timeoutMs: 5000 });
  await cluster.world.runFor(300);
  owner.standing = "yes";
  expect(await cluster.world.complete("the read", read)).toMatchObject({ value: "v" });
});

test("an eventual read asks nobody", async () => {
  const { cluster, owner, first } = await begin(1);
  await putNow(cluster, first, "k", "v");
  const asked = owner.asked;
  await cluster.world.complete("the read", get(first, "k", { consistency: "eventual" }));
  expect(owner.asked).toBe(asked);
});

test("a follower that may have been replaced does not help a leader to a quorum", async () => {
  const { cluster, owner, first } = await begin(3);
  const leader = cluster.leader()!;
  if (leader === first) {
    await cluster.world.complete("the transfer", leader.transferLeadership(2n));
    await cluster.elected();
  }
  const old = cluster.leader()!;
  await putNow(cluster, old, "k", "v");
  await cluster.converged();
  // Of the two followers only the one whose stores may be another's is left.
  const third = cluster.others(old.nodeId).find((id) => id !== 1n)!;
  cluster.node(third).crash();
  owner.standing = null;
  await cluster.world.runFor(20);
  const said: string[] = [];
  cluster.network.observe((travelling) => {
    if (travelling.from === 1n) said.push(kindOf(travelling));
  });
  const read = later(get(old, "k", { timeoutMs: 2000 }));
  await cluster.world.runFor(60);
  expect(said).toEqual([]);
  owner.standing = "yes";
  owner.answer();
  expect(await cluster.world.complete("the read", read)).toMatchObject({ value: "v" });
  expect(said).toContain("HeartbeatResult");
});

test("what was durable before may be said at once: an acknowledgement repeats it, and asks for nothing", async () => {
  const { cluster, owner, first } = await begin(3);
  if (cluster.leader() === first) {
    await cluster.world.complete("the transfer", first.transferLeadership(2n));
    await cluster.elected();
  }
  const leader = cluster.leader()!;
  await cluster.converged();
  owner.standing = null;
  const said: string[] = [];
  cluster.network.observe((travelling) => {
    if (travelling.from === 1n) said.push(kindOf(travelling));
  });
  await putNow(cluster, leader, "k", "v");
  await cluster.world.runFor(20);
  // Of the entry, which it has written, and of the news that it is committed, for which it has nothing to write.
  expect(said.filter((kind) => kind === "AppendEntriesResult")).toHaveLength(2);
  expect(said).not.toContain("HeartbeatResult");
});

test("what fails when it may be said at last stops the node, as it would have at once", async () => {
  const broken = new Error("broken");
  const failures: unknown[] = [];
  const storage = Object.assign(new MemoryStorage(), { confirmOwner: () => Promise.resolve() });
  const ownership = new Ownership(
    storage,
    () => {},
    (error) => failures.push(error),
  );
  ownership.answer(() => {
    throw broken;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(failures).toEqual([broken]);
});
