import { EngineError } from "../../../src/core/errors/index.ts";
import type { AuthEngine, Engine, EngineStatus, ResponseHeader } from "../../../src/core/node/index.ts";

/** A call that the app made, and with what. */
export interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** An engine that answers what a test tells it to, refuses everything else, and writes down what it was asked. */
export interface FakeEngine extends Engine {
  readonly calls: readonly Call[];
}

export const HEADER: ResponseHeader = {
  clusterId: 14841639068965178418n,
  memberId: 10276657743932975437n,
  revision: 7,
  raftTerm: 3,
};

export const STATUS: EngineStatus = {
  clusterId: HEADER.clusterId,
  groupId: "default",
  nodeId: HEADER.memberId,
  name: "n1",
  role: "leader",
  leaderId: HEADER.memberId,
  term: 3,
  commitIndex: 20,
  appliedIndex: 19,
  lastIndex: 21,
  firstIndex: 2,
  revision: 7,
  compactRevision: 1,
  isLearner: false,
  isAsleep: false,
  dbSize: 4096,
  quotaBytes: 1 << 20,
  alarms: [],
  watches: { streams: 0, watches: 0, slowWatches: 0 },
  watchLag: () => 0,
  leases: 0,
  pendingProposals: 0,
  authRevision: 1,
  stateHash: () => "cafe",
};

const noAuth = (): Promise<never> => Promise.reject(new EngineError("unimplemented"));

/** Authentication is off, and nobody asks for it. */
export const NO_AUTH: AuthEngine = {
  status: noAuth,
  change: noAuth,
  userRoles: noAuth,
  users: noAuth,
  rolePermissions: noAuth,
  roles: noAuth,
  requireRoot: () => undefined,
  identities: { tokenKey: null, find: () => undefined, refresh: () => Promise.resolve() },
};

type Answers = { readonly [M in keyof Engine]?: Engine[M] };

export function fakeEngine(answers: Answers = {}): FakeEngine {
  const calls: Call[] = [];
  const answer =
    <M extends Exclude<keyof Engine, "auth">>(method: M, fallback?: Engine[M]) =>
    (...args: unknown[]): never => {
      calls.push({ method, args });
      const chosen = (answers[method] ?? fallback) as ((...args: unknown[]) => never) | undefined;
      if (chosen === undefined)
        throw new EngineError("unimplemented", { detail: `the test has no ${method}` });
      return chosen(...args);
    };
  return {
    calls,
    status: answer("status", () => STATUS),
    header: answer("header", () => HEADER),
    range: answer("range"),
    put: answer("put"),
    deleteRange: answer("deleteRange"),
    txn: answer("txn"),
    compact: answer("compact"),
    leaseGrant: answer("leaseGrant"),
    leaseRevoke: answer("leaseRevoke"),
    leaseKeepAlive: answer("leaseKeepAlive"),
    leaseTimeToLive: answer("leaseTimeToLive"),
    leaseList: answer("leaseList"),
    watch: answer("watch"),
    alarm: answer("alarm"),
    memberList: answer("memberList"),
    memberAdd: answer("memberAdd"),
    memberRemove: answer("memberRemove"),
    memberUpdate: answer("memberUpdate"),
    memberPromote: answer("memberPromote"),
    hash: answer("hash", () =>
      Promise.resolve({
        header: HEADER,
        hash: "babe",
        stateHash: "cafe",
        hashRevision: 7,
        compactRevision: 1,
      }),
    ),
    backup: answer("backup"),
    transferLeadership: answer("transferLeadership"),
    auth: answers.auth ?? NO_AUTH,
    onLeaderChange: answer("onLeaderChange"),
    onMembershipChange: answer("onMembershipChange"),
  };
}
