import fc from "fast-check";
import type { Member } from "../../../../src/core/node/engine.ts";
import type {
  ConfChangeContext,
  Frame,
  FrameBody,
  FrameHeader,
  MemberUpdate,
  Proposal,
  ProposalId,
} from "../../../../src/core/node/frames.ts";
import type {
  ClusterConfig,
  ConfChange,
  Entry,
  HardState,
  Message,
  SnapshotMeta,
} from "../../../../src/core/raft/index.ts";

/** Everything that has a codec, as valid values. */

export const bytes = (maxLength = 64): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });

export const safeUint: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constant(Number.MAX_SAFE_INTEGER),
);
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
export const nodeId: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 1n, max: 9n }),
  fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }),
);
const text = fc.string({ unit: "grapheme", maxLength: 20 });

const sortIds = (ids: readonly bigint[]): bigint[] =>
  [...new Set(ids)].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));

export const clusterConfig: fc.Arbitrary<ClusterConfig> = fc
  .record({
    pool: fc.uniqueArray(nodeId, { maxLength: 8 }),
    outgoing: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    role: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    next: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    autoLeave: fc.boolean(),
  })
  .map(({ pool, outgoing, role, next, autoLeave }) => {
    const votersOutgoing = pool.filter((_, i) => outgoing[i]);
    return {
      voters: sortIds(pool.filter((_, i) => role[i])),
      votersOutgoing: sortIds(votersOutgoing),
      learners: sortIds(pool.filter((_, i) => !role[i] && !outgoing[i])),
      learnersNext: sortIds(pool.filter((_, i) => outgoing[i] && next[i])),
      autoLeave,
    };
  });

export const hardState: fc.Arbitrary<HardState> = fc.record({
  term: safeUint,
  vote: fc.option(nodeId, { nil: null }),
  commit: safeUint,
});

export const snapshotMeta: fc.Arbitrary<SnapshotMeta> = fc.record({
  index: safeUint,
  term: safeUint,
  config: clusterConfig,
});

export const confChange: fc.Arbitrary<ConfChange> = fc.record({
  steps: fc.array(fc.record({ type: fc.constantFrom("addVoter", "addLearner", "remove"), node: nodeId }), {
    maxLength: 4,
  }),
  transition: fc.constantFrom("auto", "implicit", "explicit"),
  context: bytes(),
});

export const entryAt = (index: number, term: number): fc.Arbitrary<Entry> =>
  fc.oneof(
    bytes().map((data): Entry => ({ kind: "command", index, term, data })),
    fc.constant<Entry>({ kind: "noop", index, term }),
    confChange.map((change): Entry => ({ kind: "confChange", index, term, change })),
  );

export const entry: fc.Arbitrary<Entry> = fc
  .tuple(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), safeUint)
  .chain(([index, term]) => entryAt(index, term));

export const memberUpdate: fc.Arbitrary<MemberUpdate> = fc.record(
  {
    id: nodeId,
    name: text,
    peerUrls: fc.array(text, { maxLength: 3 }),
    clientUrls: fc.array(text, { maxLength: 3 }),
  },
  { requiredKeys: ["id"], noNullPrototype: true },
);

export const members: fc.Arbitrary<Member[]> = fc.uniqueArray(
  fc.record({
    id: nodeId,
    name: text,
    peerUrls: fc.array(text, { maxLength: 3 }),
    clientUrls: fc.array(text, { maxLength: 3 }),
    isLearner: fc.boolean(),
  }),
  { maxLength: 5, selector: (member) => member.id },
);

const proposalId: fc.Arbitrary<ProposalId> = fc.record({ proposer: u64, sequence: safeUint });
const commandBody = bytes().map((command) => ({ type: "command" as const, command }));
const memberBody = memberUpdate.map((update) => ({ type: "member" as const, update }));

export const proposal: fc.Arbitrary<Proposal> = fc.record({
  id: proposalId,
  timeMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
  body: fc.oneof(commandBody, memberBody),
});

export const confChangeContext: fc.Arbitrary<ConfChangeContext> = fc.record({
  id: proposalId,
  members: fc.array(memberUpdate, { maxLength: 3 }),
});

const appendEntries = (from: bigint, to: bigint): fc.Arbitrary<Message> =>
  fc
    .record({
      prevLogIndex: fc.nat(),
      prevLogTerm: fc.nat(5),
      leaderCommit: safeUint,
      termSteps: fc.array(fc.nat(2), { maxLength: 6 }),
      termLead: fc.nat(3),
    })
    .chain(({ prevLogIndex, prevLogTerm, leaderCommit, termSteps, termLead }) => {
      let term = prevLogTerm;
      const each = termSteps.map((step, i) => entryAt(prevLogIndex + 1 + i, (term += step)));
      return fc.tuple(...each).map((entries): Message => ({
        type: "AppendEntries",
        from,
        to,
        term: term + termLead,
        prevLogIndex,
        prevLogTerm,
        leaderCommit,
        entries,
      }));
    });

export const message = (from: bigint, to: bigint): fc.Arbitrary<Message> => {
  const envelope = { from: fc.constant(from), to: fc.constant(to), term: safeUint };
  const of = <T extends Message["type"]>(type: T): { readonly type: fc.Arbitrary<T> } & typeof envelope => ({
    type: fc.constant(type),
    ...envelope,
  });
  return fc.oneof(
    appendEntries(from, to),
    fc.record({
      ...of("AppendEntriesResult"),
      success: fc.boolean(),
      matchIndex: safeUint,
      hintIndex: safeUint,
      hintTerm: safeUint,
    }),
    fc.record({ ...of("Heartbeat"), leaderCommit: safeUint, round: safeUint, quiesce: fc.boolean() }),
    fc.record({ ...of("HeartbeatResult"), round: safeUint }),
    fc.record({
      ...of("RequestVote"),
      lastLogIndex: safeUint,
      lastLogTerm: safeUint,
      leadershipTransfer: fc.boolean(),
    }),
    fc.record({ ...of("RequestVoteResult"), granted: fc.boolean() }),
    fc.record({ ...of("PreVote"), lastLogIndex: safeUint, lastLogTerm: safeUint }),
    fc.record({ ...of("PreVoteResult"), granted: fc.boolean() }),
    fc.record({ ...of("InstallSnapshot"), snapshot: snapshotMeta }),
    fc.record(of("TimeoutNow")),
    fc.record({ ...of("ReadIndexRequest"), readId: u64, lease: fc.boolean() }),
    fc.record({ ...of("ReadIndexResult"), readId: u64, index: fc.option(safeUint, { nil: null }) }),
  );
};

const snapshotChunk: fc.Arbitrary<FrameBody> = fc
  .record({
    term: safeUint,
    transferId: u64,
    meta: snapshotMeta,
    context: bytes(),
    rest: fc.nat(),
    checksum: fc.nat(),
    offset: fc.nat(),
    data: bytes(),
  })
  .map(({ rest, ...chunk }) => ({
    type: "snapshotChunk",
    ...chunk,
    size: chunk.offset + chunk.data.length + rest,
  }));

const body = (from: bigint, to: bigint): fc.Arbitrary<FrameBody> =>
  fc.oneof(
    { weight: 4, arbitrary: message(from, to).map((m): FrameBody => ({ type: "raft", message: m })) },
    fc.record({
      type: fc.constant("forward" as const),
      term: safeUint,
      id: proposalId,
      payload: fc.oneof(
        commandBody,
        memberBody,
        confChange.map((change) => ({ type: "confChange" as const, change })),
      ),
    }),
    fc.record({
      type: fc.constant("forwardRejected" as const),
      id: proposalId,
      code: fc.constantFrom("notLeader", "tooManyRequests"),
      detail: text,
      retryAfterMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    }),
    snapshotChunk,
    fc.record({
      type: fc.constant("snapshotName" as const),
      term: safeUint,
      transferId: u64,
      meta: snapshotMeta,
      context: bytes(),
      size: safeUint,
      checksum: fc.nat(),
      name: text,
    }),
    fc.record({
      type: fc.constant("snapshotChunkResult" as const),
      transferId: u64,
      status: fc.constantFrom("more", "done", "refused", "copying"),
      nextOffset: safeUint,
    }),
    fc.record({ type: fc.constant("query" as const), id: u64, question: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({
      type: fc.constant("queryResult" as const),
      id: u64,
      answer: fc.option(fc.uint8Array({ maxLength: 40 })),
    }),
  );

const header: fc.Arbitrary<FrameHeader> = fc.record({
  clusterId: u64,
  groupId: text,
  from: nodeId,
  to: nodeId,
});

export const frame: fc.Arbitrary<Frame> = header.chain((h) =>
  body(h.from, h.to).map((b) => ({ header: h, body: b })),
);
