import { b, key, put, type Refusal } from "./refusal.ts";

export const LOCKS: readonly Refusal[] = [
  {
    name: "a lock under a lease that is none",
    path: "/v3/lock/lock",
    body: { name: b("l"), lease: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  {
    name: "a campaign under a lease that is none",
    path: "/v3/election/campaign",
    body: { name: b("e"), lease: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  {
    name: "the leader where nobody is elected",
    path: "/v3/election/leader",
    body: { name: b("e") },
    code: "noElectedLeader",
  },
  {
    name: "a word of nobody",
    path: "/v3/election/proclaim",
    body: { value: b("1") },
    code: "leaderNotGiven",
  },
  { name: "nobody who resigns", path: "/v3/election/resign", body: {}, code: "leaderNotGiven" },
  {
    name: "the word of one who does not lead",
    path: "/v3/election/proclaim",
    body: { leader: { name: b("e"), key: b("e/8"), rev: "3", lease: "8" }, value: b("1") },
    code: "notElected",
    applied: true,
  },
];

export const MAINTENANCE: readonly Refusal[] = [
  {
    name: "an action that is none",
    path: "/v3/maintenance/alarm",
    body: { action: "PANIC" },
    code: "invalidArgument",
  },
  {
    name: "an alarm of no known type",
    path: "/v3/maintenance/alarm",
    body: { action: 1, alarm: 9 },
    code: "invalidArgument",
  },
  { name: "a downgrade", path: "/v3/maintenance/downgrade", body: {}, code: "unimplemented" },
  {
    name: "another leader who is none",
    path: "/v3/maintenance/transfer-leadership",
    body: { targetID: "5" },
    code: "badLeaderTransferee",
  },
];

const raised = (alarm: string): NonNullable<Refusal["before"]> => [
  ["/v3/maintenance/alarm", { action: "ACTIVATE", memberID: "1", alarm }],
];

export const ALARMS: readonly Refusal[] = (
  [
    ["a put", "/v3/kv/put", { key }],
    ["a put with a TTL", "/v3/kv/put", { key, ttlMs: "500" }],
    ["a transaction that may put", "/v3/kv/txn", { failure: [put] }],
    ["a lease", "/v3/lease/grant", { TTL: "60" }],
    ["a lock", "/v3/lock/lock", { name: b("l"), lease: "7" }],
    ["a campaign", "/v3/election/campaign", { name: b("e"), lease: "7" }],
  ] as const
).flatMap(([what, path, body]): Refusal[] => [
  { name: `${what} without space`, path, body, before: raised("NOSPACE"), code: "noSpace", applied: true },
  {
    name: `${what} where something is corrupt`,
    path,
    body,
    before: raised("CORRUPT"),
    code: "corrupt",
    applied: true,
  },
]);

export const CORRUPT: readonly Refusal[] = (
  [
    ["a deletion", "/v3/kv/deleterange", { key }],
    ["compaction", "/v3/kv/compaction", { revision: "5" }],
    ["the end of a lease", "/v3/lease/revoke", { ID: "7" }],
  ] as const
).map(([what, path, body]): Refusal => ({
  name: `${what} where something is corrupt`,
  path,
  body,
  before: raised("CORRUPT"),
  code: "corrupt",
  applied: true,
}));
