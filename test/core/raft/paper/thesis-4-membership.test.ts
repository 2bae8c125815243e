import { describe, expect, it } from "vitest";
import { type NodeId, simpleConfig } from "../../../../src/core/raft/index.ts";
import { Cluster } from "../harness/cluster.ts";
import { appendEntries, confChange, entriesOf, ET, OneNode, snapshotAt } from "../one-node.ts";
import { electWith } from "./staging.ts";

/** Node 1 leads term 2, everything is committed and applied. */
function leading(config = simpleConfig([1n, 2n, 3n]), log: number[] = []): OneNode {
  const node = new OneNode({ config, log: entriesOf(log) }).lead();
  for (const from of config.voters) if (from !== 1n) node.ack(from);
  node.sent = [];
  return node;
}

/** A cluster led by node 1. */
function ledByOne(options: ConstructorParameters<typeof Cluster>[0] = {}): Cluster {
  const cluster = new Cluster({ ...options, jitter: (node) => (node === 1n ? 0 : 0.3 + Number(node) / 10) });
  expect(cluster.elect().id).toBe(1n);
  cluster.advance(300);
  return cluster;
}

const configs = (cluster: Cluster): (readonly NodeId[])[] =>
  cluster.up.map(({ status }) => status.config.voters);

describe("Thesis §4.1 Safety", () => {
  it("a configuration takes effect when it is applied, on the leader as on followers", () => {
    const node = leading();
    node.change(["addVoter", 4n]);
    expect(node.status.config).toEqual(simpleConfig([1n, 2n, 3n]));
    node.ack(2n);
    expect(node.status.config).toEqual(simpleConfig([1n, 2n, 3n, 4n]));
    expect([...node.status.progress.keys()]).toEqual([2n, 3n, 4n]);
  });

  it("no second change before the first is applied", () => {
    const node = leading();
    node.holdApply = true;
    node.change(["addVoter", 4n]);
    const refused = { ok: false, rejection: { reason: "confChangePending", pendingIndex: 3 } };
    expect(node.change(["remove", 3n])).toEqual(refused);
    node.ack(2n);
    expect(node.change(["remove", 3n])).toEqual(refused);
    node.apply(node.applied.at(-1)!);
    expect(node.change(["remove", 3n])).toEqual({ ok: true, index: 4 });
  });

  it("nor by a new leader before what it inherited is applied", () => {
    const change = confChange([["addVoter", 4n]]);
    const node = new OneNode({
      config: simpleConfig([1n, 2n, 3n]),
      log: [{ kind: "confChange", index: 2, term: 1, change }],
    });
    node.lead();
    expect(node.change(["remove", 3n])).toMatchObject({
      ok: false,
      rejection: { reason: "confChangePending" },
    });
    node.ack(2n);
    expect(node.status.config.voters).toEqual([1n, 2n, 3n, 4n]);
    expect(node.change(["remove", 3n])).toMatchObject({ ok: true });
  });

  it("nor before an entry of its own term is committed: Ongaro's correction of 2015", () => {
    const node = new OneNode().lead();
    expect(node.change(["addLearner", 4n])).toEqual({
      ok: false,
      rejection: { reason: "confChangePending", pendingIndex: 2 },
    });
    node.ack(2n);
    expect(node.change(["addLearner", 4n])).toEqual({ ok: true, index: 3 });
  });

  it("two leaders of different configurations never commit apart: the counterexample of 2015", () => {
    // S1 appends the removal of S2 only for itself, is cut off; S4 leads and adds a voter; S1 returns.
    const cluster = ledByOne({ voters: 4 });
    cluster.partition([1], [2, 3, 4]);
    cluster.proposeConfChange(1, [{ type: "remove", node: 2n }]);
    cluster.advance(5 * ET);
    const other = cluster.leader()!;
    expect(other.id).not.toBe(1n);
    cluster.addNode(5);
    expect(cluster.proposeConfChange(other.id, [{ type: "addLearner", node: 5n }]).ok).toBe(true);
    cluster.settle();
    cluster.heal();
    cluster.advance(5 * ET);
    for (const node of cluster.up) {
      expect([node.status.config.voters, node.status.config.learners]).toEqual([[1n, 2n, 3n, 4n], [5n]]);
    }
  });

  it("a change that is not committed goes with the leader that appended it", () => {
    const cluster = ledByOne();
    cluster.isolate(1);
    cluster.proposeConfChange(1, [{ type: "remove", node: 3n }]);
    cluster.advance(5 * ET);
    cluster.heal();
    cluster.advance(3 * ET);
    expect(configs(cluster)).toEqual([1, 2, 3].map(() => [1n, 2n, 3n]));
  });

  it("nobody campaigns with a committed change that it has not applied", () => {
    const node = new OneNode();
    node.holdApply = true;
    const change = confChange([["addVoter", 4n]]);
    node.receive(appendEntries(2n, 2, [1, 1], [{ kind: "confChange", index: 2, term: 2, change }], 2));
    node.advance(10 * ET);
    expect(node.status.role).toBe("follower");
    node.step({ type: "campaign" });
    expect(node.status.role).toBe("follower");
    node.apply(node.applied[0]!);
    node.advance(ET);
    expect(node.status.role).toBe("preCandidate");
    expect(node.take("PreVote").map(({ to }) => to)).toEqual([2n, 3n, 4n]);
  });

  it("a change that makes no sense is refused and says why", () => {
    const node = leading(simpleConfig([1n, 2n, 3n], [4n]));
    const invalid = (outcome: unknown): void =>
      expect(outcome).toMatchObject({ ok: false, rejection: { reason: "invalidConfChange" } });
    invalid(node.change(["remove", 1n], ["remove", 2n], ["remove", 3n]));
    invalid(node.change(["addVoter", 0n]));
    invalid(node.change(["addVoter", 5n], ["remove", 5n]));
    invalid(node.change());
    expect([node.status.lastIndex, node.change(["remove", 4n]).ok]).toEqual([2, true]);
  });

  it("only a leader takes one", () => {
    expect(new OneNode().change(["addVoter", 4n])).toMatchObject({ rejection: { reason: "notLeader" } });
  });
});

describe("Thesis §4.2.1 Catching up new servers", () => {
  it("a server joins without a vote: commitment does not wait for it", () => {
    const cluster = ledByOne();
    cluster.addNode(4);
    cluster.isolate(4);
    cluster.proposeConfChange(1, [{ type: "addLearner", node: 4n }]);
    cluster.node(3).crash();
    cluster.propose(1, "x");
    cluster.advance(ET);
    expect(cluster.node(1).machine.commands).toEqual(["x"]);
    cluster.node(2).crash();
    cluster.heal();
    cluster.propose(1, "y");
    // Nor can it help out: two of three voters are down.
    cluster.advance(300);
    expect(cluster.node(1).machine.commands).toEqual(["x"]);
  });

  it("a new server learns the configuration by a snapshot, then takes entries, and is promoted when it has caught up", () => {
    const cluster = ledByOne();
    for (let i = 0; i < 10; i++) cluster.propose(1, `x${i}`);
    cluster.settle();
    cluster.addNode(4);
    cluster.proposeConfChange(1, [{ type: "addLearner", node: 4n }]);
    cluster.advance(ET);
    const joined = cluster.node(4);
    expect(joined.machine.commands.length).toBe(10);
    expect(joined.status.config.learners).toEqual([4n]);
    expect(cluster.proposeConfChange(1, [{ type: "addVoter", node: 4n }]).ok).toBe(true);
    cluster.advance(300);
    expect(configs(cluster)).toEqual([1, 2, 3, 4].map(() => [1n, 2n, 3n, 4n]));
  });

  it("a learner never campaigns, however long it hears nothing", () => {
    const cluster = ledByOne({ voters: 3, learners: [4n] });
    cluster.isolate(4);
    cluster.advance(20 * ET);
    expect(cluster.node(4).status).toMatchObject({ role: "follower", term: 2 });
    expect(cluster.node(4).core.nextDeadlineMs()).toBeNull();
    cluster.step(4, { type: "campaign" });
    expect(cluster.node(4).status.role).toBe("follower");
  });

  it("but it votes when asked: the candidate may know of its promotion already (etcd issue 10998)", () => {
    const node = new OneNode({ id: 4n, config: simpleConfig([1n, 2n, 3n], [4n]) });
    node.advance(ET);
    const request = { lastLogIndex: 9, lastLogTerm: 9 };
    node.receive({ type: "PreVote", from: 1n, term: 2, ...request });
    node.receive({ type: "RequestVote", from: 1n, term: 2, ...request, leadershipTransfer: false });
    expect(node.takeOnly("PreVoteResult").granted).toBe(true);
    expect(node.takeOnly("RequestVoteResult").granted).toBe(true);
  });

  it("a learner's acknowledgement and vote are never counted", () => {
    const node = leading(simpleConfig([1n, 2n, 3n], [4n]));
    node.propose("x");
    node.ack(4n);
    expect(node.status.commitIndex).toBe(2);
    const candidate = new OneNode({ config: simpleConfig([1n, 2n, 3n], [4n]) });
    candidate.advance(ET);
    candidate.receive({ type: "PreVoteResult", from: 4n, term: 2, granted: true });
    expect(candidate.status.role).toBe("preCandidate");
    candidate.receive({ type: "PreVoteResult", from: 2n, term: 2, granted: true });
    candidate.receive({ type: "RequestVoteResult", from: 4n, term: 2, granted: true });
    expect(candidate.status.role).toBe("candidate");
  });

  it("nor does hearing a learner keep a leader that no voter hears", () => {
    const node = leading(simpleConfig([1n, 2n, 3n], [4n]));
    for (let i = 0; i < 10; i++) {
      node.advance(100);
      for (const { to, round } of node.take("Heartbeat")) if (to === 4n) node.heartbeatAck(to, round);
    }
    expect(node.status.role).toBe("follower");
  });

  it.each([
    ["that lags too far behind", (node: OneNode): unknown => node.ack(4n, 5)],
    ["that has not answered at all", (): unknown => undefined],
    [
      "that is not heard any more",
      (node: OneNode): unknown => {
        node.ack(4n);
        for (let i = 0; i < 10; i++) {
          node.advance(100);
          for (const { to, round } of node.take("Heartbeat")) if (to !== 4n) node.heartbeatAck(to, round);
        }
        return undefined;
      },
    ],
  ])("a learner %s is not promoted", (_, event) => {
    const config = simpleConfig([1n, 2n, 3n], [4n]);
    const node = new OneNode({
      config,
      log: entriesOf(Array(20).fill(1)),
      options: { promotionMaxLag: 10 },
    }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    event(node);
    expect(node.change(["addVoter", 4n])).toMatchObject({
      ok: false,
      rejection: { reason: "learnerNotReady" },
    });
    node.ack(4n);
    expect(node.change(["addVoter", 4n])).toMatchObject({ ok: true });
  });

  it("a new server that is down does not cost the leader its place at once", () => {
    const node = leading(simpleConfig([1n]));
    node.change(["addVoter", 2n]);
    expect(node.status.config.voters).toEqual([1n, 2n]);
    node.advance(ET - 1);
    expect(node.status.role).toBe("leader");
    node.advance(1);
    expect(node.status.role).toBe("follower");
  });

  it("a learner becomes a voter with a snapshot as with an entry, and then may campaign", () => {
    const node = new OneNode({ id: 4n, config: simpleConfig([1n], [4n]) });
    expect(node.raft.nextDeadlineMs()).toBeNull();
    node.receive({
      type: "InstallSnapshot",
      from: 1n,
      term: 2,
      snapshot: snapshotAt(9, 2, simpleConfig([1n, 4n])),
    });
    node.step({ type: "applied", index: 9 });
    node.advance(2 * ET);
    expect(node.status.role).toBe("preCandidate");
  });
});

describe("Thesis §4.2.2 Removing the current leader", () => {
  it("the leader manages the cluster until the change is committed, then steps down, and the rest goes on", () => {
    const cluster = ledByOne();
    expect(cluster.proposeConfChange(1, [{ type: "remove", node: 1n }]).ok).toBe(true);
    expect(cluster.node(1).status.role).toBe("leader");
    cluster.settle();
    expect(cluster.node(1).status.role).toBe("follower");
    // The others have heard that the change is committed, before the leader left.
    expect([2, 3].map((id) => cluster.node(id).status.config.voters)).toEqual([
      [2n, 3n],
      [2n, 3n],
    ]);
    const next = cluster.elect();
    expect(next.id).not.toBe(1n);
    cluster.propose(next.id, "x");
    cluster.advance(300);
    expect([2, 3].map((id) => cluster.node(id).machine.commands)).toEqual([["x"], ["x"]]);
  });

  it("a removed server cannot campaign", () => {
    const cluster = ledByOne();
    cluster.proposeConfChange(1, [{ type: "remove", node: 1n }]);
    cluster.settle();
    cluster.isolate(1);
    cluster.advance(20 * ET);
    cluster.step(1, { type: "campaign" });
    expect(cluster.node(1).status).toMatchObject({ role: "follower", term: 2 });
    expect(cluster.node(1).core.nextDeadlineMs()).toBeNull();
  });

  it("reads that wait on a leader that leaves are answered: not by it", () => {
    const node = leading();
    node.change(["remove", 1n]);
    node.read(1n);
    node.ack(2n);
    expect([node.status.config.voters, node.status.role]).toEqual([[2n, 3n], "leader"]);
    // It waits for those who stay to know; here they cannot be reached.
    node.advance(ET);
    expect([node.status.role, node.readStates]).toEqual(["follower", [{ readId: 1n, index: null }]]);
  });

  it("a demoted leader steps down as well, and goes on as a learner", () => {
    const cluster = ledByOne();
    cluster.proposeConfChange(1, [{ type: "addLearner", node: 1n }]);
    cluster.settle();
    expect(cluster.node(1).status.role).toBe("follower");
    const next = cluster.elect();
    cluster.propose(next.id, "x");
    cluster.advance(ET);
    expect([next.id === 1n, cluster.node(1).machine.commands]).toEqual([false, ["x"]]);
  });
});

describe("Thesis §4.2.3 Disruptive servers", () => {
  it("a server that was removed and does not know it disturbs nobody, whatever it asks", () => {
    const cluster = ledByOne();
    cluster.cut(1, 3);
    cluster.proposeConfChange(1, [{ type: "remove", node: 3n }]);
    cluster.settle();
    cluster.heal();
    const { term } = cluster.node(1).status;
    cluster.advance(20 * ET);
    expect(cluster.node(3).status.config.voters).toEqual([1n, 2n, 3n]);
    expect([1, 2].map((id) => cluster.node(id).status.term)).toEqual([term, term]);
    expect([cluster.node(1).status.role, cluster.node(3).status.term]).toEqual(["leader", term]);
  });

  it("a RequestVote within the minimum election timeout of hearing from a leader does not update the term", () => {
    const node = new OneNode({ jitter: 0.9 });
    node.receive(appendEntries(2n, 2, [1, 1]));
    const request = { type: "RequestVote", from: 3n, term: 9, lastLogIndex: 9, lastLogTerm: 9 } as const;
    node.advance(ET - 1);
    expect(node.receive({ ...request, leadershipTransfer: false })).toEqual([]);
    expect([node.status.term, node.status.vote]).toEqual([2, null]);
    node.advance(1);
    node.receive({ ...request, leadershipTransfer: false });
    expect([node.status.term, node.status.vote]).toEqual([9, 3n]);
  });

  it("a leader does not listen either, for as long as a majority hears it", () => {
    const node = leading();
    const request = { type: "RequestVote", from: 3n, term: 9, lastLogIndex: 9, lastLogTerm: 9 } as const;
    node.receive({ ...request, leadershipTransfer: false });
    expect([node.status.role, node.status.term]).toEqual(["leader", 2]);
  });

  it("a server that was cut off for long comes back without an election", () => {
    const cluster = ledByOne();
    cluster.isolate(3);
    cluster.advance(20 * ET);
    expect(cluster.node(3).status.term).toBe(2);
    cluster.heal();
    cluster.advance(3 * ET);
    expect(cluster.up.map(({ status }) => [status.term, status.leaderId])).toEqual(
      [1, 2, 3].map(() => [2, 1n]),
    );
  });

  it("a server with a higher term, which nobody listens to, gets back in by the answer to the leader's messages", () => {
    const cluster = ledByOne();
    cluster.isolate(3);
    // As an earlier real candidacy may have left it.
    cluster.node(3).crash();
    cluster.node(3).disk.hardState = { ...cluster.node(3).disk.hardState, term: 7 };
    cluster.node(3).start();
    cluster.heal();
    cluster.advance(5 * ET);
    const leader = cluster.elect();
    expect(leader.status.term).toBeGreaterThan(7);
    cluster.propose(leader.id, "x");
    cluster.advance(300);
    for (const node of cluster.up) expect(node.machine.commands).toEqual(["x"]);
  });
});

describe("Thesis §4.3 Arbitrary configuration changes using joint consensus", () => {
  const replace = [
    { type: "addVoter", node: 4n },
    { type: "addVoter", node: 5n },
    { type: "remove", node: 2n },
    { type: "remove", node: 3n },
  ] as const;

  /** Node 1 leads the joint configuration of {1, 2, 3} and {1, 4, 5}, to be left only when told. */
  function joint(): OneNode {
    const node = leading();
    node.step({
      type: "proposeConfChange",
      change: { steps: replace, transition: "explicit", context: new Uint8Array(0) },
    });
    node.ack(2n);
    expect(node.status.config).toMatchObject({ voters: [1n, 4n, 5n], votersOutgoing: [1n, 2n, 3n] });
    return node;
  }

  it("log entries are replicated to all servers in both configurations", () => {
    const node = joint();
    for (const from of [3n, 4n, 5n]) node.ack(from);
    node.sent = [];
    node.propose("x");
    expect(node.take("AppendEntries").map(({ to }) => to)).toEqual([2n, 3n, 4n, 5n]);
  });

  it.each([
    ["both of the old half", [2n, 3n], false],
    ["both of the new half", [4n, 5n], false],
    ["one of each half", [3n, 5n], true],
  ] as [string, NodeId[], boolean][])(
    "agreement for commitment requires majorities from both: %s: %s",
    (_, acks, committed) => {
      const node = joint();
      node.propose("x");
      for (const from of acks) node.ack(from);
      expect(node.status.commitIndex === node.status.lastIndex).toBe(committed);
    },
  );

  it.each([
    ["both of the old half", [2n, 3n], false],
    ["both of the new half", [4n, 5n], false],
    ["one of each half", [3n, 5n], true],
  ] as [string, NodeId[], boolean][])(
    "agreement for elections requires majorities from both: %s: %s",
    (_, voters, won) => {
      const config = { ...simpleConfig([1n, 4n, 5n]), votersOutgoing: [1n, 2n, 3n] };
      const node = new OneNode({ config });
      node.advance(ET);
      for (const from of [2n, 3n, 4n, 5n])
        node.receive({ type: "PreVoteResult", from, term: 2, granted: true });
      for (const from of voters) node.receive({ type: "RequestVoteResult", from, term: 2, granted: true });
      expect(node.status.role === "leader").toBe(won);
    },
  );

  it.each([
    ["both of the old half", [2n, 3n], false],
    ["one of each half", [3n, 5n], true],
  ] as [string, NodeId[], boolean][])(
    "reads and CheckQuorum require both as well: %s: %s",
    (_, answering, kept) => {
      const node = joint();
      node.read(1n);
      const started = node.nowMs;
      while (node.nowMs < started + ET + 100) {
        for (const { to, round } of node.take("Heartbeat"))
          if (answering.includes(to)) node.heartbeatAck(to, round);
        node.advance(50);
      }
      expect([node.status.role === "leader", node.readStates[0]!.index !== null]).toEqual([kept, kept]);
    },
  );

  it("any server from either configuration may serve as leader", () => {
    const config = { ...simpleConfig([4n, 5n, 6n]), votersOutgoing: [1n, 2n, 3n] };
    for (const id of [1n, 4n]) {
      const node = new OneNode({ id, config }).lead();
      expect(node.status.role).toBe("leader");
    }
  });

  it("once the joint configuration is applied the leader leaves it by itself, unless told not to", () => {
    const node = leading();
    const ask = { steps: replace, context: new Uint8Array(0) };
    node.step({ type: "proposeConfChange", change: { ...ask, transition: "implicit" } });
    const { lastIndex } = node.status;
    node.ack(2n);
    expect([node.status.config.autoLeave, node.status.lastIndex]).toEqual([true, lastIndex + 1]);
    node.ack(3n);
    expect(node.status.config.votersOutgoing.length).toBe(3);
    node.ack(5n);
    expect(node.status.config).toEqual(simpleConfig([1n, 4n, 5n]));
    expect(node.status.lastIndex).toBe(lastIndex + 1);
    expect(joint().status.lastIndex).toBe(lastIndex);
  });

  it("an explicit one is left when told; neither nested nor left twice", () => {
    const node = joint();
    for (const from of [4n, 5n]) node.ack(from);
    expect(node.change(["addVoter", 6n])).toMatchObject({
      ok: false,
      rejection: { reason: "invalidConfChange" },
    });
    expect(node.change().ok).toBe(true);
    expect(node.change()).toMatchObject({ ok: false, rejection: { reason: "confChangePending" } });
    for (const from of [2n, 4n]) node.ack(from);
    expect(node.status.config).toEqual(simpleConfig([1n, 4n, 5n]));
    expect(node.change()).toMatchObject({ ok: false, rejection: { reason: "invalidConfChange" } });
  });

  it("a whole cluster is replaced while it works, its leader included", () => {
    const cluster = ledByOne();
    for (const id of [4, 5, 6]) cluster.addNode(id);
    const learners = [4n, 5n, 6n].map((node) => ({ type: "addLearner", node }) as const);
    cluster.proposeConfChange(1, learners);
    cluster.propose(1, "before");
    cluster.advance(ET);
    const steps = [
      ...[4n, 5n, 6n].map((node) => ({ type: "addVoter", node }) as const),
      ...[1n, 2n, 3n].map((node) => ({ type: "remove", node }) as const),
    ];
    expect(cluster.proposeConfChange(1, steps).ok).toBe(true);
    cluster.propose(1, "during");
    cluster.settle();
    expect(cluster.node(1).status.role).toBe("follower");
    for (const id of [1, 2, 3]) cluster.node(id).crash();
    const leader = cluster.elect();
    cluster.propose(leader.id, "after");
    cluster.advance(300);
    for (const node of cluster.up) {
      expect([node.id > 3n, node.machine.commands]).toEqual([true, ["before", "during", "after"]]);
      expect(node.status.config).toEqual(simpleConfig([4n, 5n, 6n]));
    }
  });

  it("a leader that crashes in the middle of joint leaves it to the next to finish", () => {
    const cluster = ledByOne();
    for (const id of [4, 5]) cluster.addNode(id);
    cluster.proposeConfChange(1, [
      { type: "addLearner", node: 4n },
      { type: "addLearner", node: 5n },
    ]);
    cluster.advance(ET);
    // It appends the joint configuration and applies it, but nobody hears of its leaving.
    cluster.node(1).auto.apply = false;
    cluster.proposeConfChange(1, replace);
    cluster.advance(200);
    cluster.node(1).crash();
    cluster.advance(5 * ET);
    cluster.node(1).auto.apply = true;
    cluster.node(1).start();
    cluster.elect();
    cluster.advance(3 * ET);
    for (const id of [1, 4, 5]) expect(cluster.node(id).status.config).toEqual(simpleConfig([1n, 4n, 5n]));
  });

  it("a new leader that inherits the leaving as well does not leave twice", () => {
    const enter = confChange(
      [
        ["addVoter", 4n],
        ["remove", 3n],
      ],
      "implicit",
    );
    const node = new OneNode({
      log: [
        { kind: "confChange", index: 2, term: 1, change: enter },
        { kind: "confChange", index: 3, term: 1, change: confChange([]) },
      ],
    }).lead();
    node.ack(2n);
    expect(node.applied.map(({ index }) => index)).toEqual([2, 3, 4]);
    expect([node.status.config, node.status.lastIndex]).toEqual([simpleConfig([1n, 2n, 4n]), 4]);
  });

  it("a server that restarts in the middle of joint is joint still", () => {
    const cluster = ledByOne();
    cluster.proposeConfChange(1, [{ type: "addLearner", node: 3n }], "explicit");
    cluster.settle();
    const { config } = cluster.node(2).status;
    expect(config).toMatchObject({ voters: [1n, 2n], votersOutgoing: [1n, 2n, 3n], learnersNext: [3n] });
    cluster.node(2).crash();
    cluster.node(2).start();
    cluster.advance(300);
    expect(cluster.node(2).status.config).toEqual(config);
    cluster.proposeConfChange(1, []);
    cluster.advance(300);
    expect(cluster.up.map(({ status }) => status.config)).toEqual(
      [1, 2, 3].map(() => simpleConfig([1n, 2n], [3n])),
    );
  });

  it("PreVote does not wedge a change: the last voter to know wins or follows (openraft issue 1796)", () => {
    const cluster = new Cluster({ voters: 3, seed: 11 });
    electWith(cluster, 1, [2, 3]);
    cluster.settle();
    cluster.advance(200);
    // Node 3 hears nothing of its demotion, then the others lose their leader.
    cluster.isolate(3);
    cluster.proposeConfChange(1, [{ type: "addLearner", node: 3n }], "implicit");
    cluster.advance(300);
    cluster.node(1).crash();
    cluster.heal();
    cluster.advance(5 * ET);
    cluster.node(1).start();
    const leader = cluster.elect();
    cluster.advance(2 * ET);
    expect(leader.status.config.voters).toEqual([1n, 2n]);
    expect(cluster.node(3).status.config).toEqual(simpleConfig([1n, 2n], [3n]));
  });
});
