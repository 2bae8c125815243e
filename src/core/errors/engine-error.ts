/** gRPC status codes that the engine uses (https://grpc.io/docs/guides/status-codes/). */
export const GrpcCode = {
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

export type GrpcCode = (typeof GrpcCode)[keyof typeof GrpcCode];

/** The stable name of an error: what programs should switch on. */
export type ErrorCode =
  | "emptyKey"
  | "keyNotFound"
  | "valueProvided"
  | "leaseProvided"
  | "tooManyOps"
  | "duplicateKey"
  | "invalidSortOption"
  | "badMemberUrls"
  | "requestTooLarge"
  | "rangeTooLarge"
  | "compacted"
  | "futureRevision"
  | "revisionNotReached"
  | "leaseNotFound"
  | "leaseExists"
  | "leaseTtlTooLarge"
  | "tooManyLeases"
  | "tooManyAlarms"
  | "noSpace"
  | "idempotencyKeyReused"
  | "resultNotKept"
  | "sessionExpired"
  | "lockHeld"
  | "notElected"
  | "noElectedLeader"
  | "leaderNotGiven"
  | "memberNotFound"
  | "peerUrlExists"
  | "notEnoughStarted"
  | "memberNotLearner"
  | "learnerNotReady"
  | "tooManyLearners"
  | "badLeaderTransferee"
  | "notSupportedForLearner"
  | "notLeader"
  | "tooManyRequests"
  | "noLeader"
  | "leaderChanged"
  | "stopped"
  | "timeout"
  | "timeoutLeaderFail"
  | "connectionLost"
  | "unhealthy"
  | "corrupt"
  | "rootUserNotExist"
  | "rootRoleNotExist"
  | "userExists"
  | "userEmpty"
  | "userNotFound"
  | "roleExists"
  | "roleEmpty"
  | "roleNotFound"
  | "roleNotGranted"
  | "permissionNotGiven"
  | "permissionNotGranted"
  | "authFailed"
  | "authNotEnabled"
  | "authOldRevision"
  | "invalidAuthManagement"
  | "invalidArgument"
  | "invalidConfig"
  | "malformed"
  | "confChangePending"
  | "invalidConfChange"
  | "proposalDropped"
  | "leaseLost"
  | "unreachable"
  | "badReply"
  | "replyTooLarge"
  | "serverFailed"
  | "canceled"
  | "unauthenticated"
  | "permissionDenied"
  | "unimplemented"
  | "storageCorrupt"
  | "storageForeign"
  | "storageLocked"
  | "storageFull"
  | "storageFailed"
  | "storageThrottled"
  | "storageUnavailable"
  | "stateTooLarge"
  | "fenced";

/**
 * Every error a caller can meet: stable code → [gRPC code, message]. Where etcd has the error, the message is
 * etcd's to the letter, since Go clients compare it whole. The rule for writes: what definitely did not
 * happen is never `unavailable` (14), and what may have happened always is. The one exception is etcd's: a change of
 * members that is refused as `unhealthy` was not made.
 */
export const ERRORS: Readonly<Record<ErrorCode, readonly [GrpcCode, string]>> = {
  // Requests (etcd: api/v3rpc/rpctypes/error.go)
  emptyKey: [3, "etcdserver: key is not provided"],
  keyNotFound: [3, "etcdserver: key not found"],
  valueProvided: [3, "etcdserver: value is provided"],
  leaseProvided: [3, "etcdserver: lease is provided"],
  tooManyOps: [3, "etcdserver: too many operations in txn request"],
  duplicateKey: [3, "etcdserver: duplicate key given in txn request"],
  invalidSortOption: [3, "etcdserver: invalid sort option"],
  badMemberUrls: [3, "etcdserver: given member URLs are invalid"],
  requestTooLarge: [3, "etcdserver: request is too large"],
  // etcd leaves it to the client what it can receive; a process of ours that builds too much is lost to everybody.
  rangeTooLarge: [
    3,
    "d-engine: the answer is too large; set a limit and read page by page, or use RangeStream",
  ],
  compacted: [11, "etcdserver: mvcc: required revision has been compacted"],
  futureRevision: [11, "etcdserver: mvcc: required revision is a future revision"],
  // Of a copy that is brought up to date now and then (ours)
  revisionNotReached: [14, "d-engine: the copy that was asked has not reached the revision"],
  leaseNotFound: [5, "etcdserver: requested lease not found"],
  leaseExists: [9, "etcdserver: lease already exists"],
  leaseTtlTooLarge: [11, "etcdserver: too large lease TTL"],
  noSpace: [8, "etcdserver: mvcc: database space exceeded"],
  tooManyLeases: [8, "d-engine: there are too many leases"],
  tooManyAlarms: [8, "d-engine: there are too many alarms"],
  // Writes that are done once (ours)
  idempotencyKeyReused: [3, "d-engine: the idempotency key belongs to a different request"],
  resultNotKept: [6, "d-engine: the write was done before, but its result was too large to be kept"],
  // Locks and elections (etcd: client/v3/concurrency, server/etcdserver/api/v3election)
  sessionExpired: [2, "mutex: session is expired"],
  lockHeld: [9, "d-engine: the lock is held by another"],
  notElected: [2, "election: not leader"],
  noElectedLeader: [2, "election: no leader"],
  leaderNotGiven: [2, '"leader" field must be provided'],
  // Membership
  memberNotFound: [5, "etcdserver: member not found"],
  peerUrlExists: [9, "etcdserver: Peer URLs already exists"],
  notEnoughStarted: [9, "etcdserver: re-configuration failed due to not enough started members"],
  memberNotLearner: [9, "etcdserver: can only promote a learner member"],
  learnerNotReady: [9, "etcdserver: can only promote a learner member which is in sync with leader"],
  tooManyLearners: [9, "etcdserver: too many learner members in cluster"],
  badLeaderTransferee: [9, "etcdserver: bad leader transferee"],
  notSupportedForLearner: [9, "etcdserver: rpc not supported for learner"],
  notLeader: [9, "etcdserver: not leader"],
  // Load
  tooManyRequests: [8, "etcdserver: too many requests"],
  // Nobody to do it, or nobody knows whether it was done
  noLeader: [14, "etcdserver: no leader"],
  leaderChanged: [14, "etcdserver: leader changed"],
  stopped: [14, "etcdserver: server stopped"],
  timeout: [14, "etcdserver: request timed out"],
  timeoutLeaderFail: [14, "etcdserver: request timed out, possibly due to previous leader failure"],
  connectionLost: [14, "etcdserver: request timed out, possibly due to connection lost"],
  unhealthy: [14, "etcdserver: unhealthy cluster"],
  corrupt: [15, "etcdserver: corrupt cluster"],
  // Users and roles. `unauthenticated` and `permissionDenied` are below.
  rootUserNotExist: [9, "etcdserver: root user does not exist"],
  rootRoleNotExist: [9, "etcdserver: root user does not have root role"],
  userExists: [9, "etcdserver: user name already exists"],
  userEmpty: [3, "etcdserver: user name is empty"],
  userNotFound: [9, "etcdserver: user name not found"],
  roleExists: [9, "etcdserver: role name already exists"],
  roleEmpty: [3, "etcdserver: role name is empty"],
  roleNotFound: [9, "etcdserver: role name not found"],
  roleNotGranted: [9, "etcdserver: role is not granted to the user"],
  permissionNotGiven: [3, "etcdserver: permission not given"],
  permissionNotGranted: [9, "etcdserver: permission is not granted to the role"],
  authFailed: [3, "etcdserver: authentication failed, invalid user ID or password"],
  authNotEnabled: [9, "etcdserver: authentication is not enabled"],
  authOldRevision: [3, "etcdserver: revision of auth store is old"],
  invalidAuthManagement: [3, "etcdserver: invalid auth management"],
  // Ours: what etcd has no word for
  invalidArgument: [3, "d-engine: invalid argument"],
  invalidConfig: [3, "d-engine: invalid configuration"],
  malformed: [3, "d-engine: malformed bytes"],
  confChangePending: [9, "d-engine: a membership change is already in progress"],
  invalidConfChange: [9, "d-engine: invalid membership change"],
  proposalDropped: [9, "d-engine: the write was not accepted and was not applied"],
  leaseLost: [9, "d-engine: the lease has ended, or may have"],
  // What a client behind a network meets. Only the first says that nothing was done.
  unreachable: [9, "d-engine: no endpoint could be reached, and nothing was sent"],
  badReply: [14, "d-engine: the endpoint's reply cannot be understood"],
  replyTooLarge: [14, "d-engine: the endpoint's reply is larger than allowed"],
  serverFailed: [14, "d-engine: the server failed"],
  canceled: [1, "etcdserver: request canceled"],
  unauthenticated: [16, "etcdserver: invalid auth token"],
  permissionDenied: [7, "etcdserver: permission denied"],
  unimplemented: [12, "d-engine: not implemented"],
  // Storage: the node refuses to start, or stops
  storageCorrupt: [15, "d-engine: stored data is corrupt"],
  storageForeign: [9, "d-engine: the data directory belongs to another cluster, group or node"],
  storageLocked: [9, "d-engine: the data directory is in use by another process"],
  storageFull: [8, "d-engine: no space left for the log"],
  storageFailed: [13, "d-engine: storage failed"],
  // Stores behind a network: the first was certainly not done; who met the second may try again.
  storageThrottled: [8, "d-engine: the store asks for fewer requests"],
  storageUnavailable: [14, "d-engine: the store does not answer"],
  stateTooLarge: [9, "d-engine: the stored state is larger than the memory set aside for it"],
  fenced: [9, "d-engine: another process has taken over this log"],
};

/**
 * What passes by itself: the same request may succeed at another member, or a little later. `maybeApplied` says whether
 * it may have succeeded already.
 */
export type RetryableCode =
  | "tooManyRequests"
  | "noLeader"
  | "leaderChanged"
  | "stopped"
  | "timeout"
  | "timeoutLeaderFail"
  | "connectionLost"
  | "unhealthy"
  | "notLeader"
  | "notSupportedForLearner"
  | "proposalDropped"
  | "unreachable"
  | "badReply"
  | "serverFailed"
  | "storageThrottled"
  | "storageUnavailable"
  | "revisionNotReached";

const RETRYABLE: Readonly<Record<RetryableCode, true>> = {
  tooManyRequests: true,
  noLeader: true,
  leaderChanged: true,
  stopped: true,
  timeout: true,
  timeoutLeaderFail: true,
  connectionLost: true,
  unhealthy: true,
  notLeader: true,
  notSupportedForLearner: true,
  proposalDropped: true,
  unreachable: true,
  badReply: true,
  serverFailed: true,
  storageThrottled: true,
  storageUnavailable: true,
  revisionNotReached: true,
};

/** Optional facts that help the caller to act. */
export interface ErrorDetails {
  /** What exactly was wrong; appended to the message of errors that etcd does not have, kept apart otherwise. */
  readonly detail?: string;
  /** How long to wait before the same request has a fair chance, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Member id of the leader, when this node knows one. */
  readonly leaderId?: bigint;
  /** Client URLs of that leader. */
  readonly leaderUrls?: readonly string[];
  /** Of `compacted`: the oldest revision that can still be had, where it is known. */
  readonly compactRevision?: number;
  /** Of a write that nobody knows the end of: the name of the log entry that may hold it. */
  readonly proposal?: { readonly proposer: bigint; readonly sequence: number };
  readonly cause?: unknown;
}

/** The one error type that leaves the engine: a stable code, a gRPC code and, where it helps, what to do next. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code: ErrorCode;
  readonly grpcCode: GrpcCode;
  readonly detail: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly leaderId: bigint | undefined;
  readonly leaderUrls: readonly string[] | undefined;
  readonly compactRevision: number | undefined;
  readonly proposal: ErrorDetails["proposal"];

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const [grpcCode, message] = ERRORS[code];
    const ours = message.startsWith("d-engine:");
    super(
      ours && details.detail !== undefined ? `${message}: ${details.detail}` : message,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.grpcCode = grpcCode;
    this.detail = details.detail;
    this.retryAfterMs = details.retryAfterMs;
    this.leaderId = details.leaderId;
    this.leaderUrls = details.leaderUrls;
    this.compactRevision = details.compactRevision;
    this.proposal = details.proposal;
  }

  /** The same request may succeed at another member, or a little later. */
  get retryable(): boolean {
    return Object.hasOwn(RETRYABLE, this.code);
  }

  /** A write that ended with this may have been done, or may yet be; with any other error it was not and will not be. */
  get maybeApplied(): boolean {
    return this.grpcCode === GrpcCode.unavailable || this.code === "canceled";
  }
}
