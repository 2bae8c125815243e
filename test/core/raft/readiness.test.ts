import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Entry } from "../../../src/core/raft/index.ts";
import { appendEntries, command, entriesOf, OneNode, snapshotAt } from "./one-node.ts";

const held = (options = {}): OneNode => {
  const node = new OneNode(options);
  node.holdDisk = true;
  return node;
};

describe("Readys in persistence", () => {
  it("are numbered from 1 without gaps, and must become durable in order, each once", () => {
    const node = held();
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2)]));
    node.receive(appendEntries(2n, 2, [2, 2], [command(3, 2)]));
    expect(node.readys.map(({ number }) => number)).toEqual([1, 2]);
    expect(() => node.raft.step({ type: "persisted", number: 2 }, 0)).toThrow("in order");
  });

  it("hold acknowledgements back until they are durable, and hand out each entry to be written once", () => {
    const node = held();
    expect(node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2)]))).toEqual([]);
    expect(node.receive(appendEntries(2n, 2, [3, 2], [command(4, 2)]))).toEqual([]);
    expect(node.writing.map(({ entries }) => entries.map(({ index }) => index))).toEqual([[2, 3], [4]]);
    node.persistNext();
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([3]);
    node.persistNext();
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([4]);
    expect(node.status.persistedIndex).toBe(4);
  });

  it("acknowledge nothing that was replaced before it was handed out to be written", () => {
    const accepted = appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2), command(4, 2)]);
    const replacing = [
      appendEntries(3n, 3, [2, 2], [command(3, 3)]),
      { type: "InstallSnapshot", from: 3n, term: 3, snapshot: snapshotAt(3, 3) } as const,
    ];
    for (const message of replacing) {
      const node = new OneNode();
      // Both in one turn: the Ready comes after the second.
      node.raft.step({ type: "message", message: { ...accepted, to: 1n } }, 0);
      node.receive(message);
      expect(node.take("AppendEntriesResult")).toMatchObject([{ to: 3n, term: 3, matchIndex: 3 }]);
    }
  });

  it("ABA: the write of an entry truncated since does not make its successor at that index durable", () => {
    const node = held();
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2)]));
    node.receive(appendEntries(3n, 3, [2, 2], [command(3, 3)]));
    node.persistNext();
    expect(node.status.persistedIndex).toBe(2);
    node.persistNext();
    expect(node.status.persistedIndex).toBe(3);
  });

  it("ABA: nor does the write of the very same entry, truncated and come back", () => {
    const node = held();
    const original = command(3, 2);
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), original]));
    node.receive(appendEntries(3n, 3, [2, 2], [command(3, 3)]));
    // The leader of term 4 has the branch of term 2.
    node.receive(appendEntries(2n, 4, [2, 2], [original]));
    node.persistNext();
    expect(node.status.persistedIndex).toBe(2);
    node.persistNext();
    expect(node.status.persistedIndex).toBe(2);
    node.persistNext();
    expect(node.status.persistedIndex).toBe(3);
  });

  it("under way when a snapshot replaces the log say nothing of the log after it", () => {
    const node = held();
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2)]));
    node.receive({ type: "InstallSnapshot", from: 2n, term: 2, snapshot: snapshotAt(9, 2) });
    node.receive(appendEntries(2n, 2, [9, 2], [command(10, 2)]));
    node.persistNext();
    expect(node.status.persistedIndex).toBe(0);
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([3]);
    node.persistNext();
    expect([node.status.persistedIndex, node.take("AppendEntriesResult").length]).toEqual([9, 1]);
    node.persistNext();
    expect([node.status.persistedIndex, node.take("AppendEntriesResult").length]).toEqual([10, 1]);
  });

  it("carry a snapshot and what follows it together, when both came before the Ready was taken", () => {
    const node = new OneNode();
    const message = {
      type: "InstallSnapshot",
      from: 2n,
      to: 1n,
      term: 2,
      snapshot: snapshotAt(9, 2),
    } as const;
    node.raft.step({ type: "message", message }, 0);
    node.receive(appendEntries(2n, 2, [9, 2], [command(10, 2)]));
    const ready = node.readys.at(-1)!;
    expect([ready.snapshot?.index, ready.entries.map(({ index }) => index)]).toEqual([9, [10]]);
    expect(ready.hardState).toEqual({ term: 2, vote: null, commit: 9 });
    expect(node.status.persistedIndex).toBe(10);
  });

  it("of one's own vote count only once durable, and a late one of an older term never", () => {
    const node = held();
    node.campaign();
    expect(node.status.role).toBe("candidate");
    expect(node.take("RequestVote")).toEqual([]);
    node.receive({ type: "RequestVoteResult", from: 2n, term: 2, granted: true });
    expect(node.status.role).toBe("candidate");
    node.receive(appendEntries(3n, 3, [1, 1]));
    node.persistAll();
    expect([node.status.role, node.status.leaderId]).toEqual(["follower", 3n]);
  });

  it("of something else, begun before, do not make one's own vote durable", () => {
    const node = held();
    node.receive(appendEntries(2n, 1, [1, 1], [command(2, 1)]));
    node.campaign();
    node.receive({ type: "RequestVoteResult", from: 2n, term: 2, granted: true });
    const roles: string[] = [];
    while (roles.at(-1) !== "leader" && node.writing.length > 0) {
      node.persistNext();
      roles.push(node.status.role);
    }
    expect([roles[0], roles.at(-1)]).toEqual(["candidate", "leader"]);
  });

  it("of a leader count for its commit only when durable, not when a later term has begun", () => {
    const node = new OneNode().lead();
    node.holdDisk = true;
    node.propose("a");
    node.ack(2n, 2);
    expect(node.status.commitIndex).toBe(2);
    node.receive(appendEntries(3n, 3, [2, 2]));
    node.persistAll();
    expect(node.status.commitIndex).toBe(2);
  });

  it("write the commit index along with entries, and by itself only for a membership change", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    const before = node.readys.length;
    node.ack(3n);
    expect(node.readys.slice(before).filter(({ hardState }) => hardState !== null)).toEqual([]);
    node.propose("a");
    expect(node.readys.at(-1)!.hardState?.commit ?? node.hardState.commit).toBe(2);
    node.ack(2n);
    expect(node.hardState.commit).toBe(2);
    node.change(["addLearner", 4n]);
    node.ack(2n);
    expect(node.hardState.commit).toBe(node.status.lastIndex);
  });

  it("hand a membership change out only when its commitment is durable here", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    node.change(["addLearner", 4n]);
    node.holdDisk = true;
    node.ack(2n);
    expect(node.status.commitIndex).toBe(3);
    expect(node.applied.map(({ kind }) => kind)).toEqual(["noop"]);
    expect(node.writing.map(({ hardState }) => hardState?.commit)).toContain(3);
    node.persistAll();
    expect(node.applied.map(({ kind }) => kind)).toEqual(["noop", "confChange"]);
  });

  it("hand out committed entries each once, in order, at least one and no more than asked", () => {
    const node = new OneNode({ options: { maxCommittedBytes: 40 } });
    node.holdApply = true;
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2, 2]), 4));
    expect(node.applied.map(({ index }) => index)).toEqual([2, 3, 4]);
    const sizes = node.readys.map(({ committed }) => committed.length).filter((count) => count > 0);
    expect(sizes).toEqual([1, 1, 1]);
  });

  it("never acknowledge what is not durable, however appends, leaders and the disk interleave", () => {
    const action = fc.oneof(
      fc.record({ append: fc.integer({ min: 1, max: 3 }), back: fc.nat(3), newLeader: fc.boolean() }),
      fc.constant("persist" as const),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const node = held();
        const stored = new DurableLog();
        let term = 2;
        let log: Entry[] = [];
        for (const act of actions) {
          if (act === "persist") {
            const ready = node.writing[0];
            if (ready === undefined) continue;
            stored.write(ready.entries);
            node.persistNext();
          } else {
            if (act.newLeader) term++;
            // The leader's log: a part of what it was, and something new.
            log = log.slice(0, Math.max(0, log.length - (act.newLeader ? act.back : 0)));
            const prev = [log.length + 1, log.at(-1)?.term ?? 1] as const;
            const added = Array.from({ length: act.append }, (_, i) => command(prev[0] + 1 + i, term));
            log = [...log, ...added];
            node.receive(appendEntries(term % 2 === 0 ? 2n : 3n, term, prev, added));
          }
          const claimed = node.status.persistedIndex;
          expect(stored.agreesWith(log, claimed)).toBe(true);
          for (const { term: promised, matchIndex } of node.take("AppendEntriesResult")) {
            const sameTerm = promised === term;
            expect(!sameTerm || stored.agreesWith(log, matchIndex)).toBe(true);
          }
        }
      }),
    );
  });
});

class DurableLog {
  #entries: Entry[] = [];

  write(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first !== undefined) this.#entries = [...this.#entries.slice(0, first.index - 2), ...entries];
  }

  agreesWith(log: readonly Entry[], upTo: number): boolean {
    return log.slice(0, upTo - 1).every((entry, i) => this.#entries[i]?.term === entry.term);
  }
}
