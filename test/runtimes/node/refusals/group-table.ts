import { b, key, type Refusal } from "./refusal.ts";

/** What is known of the group that is asked. */
export interface Group {
  readonly leaderId: string;
  readonly followerId: string;
  readonly followerPeerUrl: string;
  readonly learnerId: string;
}

/** Asked of the leader of three voters and as many learners as there may be, of which one has never run. */
export function membershipTable({ leaderId, followerPeerUrl, learnerId }: Group): readonly Refusal[] {
  const other = ["http://127.0.0.1:1"];
  return [
    ...(
      [
        ["remove", { ID: "99" }],
        ["promote", { ID: "99" }],
        ["update", { ID: "99", peerURLs: other }],
      ] as const
    ).map(([what, body]): Refusal => ({
      name: `nobody: member/${what}`,
      path: `/v3/cluster/member/${what}`,
      body,
      code: "memberNotFound",
    })),
    ...[[], ["127.0.0.1:2380"], ["ftp://127.0.0.1:1"], ["http://"]].flatMap((peerURLs): Refusal[] => [
      {
        name: `a member at ${JSON.stringify(peerURLs)}`,
        path: "/v3/cluster/member/add",
        body: { peerURLs },
        code: "badMemberUrls",
      },
      {
        name: `a member that moves to ${JSON.stringify(peerURLs)}`,
        path: "/v3/cluster/member/update",
        body: { ID: leaderId, peerURLs },
        code: "badMemberUrls",
      },
    ]),
    {
      name: "a member where another one is",
      path: "/v3/cluster/member/add",
      body: { peerURLs: [followerPeerUrl] },
      code: "peerUrlExists",
    },
    {
      name: "a member that moves to where another one is",
      path: "/v3/cluster/member/update",
      body: { ID: leaderId, peerURLs: [followerPeerUrl] },
      code: "peerUrlExists",
    },
    {
      name: "one learner more than there may be",
      path: "/v3/cluster/member/add",
      body: { peerURLs: other, isLearner: true },
      code: "tooManyLearners",
    },
    {
      name: "a voter that is made one",
      path: "/v3/cluster/member/promote",
      body: { ID: leaderId },
      code: "memberNotLearner",
    },
    {
      name: "a voter that has never run",
      path: "/v3/cluster/member/promote",
      body: { ID: learnerId },
      code: "learnerNotReady",
    },
    ...["99", learnerId].map((targetID): Refusal => ({
      name: `${targetID === "99" ? "nobody" : "a learner"} as the leader`,
      path: "/v3/maintenance/transfer-leadership",
      body: { targetID },
      code: "badLeaderTransferee",
    })),
  ];
}

/** Asked of a follower. */
export function followerTable({ followerId }: Group): readonly Refusal[] {
  return [
    {
      name: "the lead, which it does not have to give",
      path: "/v3/maintenance/transfer-leadership",
      body: { targetID: followerId },
      code: "notLeader",
    },
  ];
}

/** Asked of a learner that runs. */
export const LEARNER: readonly Refusal[] = (
  [
    ["/v3/kv/range", { key }],
    ["/v3/kv/put", { key }],
    ["/v3/kv/deleterange", { key }],
    ["/v3/kv/txn", { success: [{ requestPut: { key } }] }],
    ["/v3/kv/compaction", { revision: "1" }],
    ["/v3/lease/grant", { TTL: "60" }],
    ["/v3/lease/revoke", { ID: "7" }],
    ["/v3/lease/timetolive", { ID: "7" }],
    ["/v3/lease/leases", {}],
    ["/v3/lock/lock", { name: key, lease: "7" }],
    ["/v3/election/campaign", { name: key, lease: "7" }],
  ] as const
).map(([path, body]) => ({ name: `of a learner: ${path}`, path, body, code: "notSupportedForLearner" }));

/** Asked of one of two members, of which the other is not there: nothing is sent, and nothing is done later. */
export const LEADERLESS: readonly Refusal[] = [
  { name: "a range", path: "/v3/kv/range", body: { key }, code: "noLeader" },
  { name: "a range by a copy's client", path: "/v3/lease/leases", body: {}, code: "noLeader" },
  { name: "what is left of a lease", path: "/v3/lease/timetolive", body: { ID: "7" }, code: "noLeader" },
  { name: "the alarms", path: "/v3/maintenance/alarm", body: {}, code: "noLeader" },
  { name: "a put", path: "/v3/kv/put", body: { key }, code: "proposalDropped" },
  { name: "a lease", path: "/v3/lease/grant", body: { TTL: "60" }, code: "proposalDropped" },
  {
    name: "an alarm",
    path: "/v3/maintenance/alarm",
    body: { action: "ACTIVATE", memberID: "1", alarm: "NOSPACE" },
    code: "proposalDropped",
  },
  { name: "a lock", path: "/v3/lock/lock", body: { name: b("l"), lease: "7" }, code: "proposalDropped" },
];
